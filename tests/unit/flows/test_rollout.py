"""Rollouts without a Prefect server."""

import itertools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.rollout import Effects, RolloutRequest, markdown, run_rollout
from infra.champions import Champion, Registry
from infra.errors import AtlasFlowError, Corrupt, GateFailed, Refused, Transient, UserError
from infra.fleet import Fleet
from infra.ports.board import BoardState, Installed
from infra.ports.release import Release
from infra.ports.upkeep import BoardStatus, JournalEntry, RollbackCause
from infra.ports.values import OnBytes
from infra.settings import load
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.engine.stage import Reporter
from tasks.fleet.events import Event
from tasks.fleet.reconcile import reconcile
from tasks.fleet.rollout import BoardRow, OpenRollout, board_rows, reopen, undo
from tests.unit.infra.champions import champion
from tests.unit.tasks.doubles import FakeBoard

NAMES = tuple(f"b{number}" for number in range(10))


class Board(FakeBoard):
    """Raises `errors` one by one; knows its previous release; counts concurrent installations."""

    busy = 0
    most = 0
    counting = threading.Lock()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.errors: list[AtlasFlowError] = []
        self.entries: list[JournalEntry] = []
        self.barrier: threading.Barrier | None = None

    def install(self, release: Release, progress: OnBytes | None = None) -> Installed:
        with Board.counting:
            Board.busy += 1
            Board.most = max(Board.most, Board.busy)
        try:
            if self.barrier:
                self.barrier.wait()
            if self.errors:
                raise self.errors.pop(0)
            if self.active != release.id:
                self.previous, before = self.active, self.active
                self.entries.append(JournalEntry("switch", release.id, ""))
                done = super().install(release)
                self.previous = before
                return done
            return super().install(release)
        finally:
            with Board.counting:
                Board.busy -= 1

    def rollback(self, reason: str = "", cause: RollbackCause = RollbackCause.OPERATOR) -> BoardState:
        if self.previous is None:
            raise Refused("no previous release")
        self.active, self.previous = self.previous, self.active
        self.entries.append(JournalEntry("rollback", self.active, "", reason, cause))
        return self.state()

    def status(self) -> BoardStatus:
        return BoardStatus(self.active, self.previous, (), 0, tuple(self.entries))


