"""The rollout's own work without a Prefect server: tasks are plain calls, reports are counted."""

import itertools
import json
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from flows import rollout as module
from flows.rollout import RolloutRequest, markdown
from infra.champions import Registry
from infra.errors import Corrupt, GateFailed, Refused, Transient, UserError
from infra.fleet import Fleet
from infra.ports.upkeep import BoardStatus, JournalEntry, RollbackCause
from infra.settings import load
from tasks.engine.reporter import Silent
from tasks.fleet import rollout as work
from tests.unit.infra.champions import champion
from tests.unit.tasks.doubles import FakeBoard

NAMES = tuple(f"b{number}" for number in range(10))


class Board(FakeBoard):
    """Fails as told; knows its previous release; notes how many are at work at once."""

    busy = 0
    most = 0
    counting = threading.Lock()

    def __init__(self, name):
        super().__init__(name)
        self.errors = []
        self.previous = None
        self.journal = []

    def install(self, release, progress=None):
        with Board.counting:
            Board.busy += 1
            Board.most = max(Board.most, Board.busy)
        try:
            if self.errors:
                raise self.errors.pop(0)
            if self.active != release.id:
                self.previous, before = self.active, self.active
                self.journal.append(JournalEntry("switch", release.id, ""))
                done = super().install(release)
                self.previous = before
                return done
            return super().install(release)
        finally:
            with Board.counting:
                Board.busy -= 1

    def rollback(self, reason="", cause=RollbackCause.OPERATOR):
        if self.previous is None:
            raise Refused("no previous release")
        self.active, self.previous = self.previous, self.active
        self.journal.append(JournalEntry("rollback", self.active, "", reason, cause))
        return self.state()

    def status(self):
        return BoardStatus(self.active, self.previous, (), 0, tuple(self.journal))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Ten boards of a fleet file, and a way to roll out to them."""
    fleet_file = tmp_path / "boards.toml"
    fleet_file.write_text("".join(f'[boards.{name}]\nlabels = ["{name[-1]}"]\n' for name in NAMES))
    monkeypatch.setenv("ATLASFLOW_FLEET", str(fleet_file))
    boards = {name: Board(name) for name in NAMES}
    Board.busy = Board.most = 0
    reports = []

    def open_chain(profile, overrides, reporter):
        settings = load(profile, {"retry.attempts": "2", "retry.seconds": "0", **overrides})
        world = SimpleNamespace(board=boards.__getitem__, settings=settings, mirror=lambda: None, leases=lambda: None)
        return SimpleNamespace(settings=settings, home=tmp_path / "home", world=world)

    monkeypatch.setattr(module, "open_chain", open_chain)
    monkeypatch.setattr(module, "task", lambda **_: lambda function: function)
    monkeypatch.setattr(module, "FlowReporter", lambda inner: inner)
    monkeypatch.setattr(module, "publish", lambda opened: reports.append(markdown(opened)))
    fallen, held = [], []
    monkeypatch.setattr(module, "board_fell_back", lambda board, _release, _reason: fallen.append(board))
    monkeypatch.setattr(module, "holding", lambda limits, _home, _say: nullcontext(held.append(set(limits))))

    def release(identifier, soc="Ascend310"):
        folder = tmp_path / identifier
        folder.mkdir(exist_ok=True)
        said = {"id": identifier, "soc_version": soc, "emulated": True}
        (folder / "release.json").write_text(json.dumps(said))
        return {"deploy.release": str(folder)}

    def run(identifier="r1", chip="Ascend310", **request):
        values = {"everything": True, "settings": release(identifier, chip), "waves": ("1", "50%"), **request}
        return module.rollout.fn(RolloutRequest(**values))

    def resume(identifier="", **request):
        newest = identifier or Fleet(tmp_path / "home").rollouts()[-1]
        return module.rollout.fn(RolloutRequest(resume=newest, **request))

    return SimpleNamespace(
        boards=boards,
        run=run,
        resume=resume,
        fleet=Fleet(tmp_path / "home"),
        reports=reports,
        open_chain=open_chain,
        fallen=fallen,
        held=held,
    )


def running(site):
    return {name: board.active for name, board in site.boards.items()}


def test_every_board_gets_the_release_and_a_second_time_nothing_changes(site):
    assert site.run().name == "Completed"
    assert set(running(site).values()) == {"r1"}
    assert site.fleet.wanted() == dict.fromkeys(NAMES, "r1")
    assert "| wave 1 of 3 (canary) | 1 | 1 | 0 | 0 | 0 | 0 |" in site.reports[-1]
    site.run()
    opened = work.reopen(site.fleet, "")
    assert {row["outcome"] for row in work.rows(opened)} == {"unchanged"}


def test_boards_of_a_wave_are_done_at_once_up_to_a_limit(site):
    barrier = threading.Barrier(3, timeout=10)
    for board in site.boards.values():
        install = board.install

        def together(release, install=install):
            with Board.counting:
                Board.busy += 1
                Board.most = max(Board.most, Board.busy)
            barrier.wait()
            with Board.counting:
                Board.busy -= 1
            return install(release)

        board.install = together
    site.run(waves=(), limit=3, boards=NAMES[:9], everything=False)
    assert Board.most == 3


def test_boards_are_selected_by_name_label_and_share(site):
    site.run(boards=("b3", "b1"), everything=False)
    assert [row["board"] for row in work.rows(work.reopen(site.fleet, ""))] == ["b3", "b1"]
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


def test_a_canary_that_fails_stops_it(site):
    site.boards["b0"].errors = [Corrupt("bytes differ")]
    with pytest.raises(GateFailed, match=r"stopped: 1 of 1 boards of wave 1 of 3 \(canary\) failed"):
        site.run()
    assert set(running(site).values()) == {None}
    assert site.fleet.wanted() == {}
    (row, *_) = work.rows(work.reopen(site.fleet, ""))
    assert (row["outcome"], row["message"], row["exit_code"]) == ("failed", "bytes differ", Corrupt.exit_code)
    assert site.resume().name == "Completed"
    assert set(running(site).values()) == {"r1"}


def test_what_passes_by_itself_is_tried_again(site):
    site.boards["b4"].errors = [Transient("cut")]
    site.run()
    assert running(site)["b4"] == "r1"
    site.boards["b5"].errors = [Transient("cut"), Transient("cut")]
    with pytest.raises(GateFailed):
        site.run("r2")


@pytest.mark.parametrize(("on_stop", "left"), [("stay", 5), ("wave", 1), ("fleet", 0)])
def test_a_stop_undoes_what_was_asked_for(site, on_stop, left):
    site.run("r1")
    site.boards["b3"].errors = [Corrupt("no")]
    with pytest.raises(GateFailed):
        site.run("r2", on_stop=on_stop, limit=1, waves=("1", "50%"))
    assert list(running(site).values()).count("r2") == min(left, 3)
    assert len(site.fallen) == {"stay": 0, "wave": 2, "fleet": 3}[on_stop], "what was undone is told of"
    assert {"board:b3"} <= site.held[-1]
    assert all(site.fleet.wanted()[name] == active for name, active in running(site).items())


def test_a_board_whose_smoke_test_failed_is_told_of(site):
    site.boards["b6"].errors = [GateFailed("board b6: 3 of 50 images differ")]
    site.run(max_failed=0.2)
    assert site.fallen == ["b6"]


def test_a_champion_that_the_fleet_gives_up_is_champion_no_more(site, monkeypatch):
    heard = []
    monkeypatch.setattr(module, "announce", lambda kind, about, now, who, why: heard.append((kind, about, now, why)))
    registry = Registry(site.fleet.folder.parent)
    registry.promote(champion("r1"), ["k"], over="", pending=False)
    registry.promote(champion("r2"), ["l"], over="r1", pending=False)
    site.run("r1")
    for on_stop, stands in (("wave", "r2"), ("fleet", "r1")):
        site.boards["b0"].errors = [Corrupt("no")]
        with pytest.raises(GateFailed):
            site.run("r2", on_stop=on_stop)
        assert registry.read().champion.release == stands
    ((kind, about, now, why),) = heard
    assert (kind, about.release, now.release) == ("demoted", "r2", "r1")
    assert "1 of 1 boards of wave 1 of 3 (canary) failed" in why
    assert set(running(site).values()) == {"r1"}


def test_failures_below_the_threshold_are_left_for_reconcile(site):
    site.boards["b6"].errors = [Corrupt("no")]
    state = site.run(max_failed=0.2)
    assert "1 boards failed: b6" in state.message
    assert running(site)["b6"] is None
    assert site.fleet.wanted()["b6"] == "r1"
    world = site.open_chain("local", {}, None).world
    look = {"limit": 4, "force": False}
    found = {row["board"]: row["found"] for row in work.reconcile(world, site.fleet, NAMES, dry_run=True, **look)}
    assert found == {**dict.fromkeys(NAMES, "as wanted"), "b6": "differs"}
    found = {row["board"]: row["found"] for row in work.reconcile(world, site.fleet, NAMES, dry_run=False, **look)}
    assert found["b6"] == "put right"
    assert running(site)["b6"] == "r1"


def test_reconcile_leaves_a_board_alone_that_gave_the_release_up(site):
    site.run("r1")
    site.run("r2")
    site.boards["b2"].rollback("first live images failed: not numbers", RollbackCause.WATCHDOG)
    world = site.open_chain("local", {}, None).world
    (row,) = work.reconcile(world, site.fleet, ["b2"], limit=1, dry_run=False, force=False)
    assert (row["found"], row["exit_code"]) == ("gave it up", GateFailed.exit_code)
    assert "not numbers" in row["message"]
    assert running(site)["b2"] == "r1"
    (row,) = work.reconcile(world, site.fleet, ["b2"], limit=1, dry_run=False, force=True)
    assert row["found"] == "put right"
    site.boards["b2"].rollback()
    (row,) = work.reconcile(world, site.fleet, ["b2"], limit=1, dry_run=True, force=False)
    assert row["found"] == "differs"
    (row,) = work.reconcile(world, site.fleet, ["laptop"], limit=1, dry_run=True, force=False)
    assert row["found"] == "nothing wanted"


def test_pauses_wait_for_a_word(site):
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


def test_killed_in_the_middle_of_a_wave_it_goes_on_there(site, monkeypatch):
    """At every event: what was recorded is true, and a resumed rollout ends as an undisturbed one."""
    for number in itertools.count(1):
        for board in site.boards.values():
            board.active = None
        count = 0

        def record(self, event, number=number, append=work.Opened.__dict__["record"], **details):
            nonlocal count
            count += 1
            if count == number:
                raise Killed
            append(self, event=event, **details)

        with monkeypatch.context() as patch:
            patch.setattr(work.Opened, "record", record)
            try:
                site.run(limit=2)
            except Killed:
                pass
            else:
                break
        assert site.resume().name == "Completed"
        assert set(running(site).values()) == {"r1"}
    assert number == 2 * len(NAMES) + 1


def test_another_chip_is_told_before_anything_is_copied(site):
    with pytest.raises(GateFailed):
        site.run(chip="Ascend310B4")
    assert "b0 has Ascend310; the release is for Ascend310B4" in work.rows(work.reopen(site.fleet, ""))[0]["message"]


def test_undo_leaves_alone_what_others_changed(site):
    site.run("r1")
    site.run("r2")
    site.boards["b1"].active = "someone else's"
    opened = work.reopen(site.fleet, "")
    world = site.open_chain("local", {}, None).world
    rows = {row["board"]: row["outcome"] for row in work.undo(opened, site.fleet, world, None, Silent())}
    assert rows == {**dict.fromkeys(NAMES, "returned"), "b1": "left alone"}
    assert {active for name, active in running(site).items() if name != "b1"} == {"r1"}
    again = work.reopen(site.fleet, "")
    assert again.rollout.outcomes["b0"] == "returned"
    assert work.undo(again, site.fleet, world, 0, Silent()) == []
