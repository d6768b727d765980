"""Run the programs of a test in forks of one process that has imported MindSpore, which takes longer than most of them.

Run as `python -m tests.unit.models.forks`: each line of standard input is a call, each line of standard output its exit
code (negative: the signal that ended it). A fork starts like a process of its own: with the arguments, environment,
folder and files of the call, and as if MindSpore were not imported yet.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from infra.home import CHECKOUT

# What `models.training.runtime.prepare` sets before it imports MindSpore.
BEFORE_IMPORT = {"ONEDNN_MAX_CPU_ISA": "AVX2", "GLOG_v": "3"}


@dataclass(frozen=True)
class Imported(MetaPathFinder, Loader):
    """Finds a module that was imported before the fork when a program imports it for the first time."""

    module: ModuleType

    def find_spec(self, fullname: str, path: Any, target: Any = None, /) -> ModuleSpec | None:
        if fullname != self.module.__name__:
            return None
        spec = ModuleSpec(fullname, self, origin=self.module.__file__, is_package=True)
        spec.submodule_search_locations = list(self.module.__path__)
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to do: it has run."""


class Forks:
    """The process that forks; it starts with the first call."""

    @cached_property
    def _process(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | BEFORE_IMPORT,
        )

    def run(
        self, program: Path, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float
    ) -> int:
        """Run a Python file; its output goes to `stdout` and `stderr` in `folder`. Returns the exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        call = {"words": [str(program), *arguments], "environment": dict(environment)}
        places = {"folder": str(folder), "current": str(Path.cwd()), "seconds": seconds}
        self._process.stdin.write(json.dumps(call | places) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended"
        return int(answer)

    def close(self) -> None:
        """End the process."""
        if "_process" in vars(self):
            self._process.communicate()


def main() -> None:
    """Fork once a line, until standard input ends."""
    import mindspore

    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line), mindspore)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _become(call: dict[str, Any], imported: ModuleType) -> None:
    """Run the program of a call in this process."""
    signal.alarm(int(call["seconds"]))
    folder = Path(call["folder"])
    for descriptor, path, mode in (
        (0, os.devnull, os.O_RDONLY),
        (1, folder / "stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, mode, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["current"])
    del sys.modules[imported.__name__]
    sys.meta_path.insert(0, Imported(imported))
    sys.argv = call["words"]
    program = sys.argv[0]
    sys.path[0] = str(Path(program).parent)
    sys.path.append(str(CHECKOUT))
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
