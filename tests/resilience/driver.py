"""Runs cases, each in a fork of one process that has everything at hand: `python -m tests.resilience.driver`.

The first line of standard input says where things are; each further line is a list of cases to run at the same time.
An answer is a list of exit codes (negative: the signal). What a case found out it writes to the file `report`.
"""

import importlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import AtlasFlowError
from infra.settings import load
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.pipeline import STAGES
from tasks.release import parity_plot
from tasks.reports import evaluation_plots
from tests.resilience.boundaries import Boundaries
from tests.resilience.replay import ReplayedWorld

# Whatever a stage imports when it first runs.
WARM = ("models.spec.recipes", "infra.board.client", "infra.atc.factory", "infra.fetch", "PIL.Image")


@dataclass(frozen=True)
class Case:
    """One run of a chain up to a stage.

    Attributes:
        home: of the chain.
        report: file to write to what happened.
        stage: the last stage; boundaries count while it runs.
        alone: only look at the stages before, as `run --stage` does.
        kill_at: at which boundary SIGKILL comes, from 1 on; 0 for none.
        full_at: at which boundary the disk is full, likewise.
        files: changes of files are boundaries too.
        real_board: False to play the board back.
        leads: two named pipes: when the stage has begun, the run opens the first, and stops until the second is opened.
        follows: the same pipes, for another run: it starts when the first is opened, and opens the second when it says
            that it waits.
    """

    home: str
    report: str
    stage: str
    alone: bool = False
    kill_at: int = 0
    full_at: int = 0
    files: bool = False
    real_board: bool = True
    leads: Sequence[str] = ()
    follows: Sequence[str] = ()


class Narrator(Silent):
    """Keeps the lines that people would see; does something at one of them."""

    def __init__(self, listen: Any) -> None:
        self.lines: list[str] = []
        self._listen = listen

    def line(self, stage: Any, text: Any) -> None:
        self.lines.append(text)
        self._listen(text)


def main() -> None:
    setup = json.loads(sys.stdin.readline())
    for name in WARM:
        importlib.import_module(name)
    settings = load(overrides=setup["overrides"])
    plan = Boundaries()
    world = ReplayedWorld(settings, Path(setup["home"]), Path(setup["recorded"]), plan)
    world.object_store()
    evaluation_plots.confusion_matrix = drawn(world.recorded / "evaluate" / "confusion.png")
    evaluation_plots.reliability = drawn(world.recorded / "evaluate" / "reliability.png")
    evaluation_plots.confident_mistakes = drawn(world.recorded / "evaluate" / "mistakes.png")
    parity_plot.draw = drawn(world.recorded / "convert" / "parity.png")
    os.fsync = lambda fd: None  # SIGKILL loses nothing that the kernel has, and disks of test machines are slow
    # Reads and digests the code of every stage, once for all forks.
    Chain(STAGES, settings, world.home, world, Silent()).look_at_all()
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"{threads} threads: forks would be unsafe"
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        children = [_fork(Case(**case), world, plan) for case in json.loads(line)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)


def drawn(picture: Path) -> Callable[..., None]:
    """Draw the picture of the recorded run, which is the last argument's."""

    def draw(*arguments: Any) -> None:
        shutil.copyfile(picture, arguments[-1])

    return draw


def _fork(case: Any, world: Any, plan: Any) -> Any:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        log = os.open(Path(case.report).with_suffix(".log"), os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        Path(case.report).write_text(json.dumps(run(case, world, plan)))
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on as if it were its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def run(case: Any, world: Any, plan: Any) -> Any:
    """Run one case; gives what became of each stage, the lines that people would see and the boundaries passed."""
    plan.kill_at, plan.full_at, world.real_board = case.kill_at, case.full_at, case.real_board
    if case.files:
        plan.watch(case.home)
    if case.follows:
        open_once(case.follows[0], "r")
    narrator = Narrator(lambda text: _meet(case, text))
    chain = Chain(STAGES, world.settings, Path(case.home), world, narrator, plan)
    found = {"ran": {}, "reused": [], "error": None, "lines": narrator.lines, "passed": plan.passed}
    try:
        for stage in chain.stages.values():
            plan.armed = stage.name == case.stage
            if case.alone and not plan.armed:
                chain.look(stage)
                continue
            result = chain.run(stage)
            if result.reused:
                found["reused"].append(stage.name)
            else:
                found["ran"][stage.name] = str(result.reason)
            if plan.armed:
                break
    except AtlasFlowError as error:
        found["error"] = [type(error).__name__, error.exit_code, str(error)]
    plan.armed = False
    return found


def _meet(case: Any, text: Any) -> None:
    """The engine says why it begins a stage, and that it waits for another run: that is when two runs meet."""
    if case.leads and "never ran" in text:
        open_once(case.leads[0], "w")
        open_once(case.leads[1], "r")
    if case.follows and "another run" in text:
        open_once(case.follows[1], "w")


def open_once(pipe: Any, mode: Any) -> None:
    """Open and close a named pipe, which waits for the one who opens its other end."""
    with Path(pipe).open(mode):
        pass


if __name__ == "__main__":
    main()