class Site(Effects):
    """Ten boards of a fleet file; tasks are plain calls, notifications and reports are recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.fleet = Fleet(self.home)
        self.boards = {name: Board(name) for name in NAMES}
        self.reports: list[str] = []
        self.fallen: list[str] = []
        self.demoted: list[tuple[Champion, Champion | None, str]] = []
        self.held: list[set[str]] = []

    def chain(self, profile: str = "local", overrides: Mapping[str, str] = {}) -> Any:
        settings = load(profile, {"retry.attempts": "2", "retry.seconds": "0", **overrides})
        world = SimpleNamespace(
            board=self.boards.__getitem__, settings=settings, mirror=lambda: None, leases=lambda: None
        )
        return SimpleNamespace(settings=settings, home=self.home, world=world)

    def open_chain(self, request: RolloutRequest, reporter: Reporter) -> Chain:
        chain: Chain = self.chain(request.profile, request.settings)
        return chain

    def run_task(self, title: str, work: Callable[[], str]) -> None:
        work()

    def hold_boards(self, boards: Sequence[str], chain: Chain, reporter: Reporter) -> AbstractContextManager[object]:
        self.held.append(set(boards))
        return nullcontext()

    def notify_fallback(self, board: str, release: str, reason: str) -> None:
        self.fallen.append(board)

    def notify_demotion(self, demoted: Champion, champion: Champion | None, who: str, why: str) -> None:
        self.demoted.append((demoted, champion, why))

    def publish(self, opened: OpenRollout) -> None:
        self.reports.append(markdown(opened))

    def release(self, identifier: str, soc: str = "Ascend310") -> dict[str, str]:
        folder = self.folder / identifier
        folder.mkdir(exist_ok=True)
        values = {"id": identifier, "soc_version": soc, "emulated": True}
        (folder / "release.json").write_text(json.dumps(values))
        return {"deploy.release": str(folder)}

    def run(self, identifier: str = "r1", chip: str = "Ascend310", **request: Any) -> Any:
        settings = self.release(identifier, chip)
        values = {"everything": True, "settings": settings, "waves": ("1", "50%"), **request}
        return run_rollout(RolloutRequest(**values), Silent(), self)

    def resume(self, identifier: str = "", **request: Any) -> Any:
        newest = identifier or self.fleet.rollouts()[-1]
        return run_rollout(RolloutRequest(resume=newest, **request), Silent(), self)

    def rows(self) -> list[BoardRow]:
        """The boards of the newest rollout."""
        return board_rows(reopen(self.fleet, ""))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    fleet_file = tmp_path / "boards.toml"
    fleet_file.write_text("".join(f'[boards.{name}]\nlabels = ["{name[-1]}"]\n' for name in NAMES))
    monkeypatch.setenv("ATLASFLOW_FLEET", str(fleet_file))
    Board.busy = Board.most = 0
    return Site(tmp_path)


def running(site: Site) -> dict[str, str | None]:
    return {name: board.active for name, board in site.boards.items()}


def test_every_board_gets_the_release_and_a_second_time_nothing_changes(site: Site) -> None:
    assert site.run().name == "Completed"
    assert set(running(site).values()) == {"r1"}
    assert site.fleet.wanted() == dict.fromkeys(NAMES, "r1")
    assert "| wave 1 of 3 (canary) | 1 | 1 | 0 | 0 | 0 | 0 |" in site.reports[-1]
    site.run()
    opened = reopen(site.fleet, "")
    assert {row.outcome for row in board_rows(opened)} == {"unchanged"}


def test_boards_of_a_wave_are_done_at_once_up_to_a_limit(site: Site) -> None:
    barrier = threading.Barrier(3, timeout=10)
    for board in site.boards.values():
        board.barrier = barrier
    site.run(waves=(), limit=3, boards=NAMES[:9], everything=False)
    assert Board.most == 3


def test_boards_are_selected_by_name_label_and_share(site: Site) -> None:
    site.run(boards=("b3", "b1"), everything=False)
    assert [row.board for row in site.rows()] == ["b3", "b1"]
    site.run("r2", label="7", everything=False)
    assert running(site)["b7"] == "r2"
    site.run("r3", percent=30)
    assert list(running(site).values()).count("r3") == 3
    for wrong in (
        {"everything": False},
        {"boards": ("b1",)},
        {"boards": ("zz",), "everything": False},
        {"label": "zz", "everything": False},
    ):
        with pytest.raises(UserError):
            site.run(**wrong)


def test_a_canary_that_fails_stops_it(site: Site) -> None:
    site.boards["b0"].errors = [Corrupt("bytes differ")]
    with pytest.raises(GateFailed, match=r"stopped: 1 of 1 boards of wave 1 of 3 \(canary\) failed"):
        site.run()
    assert set(running(site).values()) == {None}
    assert site.fleet.wanted() == {}
    (row, *_) = site.rows()
    assert (row.outcome, row.message, row.exit_code) == ("failed", "bytes differ", Corrupt.exit_code)
    assert site.resume().name == "Completed"
    assert set(running(site).values()) == {"r1"}


def test_what_passes_by_itself_is_tried_again(site: Site) -> None:
    site.boards["b4"].errors = [Transient("cut")]
    site.run()
    assert running(site)["b4"] == "r1"
    site.boards["b5"].errors = [Transient("cut"), Transient("cut")]
    with pytest.raises(GateFailed):
        site.run("r2")


@pytest.mark.parametrize(("on_stop", "left"), [("stay", 5), ("wave", 1), ("fleet", 0)])
def test_a_stop_undoes_what_the_request_says(site: Site, on_stop: str, left: int) -> None:
    site.run("r1")
    site.boards["b3"].errors = [Corrupt("no")]
    with pytest.raises(GateFailed):
        site.run("r2", on_stop=on_stop, limit=1, waves=("1", "50%"))
    assert list(running(site).values()).count("r2") == min(left, 3)
    assert len(site.fallen) == {"stay": 0, "wave": 2, "fleet": 3}[on_stop], "what was undone is told of"
    assert "b3" in site.held[-1]
    assert all(site.fleet.wanted()[name] == active for name, active in running(site).items())


def test_a_board_whose_smoke_test_failed_is_told_of(site: Site) -> None:
    site.boards["b6"].errors = [GateFailed("board b6: 3 of 50 images differ")]
    site.run(max_failed=0.2)
    assert site.fallen == ["b6"]


def test_a_champion_that_the_fleet_gives_up_is_demoted(site: Site) -> None:
    registry = Registry(site.fleet.folder.parent)
    registry.promote(champion("r1"), ["k"], over="", pending=False)
    registry.promote(champion("r2"), ["l"], over="r1", pending=False)
    site.run("r1")
    for on_stop, stands in (("wave", "r2"), ("fleet", "r1")):
        site.boards["b0"].errors = [Corrupt("no")]
        with pytest.raises(GateFailed):
            site.run("r2", on_stop=on_stop)
        present = registry.read().champion
        assert present
        assert present.release == stands
    ((demoted, champion_now, why),) = site.demoted
    assert champion_now
    assert (demoted.release, champion_now.release) == ("r2", "r1")
    assert "1 of 1 boards of wave 1 of 3 (canary) failed" in why
    assert set(running(site).values()) == {"r1"}


def test_failures_below_the_threshold_are_left_for_reconcile(site: Site) -> None:
    site.boards["b6"].errors = [Corrupt("no")]
    state = site.run(max_failed=0.2)
    assert "1 boards failed: b6" in state.message
    assert running(site)["b6"] is None
    assert site.fleet.wanted()["b6"] == "r1"
    world = site.chain().world

    def found_by(dry_run: bool) -> dict[str, str]:
        rows = reconcile(world, site.fleet, NAMES, limit=4, dry_run=dry_run, force=False)
        return {row.board: row.found for row in rows}

    found = found_by(dry_run=True)
    assert found == {**dict.fromkeys(NAMES, "as wanted"), "b6": "differs"}
    found = found_by(dry_run=False)
    assert found["b6"] == "put right"
    assert running(site)["b6"] == "r1"


def test_reconcile_leaves_a_board_alone_that_gave_the_release_up(site: Site) -> None:
    site.run("r1")
    site.run("r2")
    site.boards["b2"].rollback("first live images failed: not numbers", RollbackCause.WATCHDOG)
    world = site.chain().world
    (row,) = reconcile(world, site.fleet, ["b2"], limit=1, dry_run=False, force=False)
    assert (row.found, row.exit_code) == ("gave it up", GateFailed.exit_code)
    assert "not numbers" in row.message
    assert running(site)["b2"] == "r1"
    (row,) = reconcile(world, site.fleet, ["b2"], limit=1, dry_run=False, force=True)
    assert row.found == "put right"
    site.boards["b2"].rollback()
    (row,) = reconcile(world, site.fleet, ["b2"], limit=1, dry_run=True, force=False)
    assert row.found == "differs"
    (row,) = reconcile(world, site.fleet, ["laptop"], limit=1, dry_run=True, force=False)
    assert row.found == "nothing wanted"


def test_pauses_wait_for_a_word(site: Site) -> None:
    assert site.run(pause="each").name == "Paused"
    assert list(running(site).values()).count("r1") == 1
    assert site.resume().name == "Paused"
    assert list(running(site).values()).count("r1") == 5
    assert site.resume().name == "Completed"
    with pytest.raises(UserError, match="is done"):
        site.resume()
    with pytest.raises(UserError, match="no rollout 'x'"):
        site.resume("x")


class Killed(BaseException):
    """The process is gone."""


def test_killed_in_the_middle_of_a_wave_it_goes_on_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every event: what was recorded is true, and a resumed rollout ends as an undisturbed one."""
    for number in itertools.count(1):
        for board in site.boards.values():
            board.active = None
        count = 0

        def record(self: OpenRollout, event: Event, number: int = number, append: Any = OpenRollout.record) -> None:
            nonlocal count
            count += 1
            if count == number:
                raise Killed
            append(self, event)

        with monkeypatch.context() as patch:
            patch.setattr(OpenRollout, "record", record)
            try:
                site.run(limit=2)
            except Killed:
                pass
            else:
                break
        assert site.resume().name == "Completed"
        assert set(running(site).values()) == {"r1"}
    assert number == 2 * len(NAMES) + 1


def test_another_chip_is_refused_before_anything_is_copied(site: Site) -> None:
    with pytest.raises(GateFailed):
        site.run(chip="Ascend310B4")
    assert "b0 has Ascend310; the release is for Ascend310B4" in site.rows()[0].message


def test_undo_leaves_alone_what_others_changed(site: Site) -> None:
    site.run("r1")
    site.run("r2")
    site.boards["b1"].active = "someone else's"
    opened = reopen(site.fleet, "")
    world = site.chain().world
    rows = {row.board: row.outcome for row in undo(opened, site.fleet, world, None, Silent())}
    assert rows == {**dict.fromkeys(NAMES, "returned"), "b1": "left alone"}
    assert {active for name, active in running(site).items() if name != "b1"} == {"r1"}
    again = reopen(site.fleet, "")
    assert again.rollout.outcomes["b0"] == "returned"
    assert undo(again, site.fleet, world, 0, Silent()) == []
