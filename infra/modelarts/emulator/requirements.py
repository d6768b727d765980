"""`pip-requirements.txt` of a stand-in job: installed before the boot script starts.

Source: docs/reference/modelarts.md §1.6.
"""

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

_MINDSPORE = re.compile(r"(?:\S*/)?mindspore(?:[-_](?:ascend|cpu|gpu))?(?![\w-]*[a-z])", re.IGNORECASE)
_KEPT = ("numpy",)  # MindSpore's wheel is compiled against one of its versions
_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]*(.+)")


class RequirementsError(Exception):
    """The requirements cannot be read or installed; the message says why."""


def install(requirements: Path, target: Path, log: Path, *, compatible: bool = False) -> None:
    """Install the requirements that this machine lacks, for one job alone.

    With `compatible`, this machine's MindSpore, and other versions of installed packages, take the place of those that
    a project of MindSpore 1.x names, and names that belong to Python itself are left out; the log says so.

    Args:
        requirements: the file, which may be missing; its options and included files are honoured.
        target: the folder for packages.
        log: receives the output of pip.
        compatible: as above.

    Raises:
        RequirementsError: a line is not valid, or pip failed.
    """
    if not requirements.is_file():
        return
    lines = list(_lines(requirements))
    options = [line for line in lines if line.startswith("-")]
    named = [line for line in lines if not line.startswith("-")]
    if compatible:
        named = _without_old(named, log)
    missing = [line for line in named if not _is_installed(line)]
    if not missing:
        return
    wanted = requirements.with_name("missing-requirements.txt")  # same folder: options may name other files
    wanted.write_text("\n".join([*options, *missing]), encoding="utf-8")
    kept = requirements.with_name("kept-requirements.txt")
    kept.write_text("".join(f"{name}=={importlib.metadata.version(name)}\n" for name in _KEPT), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with log.open("ab") as output:
        done = subprocess.run(
            [*command, "--target", str(target), "--requirement", str(wanted), "--constraint", str(kept)],
            cwd=requirements.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise RequirementsError(f"pip could not install {', '.join(missing)}")


def _without_old(lines: list[str], log: Path) -> list[str]:
    """Return the requirements that this machine cannot answer with what it has; say in the log what it answers so."""
    found, said = [], []
    for line in lines:
        reason = _replacement(line)
        if reason:
            said.append(f"MindSpore 1.x: {reason}\n")
        else:
            found.append(line)
    if said:
        with log.open("a", encoding="utf-8") as output:
            output.writelines(said)
    return found


def _replacement(line: str) -> str:
    """Say what takes the place of a requirement; empty when nothing does, or when it is installed as it is."""
    if _MINDSPORE.match(line):
        return f"this machine's MindSpore {importlib.metadata.version('mindspore')} takes the place of {line}"
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return ""  # the check of what is installed says so
    if requirement.name in sys.stdlib_module_names:
        return f"{requirement.name} is part of Python"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} takes the place of {line}"


def _lines(path: Path) -> Iterator[str]:
    """Yield the requirements and options of a file and of its includes, without comments."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequirementsError(f"{path.name} cannot be read: {error}") from error
    for whole in text.splitlines():
        line = f" {whole}".split(" #")[0].strip()
        include = _INCLUDE.fullmatch(line)
        if include is not None:
            yield from _lines(path.parent / include[1])
        elif line:
            yield line


def _is_installed(line: str) -> bool:
    try:
        requirement = Requirement(line)
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False
    except InvalidRequirement as error:
        raise RequirementsError(f"pip-requirements.txt: {error}") from error
