"""The cached verdict "everything is fresh", with a fingerprint of every file that it depends on.

A run without work must be fast: the engine checks settings, code, receipts and objects once, and the verdict counts as
long as the invocation is the same and no file has changed. In doubt, the engine checks again. Standard library only,
since the imports of this module decide how fast a no-op is.
"""

import json
import os
import shutil
import sysconfig
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from infra.home import CHECKOUT, fleet_file
from infra.store.atomic import write_text
from infra.store.digests import value_digest
from infra.store.disk import is_full, is_read_only
from infra.store.stat_cache import fingerprint, settled

PACKAGES = ("flows", "tasks", "models", "infra")
# Environment variables by prefix: our own, and those that decide which compiler is found.
WATCHED = ("ATLASFLOW_", "ASCEND")


def recall(home: Path, arguments: Sequence[str]) -> Any | None:
    """Return the answer remembered for the same invocation; None when a file that it depends on has changed."""
    try:
        verdict = json.loads(_path(home).read_text(encoding="utf-8"))
        if verdict["invocation"] != _invocation(arguments) or sorted(verdict["code"]) != _code_files():
            return None
        if any(list(fingerprint(Path(name))) != mark for name, mark in verdict["marks"].items()):
            return None
        return verdict["answer"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None  # absent, damaged or unreadable: check again


def remember(home: Path, arguments: Sequence[str], begun_ns: int, depends_on: Iterable[Path], answer: object) -> bool:
    """Save a verdict that was reached since `begun_ns`.

    Args:
        home: of the verdict.
        arguments: the command line.
        begun_ns: when the check began; a file that changed since then may have been checked before.
        depends_on: receipts, objects and external inputs that were checked; code and tools are added here.
        answer: JSON values to return on recall.

    Returns:
        False when the verdict was not saved: a file changed too recently to be sure, or the disk is full or read-only.
    """
    code = _code_files()
    tools = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), shutil.which("atc")]
    paths = {*code, *(str(path) for path in depends_on), *(tool for tool in tools if tool)}
    marks = {name: fingerprint(Path(name)) for name in sorted(paths)}
    if not all(settled(mark, begun_ns) for mark in marks.values()):
        return False
    verdict = {"invocation": _invocation(arguments), "code": code, "marks": marks, "answer": answer}
    try:
        write_text(_path(home), json.dumps(verdict))
    except OSError as error:
        if not is_full(error) and not is_read_only(error):
            raise
        return False
    return True


def now_ns() -> int:
    """Return the time to pass as `begun_ns`."""
    return time.time_ns()


def _path(home: Path) -> Path:
    return home / "verdict.json"


def _invocation(arguments: Sequence[str]) -> str:
    """Return a digest, since the environment may hold secrets."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(WATCHED) or name == "PATH"}
    fleet = fleet_file().exists()  # an existing one has a fingerprint, too
    return value_digest([list(arguments), environment, shutil.which("atc"), str(Path.cwd()), fleet])


def _code_files() -> list[str]:
    """Return every source file and profile of the four packages."""
    found: list[str] = []
    for package in PACKAGES:
        for folder, folders, files in os.walk(CHECKOUT / package):
            folders[:] = [name for name in folders if name != "__pycache__"]
            found.extend(f"{folder}/{name}" for name in files if name.endswith((".py", ".toml")))
    return sorted(found)
