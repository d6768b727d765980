"""Rollouts in waves: their plan, their order, the end of each, through crashes of who carries them out."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from unittest import mock

from infra.fleet import Fleet
from infra.settings import BoardSettings, RetrySettings
from tasks.fleet.deployment import deploy_to
from tasks.fleet.events import BoardResult, Outcome, Policy, Resumed
from tasks.fleet.rollout import OpenRollout, begin, deploy_wave, reopen, undo
from tasks.fleet.state import Halt, Phase, Start, Wait
from tests.simulation.boards import CHIP, Board, files_of, replaced, write_release
from tests.simulation.kernel import Machine, Violation
from tests.simulation.network import Network
from tests.simulation.scenario import Scenario
from tests.simulation.threads import Pool
from tests.simulation.work import Words

if TYPE_CHECKING:
    from infra.world import World

NAMES = ("a", "b", "c", "d")


class Rollout(Scenario):
    """One machine carries rollouts out, twice at once; four boards in three waves."""

    horizon = 2500
    steps = 120_000

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.network = Network(self.kernel)
        self.boards = {name: Board(self.kernel, self.network, name) for name in NAMES}
        self.office = self.kernel.machine("office")
        pool = Pool(self.kernel)
        self.patches = [
            *replaced(self.kernel, self.boards),
            mock.patch("tasks.fleet.rollout.ThreadPoolExecutor", lambda _limit: Pool(self.kernel)),
            mock.patch("tasks.fleet.deployment.ThreadPoolExecutor", lambda _limit: Pool(self.kernel)),
            mock.patch("tasks.fleet.rollout.wait", pool.wait),
        ]
        for number in (1, 2):
            write_release(number, self.office.folder / "given" / str(number) / CHIP)
        self.office.disk.settle()
        settings = SimpleNamespace(
            retry=RetrySettings(attempts=2, seconds=0), boards=dict.fromkeys(NAMES, BoardSettings(soc=CHIP))
        )
        self.world = cast("World", SimpleNamespace(settings=settings, board=lambda name: self.boards[name]))
        self.policy = Policy(
            (("a",), ("b", "c"), ("d",)),
            max_failed=self.dice.choice((0.0, 0.0, 0.5)),
            wait_seconds=self.dice.choice((0.0, 40.0)),
            limit=2,
        )
        for board in self.boards.values():
            board.bad = {"release-2"} if self.dice.random() < 0.15 else set()
        self.truth: dict[int, dict[str, BoardResult]] = {1: {}, 2: {}}
        self.stopped: set[int] = set()
        self.busy: set[int] = set()

    def begin(self) -> None:
        def both() -> None:
            for number in (1, 2):
                self._carry_out(number)

        self.persist(self.office, "carries out", both)
        if self.dice.random() < 0.4:
            self.persist(self.office, "carries out too", both, self.dice.uniform(0, 100))
        for board in self.boards.values():
            board.machine.on_boot = board.check
            self.kernel.spawn(
                board.machine, f"starts {board.name}", board.probe, self.tolerated, self.dice.uniform(0, 400)
            )

    def _carry_out(self, number: int) -> None:
        fleet = Fleet(self.office.folder)
        with fleet.carrying_out():
            if self.busy:
                raise Violation("two rollouts are carried out at once")
            self.busy.add(number)
            try:
                self._waves(fleet, number, self._open(fleet, number))
            finally:
                self.busy.discard(number)

    def _open(self, fleet: Fleet, number: int) -> OpenRollout:
        for identifier in fleet.rollouts():
            opened = reopen(fleet, identifier)
            if opened.release == f"release-{number}":
                step = opened.rollout.next(time.time())
                if not isinstance(step, Halt) or (step.phase is Phase.STOPPED and self.dice.random() < 0.5):
                    opened.record(Resumed(time.time()))
                return opened
        folder = self.office.folder / "given" / str(number)
        return begin(fleet, fleet.keep(files_of(folder), str(folder)), self.policy)

    def _waves(self, fleet: Fleet, number: int, opened: OpenRollout) -> None:
        while True:
            step = opened.rollout.next(time.time())
            if isinstance(step, Start):
                deploy_wave(opened, fleet, lambda name: self._deploy(number, opened, name), Words())
            elif isinstance(step, Wait):
                assert step.until is not None
                time.sleep(max(0.0, step.until - time.time()))
            elif isinstance(step, Halt):
                if step.phase is Phase.STOPPED:
                    self.stopped.add(number)
                    undo(opened, fleet, self.world, None, Words())
                return

    def _deploy(self, number: int, opened: OpenRollout, name: str) -> BoardResult:
        truth = self.truth[number]
        wave = next(at for at, names in enumerate(self.policy.waves) if name in names)
        for at, names in enumerate(self.policy.waves[:wave]):
            failed = [other for other in names if other in truth and truth[other].outcome is Outcome.FAILED]
            if len(failed) > opened.rollout.allowed(at) or any(other not in truth for other in names):
                raise Violation(f"{name} gets release {number} before its order")
        truth.pop(name, None)
        truth[name] = deploy_to(self.world, opened.releases, name)
        return truth[name]

    def check_machine(self, machine: Machine) -> None:
        Fleet(machine.folder).wanted()

    def check(self) -> None:
        for board in self.boards.values():
            board.check()
        for name, result in self.truth[2].items():
            if result.outcome is Outcome.CHANGED and 2 not in self.stopped and self.boards[name].highest < 2:
                raise Violation(f"{name} does not run what the rollout says")
        if set(self.truth[1]) != set(NAMES) and 1 not in self.stopped:
            raise Violation("a rollout ended before its last wave")
