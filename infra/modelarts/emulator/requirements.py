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

_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]*(.+)")


class RequirementsError(Exception):
    """The requirements cannot be read or installed; the message says why."""


def install(requirements: Path, target: Path, log: Path) -> None:
    """Install the requirements that this machine lacks, for one job alone.

    Args:
        requirements: the file, which may be missing; its options and included files are honoured.
        target: the folder for packages.
        log: receives the output of pip.

    Raises:
        RequirementsError: a line is not valid, or pip failed.
    """
    if not requirements.is_file():
        return
    lines = list(_lines(requirements))
    options = [line for line in lines if line.startswith("-")]
    missing = [line for line in lines if not line.startswith("-") and not _is_installed(line)]
    if not missing:
        return
    wanted = requirements.with_name("missing-requirements.txt")  # same folder: options may name other files
    wanted.write_text("\n".join([*options, *missing]), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with log.open("ab") as output:
        done = subprocess.run(
            [*command, "--target", str(target), "--requirement", str(wanted)],
            cwd=requirements.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise RequirementsError(f"pip could not install {', '.join(missing)}")


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
