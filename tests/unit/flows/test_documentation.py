"""What the documentation names exists: commands, options, links, files, functions, make targets."""

import ast
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from flows.cli import app
from infra.errors import AtlasFlowError
from infra.home import CHECKOUT

ROOT = sorted(CHECKOUT.glob("*.md"))
DOCUMENTS = [*ROOT, *(path for place in ("docs", "data", "tests") for path in sorted((CHECKOUT / place).rglob("*.md")))]
TEXTS = {path.relative_to(CHECKOUT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
LINES = [
    pytest.param(line, id=f"{name}: {line[:60]}")
    for name, text in TEXTS.items()
    for line in re.findall(r"^atlasflow .*$", text.replace("\\\n", " "), re.MULTILINE)
]
INLINE = sorted({line for text in TEXTS.values() for line in re.findall(r"`(atlasflow [^`\n]+)`", text)})
COMMANDS = typer.main.get_command(app.app)
# A path in backticks, optionally with a qualified name: `tasks/engine/chain.py:Chain.run`.
PATHS = re.compile(r"`((?:flows|tasks|models|infra|tests|docs|data)/[\w./-]*)(?::([\w.]+))?`")
HISTORY = "CHANGELOG.md"  # names what an older version had


def test_there_is_something_to_check() -> None:
    assert len(LINES) > 20
    assert len(INLINE) > 20


@pytest.mark.parametrize("line", LINES)
def test_commands_and_options_in_the_documentation_exist(line: str) -> None:
    words = shlex.split(re.split(r"[|;>]", line)[0], comments=True)[1:]
    command, words = _command(words)
    assert not isinstance(command, TyperGroup) or "--help" in words, f"no such command: {line}"
    assert {word.split("=")[0] for word in words if word.startswith("-")} <= _options(command)


@pytest.mark.parametrize("line", INLINE)
def test_commands_and_options_in_sentences_exist(line: str) -> None:
    command, words = _command([word for word in line.split()[1:] if word not in ("…", "\\")])
    if isinstance(command, TyperGroup):
        assert not words or words[0].startswith(("-", "…")), f"no such command: {line}"
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= _options(command)


def _command(words: list[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """The command that the words name, and its arguments."""
    assert isinstance(COMMANDS, TyperCommand | TyperGroup)
    command: TyperCommand | TyperGroup = COMMANDS
    while isinstance(command, TyperGroup) and words and words[0] in command.commands:
        found, words = command.commands[words[0]], words[1:]
        assert isinstance(found, TyperCommand | TyperGroup)
        command = found
    return command, words


def _options(command: TyperCommand | TyperGroup) -> set[str]:
    named = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return named | {"--help", "--debug"}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_names_every_command(name: str) -> None:
    assert isinstance(COMMANDS, TyperGroup)
    words = set(re.findall(r"[a-z]+", TEXTS[name]))
    assert set(COMMANDS.commands) <= words


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"^#+ ", id="headings"),
        pytest.param(r"^(atlasflow [^#\n]*[^#\n ])", id="commands"),
        pytest.param(r"\]\((?!README)([^)]+)\)", id="links"),
        pytest.param(r"^\| (\d+) \|", id="exit codes"),
        pytest.param(r"^```(\w*)$", id="blocks"),
    ],
)
def test_the_chinese_readme_is_in_step(pattern: str) -> None:
    english, chinese = (re.findall(pattern, TEXTS[name], re.MULTILINE) for name in ("README.md", "README.zh-CN.md"))
    assert english == chinese


def test_the_readme_lists_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXTS["README.md"], re.MULTILINE)}
    classes: list[type[AtlasFlowError]] = [AtlasFlowError, *AtlasFlowError.__subclasses__()]
    assert listed >= {0, 130} | {error.exit_code for error in classes}


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name: str) -> None:
    folder = (CHECKOUT / name).parent
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = folder / path if path else CHECKOUT / name
        if not found.exists() or (anchor and anchor not in _anchors(found)):
            missing.append(target)
    assert not missing


@cache
def _anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(set(TEXTS) - {HISTORY}))
def test_files_and_functions_in_the_documentation_exist(name: str) -> None:
    missing = []
    for path, qualified in PATHS.findall(TEXTS[name]):
        if "NAME" in path or path.startswith(
            ("docs/zh/", "docs/en/")
        ):  # a file to be written; a path in a repository of Huawei's
            continue
        found = CHECKOUT / path
        if not found.exists() or (qualified and qualified not in _names(found)):
            missing.append(f"{path}:{qualified}")
    assert not missing


@cache
def _names(path: Path) -> set[str]:
    """Functions, classes, their methods and fields, and constants that a module defines."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names |= _defined(node)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner}" for item in node.body for inner in _defined(item)}
    return names


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_make_targets_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for text in TEXTS.values() for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)}
    assert named <= targets


def test_the_changelog_knows_the_version() -> None:
    project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)
    assert re.search(rf"^## \[{re.escape(version)}\]", TEXTS["CHANGELOG.md"], re.MULTILINE)
    images = subprocess.run(
        ["grep", "--recursive", "--only-matching", "--no-filename", "atlasflow:[0-9.]*[0-9]", "infra"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(images.stdout.split()) == {f"atlasflow:{version}"}
