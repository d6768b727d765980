"""The last verdict "everything is fresh", with a mark of every file that it rests on.

A run that has nothing to do must not pay for finding that out again: settings, code, receipts and objects are judged
once by the engine, and the verdict is recalled as long as the invocation is the same and no file has moved. Any
doubt, and the engine judges anew. Standard library only, since what this imports decides how fast a no-op is.
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
from infra.store.disk import is_full
from infra.store.stat_cache import fingerprint, settled

ROOMS = ("flows", "tasks", "models", "infra")
# Beside our own variables, these decide which compiler is found.
WATCHED = ("ATLASFLOW_", "ASCEND")


def recall(home: Path, arguments: Sequence[str]) -> Any | None:
    """What was remembered for the same invocation, or None when anything that it rests on has changed."""
    try:
        verdict = json.loads(_path(home).read_text(encoding="utf-8"))
        if verdict["invocation"] != _invocation(arguments) or sorted(verdict["code"]) != _code_files():
            return None
        if any(list(fingerprint(Path(name))) != mark for name, mark in verdict["marks"].items()):
            return None
        return verdict["answer"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent, damaged, or out of reach: judge anew
        return None


def remember(home: Path, arguments: Sequence[str], begun_ns: int, rests_on: Iterable[Path], answer: object) -> bool:
    """Keep a verdict that was reached since `begun_ns`; False when it cannot be kept.

    That is so when a file changed too recently to be sure of it, and when the disk is full.

    Args:
        home: the home that the verdict is about.
        arguments: the command line.
        begun_ns: when the judging began; a file that changed since then may have been judged before it changed.
        rests_on: receipts, objects and outside inputs that were judged; code and tools are added here.
        answer: plain values to give back on recall.
    """
    code = _code_files()
    tools = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), shutil.which("atc")]
    paths = {*code, *(str(path) for path in rests_on), *(tool for tool in tools if tool)}
    marks = {name: fingerprint(Path(name)) for name in sorted(paths)}
    if not all(settled(mark, begun_ns) for mark in marks.values()):
        return False
    verdict = {"invocation": _invocation(arguments), "code": code, "marks": marks, "answer": answer}
    try:
        write_text(_path(home), json.dumps(verdict))
    except OSError as error:
        if not is_full(error):
            raise
        return False
    return True


def now_ns() -> int:
    """The time to pass as `begun_ns`."""
    return time.time_ns()


def _path(home: Path) -> Path:
    return home / "verdict.json"


def _invocation(arguments: Sequence[str]) -> str:
    """A digest, since the environment may hold secrets."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(WATCHED) or name == "PATH"}
    fleet = fleet_file().exists()  # if it is, its mark counts; an absent file has none
    return value_digest([list(arguments), environment, shutil.which("atc"), str(Path.cwd()), fleet])


def _code_files() -> list[str]:
    """Every source file and profile of the four rooms, as they are now."""
    found: list[str] = []
    for room in ROOMS:
        for folder, folders, files in os.walk(CHECKOUT / room):
            folders[:] = [name for name in folders if name != "__pycache__"]
            found.extend(f"{folder}/{name}" for name in files if name.endswith((".py", ".toml")))
    return sorted(found)
