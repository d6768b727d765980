"""What the documentation tells people to type exists."""

import re
import shlex

import pytest
import typer

from flows.cli import app
from infra.home import CHECKOUT

DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "README.zh-CN.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
LINES = [
    pytest.param(line, id=f"{path.name}: {line[:60]}")
    for path in DOCUMENTS
    for line in re.findall(r"^atlasflow .*$", path.read_text(encoding="utf-8"), re.MULTILINE)
]


def test_there_is_something_to_check():
    assert len(LINES) > 20


@pytest.mark.parametrize("line", LINES)
def test_commands_and_options_in_the_documentation_exist(line):
    words = shlex.split(re.split(r"[|;>]", line)[0], comments=True)[1:]
    command = typer.main.get_command(app.app)
    while hasattr(command, "commands"):
        assert words, f"no such command: {line}"
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.split("=")[0] for word in words if word.startswith("-")}
    assert used <= known | {"--help", "--debug"}
