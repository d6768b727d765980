"""What every Board keeps to: the stand-in's own SSH server, and a real OpenSSH server in front of such a home."""

import asyncio
import contextlib
import dataclasses
import getpass
import itertools
import json
import os
import shlex
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import asyncssh
import numpy as np
import pytest
from PIL import Image

from infra.board import emulator
from infra.board.session import Session
from infra.board.ssh import SshBoard
from infra.errors import AtlasFlowError, Corrupt, GateFailed, Refused, Transient, UserError
from infra.faults import FaultPlan
from infra.fleet import Fleet
from infra.ports import Release
from infra.services import Services
from infra.settings import BoardSettings
from infra.settings.drift import DriftSettings
from infra.store.artifacts import folder_files
from tasks.drift import reason, survey
from tasks.reference import FILE, reference
from tests import boards, openssh

NAME = "bench-1"
NUMBERS = itertools.count()


@dataclasses.dataclass
class Site:
    """A board that runs, and where its files are."""

    settings: BoardSettings
    folder: Path

    @property
    def home(self):
        return self.folder / "home"


@pytest.fixture(scope="module", params=["stand-in", "openssh"])
def running(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    services = Services(home)
    service = emulator.service(services, home, NAME)
    settings = emulator.board_settings(services, home, NAME)
    site = Site(settings, home / "boards" / NAME)
    if request.param == "stand-in":
        services.start(service)
        yield site
        services.stop(service.name)
        return
    if openssh.missing():
        pytest.skip(openssh.missing())
    with openssh.OpenSsh(site.folder) as port:
        yield Site(settings.model_copy(update={"port": port, "user": getpass.getuser()}), site.folder)


@pytest.fixture
def site(running):
    """The running board with a release folder of this test's own, whose name wants quoting."""
    name = f"it's folder $(number) {next(NUMBERS)}"
    return Site(running.settings.model_copy(update={"folder": name}), running.folder)


@pytest.fixture
def board(site):
    return SshBoard(NAME, site.settings)


def root(site):
    return site.home / site.settings.folder


def test_facts_say_that_it_is_a_stand_in(board):
    facts = board.facts()
    assert facts.emulated
    assert (facts.name, facts.soc_version, facts.cann, facts.npu) == (NAME, "Ascend310", "stand-in", "310 OK")
    assert facts.free_bytes > 0
    assert facts.python.startswith("3.")
    assert facts.architecture == os.uname().machine


def test_a_new_board_runs_nothing(board):
    state = board.state()
    assert (state.active, state.previous, state.releases) == (None, None, ())


def test_install_puts_a_release_into_service(board, site, tmp_path):
    release = boards.release(tmp_path / "r")
    moved = []
    installed = board.install(release, moved.append)
    assert installed.changed
    assert installed.files_sent == len(release.files)
    assert installed.bytes_sent == sum(moved) == sum(file.size for file in release.files.values())
    assert installed.smoke["agreement"] == 1.0
    assert installed.smoke["max_difference"] <= 1e-3
    assert board.state().active == release.id
    assert (root(site) / "current" / "model.om").read_bytes() == (tmp_path / "r" / "model.om").read_bytes()


def test_a_second_install_changes_nothing(board, site, tmp_path):
    release = boards.release(tmp_path / "r")
    first = board.install(release)
    before = snapshot(root(site))
    second = board.install(release)
    assert (second.changed, second.files_sent, second.bytes_sent) == (False, 0, 0)
    assert second.smoke == first.smoke
    assert snapshot(root(site)) == before


def snapshot(folder):
    """Every path with its inode and time of change; the lock's content says who deployed last."""
    return {
        path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in folder.rglob("*") if path.name not in {"lock"}
    }


def test_only_what_is_new_is_copied(board, site, tmp_path):
    board.install(boards.release(tmp_path / "a", "a"))
    installed = board.install(boards.release(tmp_path / "b", "b", seed=7))
    assert installed.files_sent == 4  # model, golden logits, their classes, description
    state = board.state()
    assert (state.active, state.previous, state.releases) == ("b", "a", ("a", "b"))


def test_rollback_brings_the_previous_release_back(board, tmp_path):
    board.install(boards.release(tmp_path / "a", "a"))
    with pytest.raises(Refused, match="no previous release"):
        board.rollback()
    board.install(boards.release(tmp_path / "b", "b", seed=7))
    state = board.rollback()
    assert (state.active, state.previous) == ("a", "b")
    assert [entry["event"] for entry in board.journal()] == ["switch", "switch", "rollback"]


def test_a_release_that_fails_its_smoke_test_never_serves(board, site, tmp_path):
    wrong = boards.release(tmp_path / "wrong", "wrong", wrong=0.5)
    with pytest.raises(GateFailed, match="smoke test failed"):
        board.install(wrong)
    assert board.state().active is None
    board.install(boards.release(tmp_path / "a", "a"))
    with pytest.raises(GateFailed, match="release a stays in service"):
        board.install(wrong)
    assert board.state().active == "a"


def test_an_active_release_that_went_bad_gives_way(board, site, tmp_path):
    board.install(boards.release(tmp_path / "a", "a"))
    release = boards.release(tmp_path / "b", "b", seed=7)
    board.install(release)
    # The same id now comes with golden outputs that the board cannot give.
    with pytest.raises(GateFailed, match="release a is back in service"):
        board.install(boards.release(tmp_path / "b2", "b", seed=7, wrong=1.0))
    assert board.state().active == "a"


def test_damage_on_the_board_is_repaired(board, site, tmp_path):
    release = boards.release(tmp_path / "a", "a")
    board.install(release)
    victim = root(site) / "current" / "model.om"
    victim.write_bytes(victim.read_bytes()[:-1])
    installed = board.install(release)
    assert (installed.changed, installed.files_sent) == (True, 1)
    assert board.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")


def test_a_file_that_is_not_what_its_digest_says(board, site, tmp_path):
    release = boards.release(tmp_path / "a", "a")
    model = release.files["model.om"]
    model.path.write_bytes(model.path.read_bytes() + b"!")
    with pytest.raises(Corrupt, match=r"model\.om") as caught:
        board.install(release)
    assert "on this machine" in caught.value.hint
    assert board.state().releases == ()


@pytest.mark.parametrize("point", ["preflight", "lock", "plan", "copy#2", "copied", "settled", "smoke", "switch"])
def test_a_cut_connection_leaves_the_old_release_in_service(site, tmp_path, point):
    good = SshBoard(NAME, site.settings)
    good.install(boards.release(tmp_path / "a", "a"))
    second = boards.release(tmp_path / "b", "b", seed=7)
    with pytest.raises(Transient):
        SshBoard(NAME, site.settings, FaultPlan.parse(f"cut@board.{point}")).install(second)
    assert good.state().active == "a"
    assert good.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")
    assert good.install(second).changed
    assert good.state().active == "b"


def test_a_cut_copy_goes_on_where_it_was(site, tmp_path):
    release = boards.release(tmp_path / "a", "a")
    with pytest.raises(Transient):
        SshBoard(NAME, site.settings, FaultPlan.parse("cut@board.copied")).install(release)
    assert SshBoard(NAME, site.settings).install(release).files_sent == 0


class Meddling(FaultPlan):
    """Does something when a point is reached for the first time."""

    def __init__(self, point, deed):
        super().__init__()
        self.point = point
        self.deed = deed

    def reach(self, point):
        if point == self.point and not self.visits[point]:
            self.deed()
        return super().reach(point)


@pytest.mark.parametrize("point", ["plan", "copy", "copied", "settled", "smoke", "switch"])
def test_a_board_that_goes_dark_keeps_a_working_release(site, tmp_path, point):
    """The process that changes the board is killed, as by a power cut, at every step."""
    good = SshBoard(NAME, site.settings)
    good.install(boards.release(tmp_path / "a", "a"))
    second = boards.release(tmp_path / "b", "b", seed=7)

    def cut():
        os.kill(int((root(site) / "lock").read_text().rsplit(" ", 1)[1]), signal.SIGKILL)

    with pytest.raises(Transient):
        SshBoard(NAME, site.settings, Meddling(f"board.{point}", cut)).install(second)
    assert good.state().active == "a"
    assert good.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")[0].top
    assert good.install(second).changed


def test_a_full_disk(site, tmp_path):
    good = SshBoard(NAME, site.settings)
    good.install(boards.release(tmp_path / "a", "a"))
    second = boards.release(tmp_path / "b", "b", seed=7)
    part = root(site) / "incoming" / "b" / "model.om.part"
    with pytest.raises(Refused) as caught:
        SshBoard(NAME, site.settings, Meddling("board.plan", lambda: part.symlink_to("/dev/full"))).install(second)
    assert "space" in str(caught.value)
    assert good.state().active == "a"
    part.unlink()
    assert good.install(second).changed


def test_bytes_that_change_on_the_way(site, tmp_path):
    release = boards.release(tmp_path / "a", "a")
    part = root(site) / "incoming" / "a" / "model.om.part"
    meddling = Meddling("board.copied", lambda: part.write_bytes(part.read_bytes()[:-1] + b"?"))
    with pytest.raises(Corrupt, match=r"'model.om' did not arrive whole") as caught:
        SshBoard(NAME, site.settings, meddling).install(release)
    assert "on this machine" not in caught.value.hint
    assert SshBoard(NAME, site.settings).install(release).files_sent == 1


@pytest.mark.parametrize(("code", "error"), [(207018, Transient), (507008, Refused), (107001, Refused)])
def test_a_chip_that_is_busy_or_refuses(board, site, tmp_path, code, error):
    board.install(boards.release(tmp_path / "a", "a"))
    source = f"EMULATED = True\ndef get_soc_name():\n    return 'Ascend310'\ndef init():\n    return {code}\n"
    with pretended_toolkit(site, source), pytest.raises(error, match=str(code)) as caught:
        board.install(boards.release(tmp_path / "b", "b", seed=7))
    assert "release a stays in service" in caught.value.hint
    assert board.state().active == "a"


class Link:
    """A TCP link to a port that delivers so many bytes a second, until it is to stand still."""

    def __init__(self, port, bytes_a_second):
        self.pause = 4096 / bytes_a_second
        self.standing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = port
        self.sockets = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [near, far]
                threading.Thread(target=self.carry, args=(near, far, lambda: self.pause), daemon=True).start()
                threading.Thread(target=self.carry, args=(far, near, lambda: 0), daemon=True).start()

    def carry(self, source, target, pause):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                time.sleep(pause() * len(data) / 4096)
                if self.standing.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        for item in self.sockets:
            item.close()


@pytest.fixture
def link(site):
    found = Link(site.settings.port, 300_000)
    yield found
    found.close()


def test_a_slow_link_is_only_slow(site, link, tmp_path):
    slow = SshBoard(NAME, site.settings.model_copy(update={"port": link.port}))
    release = boards.release(tmp_path / "a", "a")
    moved = []
    assert slow.install(release, moved.append).changed
    assert sum(moved) == sum(file.size for file in release.files.values())
    assert slow.state().active == "a"


def test_a_link_that_stands_still_is_given_up_at_both_ends(site, link, tmp_path, monkeypatch):
    """The board must not stay locked by a connection that is dead and that nobody has closed."""
    good = SshBoard(NAME, site.settings)
    good.install(boards.release(tmp_path / "a", "a"))
    settings = site.settings.model_copy(update={"port": link.port})
    second = boards.release(tmp_path / "b", "b", seed=7)
    with monkeypatch.context() as patch:
        patch.setattr("infra.board.connection.KEEPALIVE_SECONDS", 0.2)
        patch.setattr("infra.board.session.IDLE_SECONDS", 3)
        with pytest.raises(Transient):
            SshBoard(NAME, settings, Meddling("board.copy", link.standing.set)).install(second)
    assert good.state().active == "a"
    assert SshBoard(NAME, site.settings, lock_seconds=60).install(second).changed


def test_a_client_with_nothing_to_ask_shows_signs_of_life(site, monkeypatch):
    monkeypatch.setattr("infra.board.session.BEAT_SECONDS", 0.2)
    monkeypatch.setattr("infra.board.session.IDLE_SECONDS", 1)

    async def idle(seconds):
        async with Session(NAME, site.settings, FaultPlan()) as session:
            await asyncio.sleep(seconds)
            return await session.ask("state")

    assert asyncio.run(idle(2.5))["active"] is None
    monkeypatch.setattr("infra.board.session.BEAT_SECONDS", 60)
    with pytest.raises(Transient):
        asyncio.run(idle(2.5))


def test_a_long_copy_keeps_the_board_s_lock(site, link, tmp_path, monkeypatch):
    """Nothing is asked while files are on their way; that they arrive keeps the board from giving up."""
    monkeypatch.setattr("infra.board.session.IDLE_SECONDS", 4)
    link.pause = 4096 / 40_000  # the release takes some seven seconds
    assert (
        SshBoard(NAME, site.settings.model_copy(update={"port": link.port}))
        .install(boards.release(tmp_path / "a", "a"))
        .changed
    )


def test_an_emulated_release_is_refused_by_a_real_board(board, site, tmp_path):
    with pretended_toolkit(site, "def get_soc_name():\n    return 'Ascend310'\n"):
        assert not board.facts().emulated
        with pytest.raises(Refused, match="made by a stand-in"):
            board.install(boards.release(tmp_path / "a"))
    assert not root(site).exists()


def test_a_toolkit_that_cannot_be_imported(board, site, tmp_path):
    with (
        pretended_toolkit(site, "raise ImportError('libascendcl.so: cannot open shared object file')\n"),
        pytest.raises(Refused, match=r"libascendcl\.so"),
    ):
        board.install(boards.release(tmp_path / "a", emulated=False))


class pretended_toolkit:  # noqa: N801 - used like a function
    """Another `acl` in place of the stand-in's."""

    def __init__(self, site, source):
        self.script = site.home / "Ascend" / "ascend-toolkit" / "set_env.sh"
        self.folder = site.folder / "pretended"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "acl.py").write_text(source)

    def __enter__(self):
        self.text = self.script.read_text()
        self.script.write_text(f'{self.text}export PYTHONPATH={shlex.quote(str(self.folder))}:"$PYTHONPATH"\n')

    def __exit__(self, *error):
        self.script.write_text(self.text)


def test_a_release_for_another_chip_is_refused(board, site, tmp_path):
    with pytest.raises(Refused, match=r"has Ascend310, release first is for Ascend310B4"):
        board.install(boards.release(tmp_path / "a", soc_version="Ascend310B4"))
    assert not root(site).exists()


def test_an_unknown_host_key_is_refused(site):
    settings = site.settings.model_copy(update={"host_key": ""})
    _, shown = SshBoard(NAME, settings).trust()
    with pytest.raises(Refused, match="is unknown") as caught:
        SshBoard(NAME, settings).state()
    assert shown in caught.value.message


def test_a_changed_host_key_is_refused(site):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    settings = site.settings.model_copy(update={"host_key": other})
    with pytest.raises(Refused, match="has changed") as caught:
        SshBoard(NAME, settings).state()
    assert SshBoard(NAME, settings).trust()[1] in caught.value.message


def test_another_key_cannot_log_in(site, tmp_path):
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))
    with pytest.raises(Refused, match="does not accept the login"):
        SshBoard(NAME, site.settings.model_copy(update={"key": str(key)})).state()


def test_two_deployers_take_turns(site, tmp_path):
    release = boards.release(tmp_path / "a", "a")
    outcome = []

    class Second(FaultPlan):
        """When the first has the lock, another one tries."""

        def reach(self, point):
            if point == "board.plan":
                second = SshBoard(NAME, site.settings, lock_seconds=0)
                with pytest.raises(Transient, match="another deployment is at work") as caught:
                    in_thread(lambda: second.install(release))
                outcome.append(caught.value.message)
            return super().reach(point)

    assert SshBoard(NAME, site.settings, Second()).install(release).changed
    assert getpass.getuser() in outcome[0]


def in_thread(work):
    """Run beside the event loop that is at work in this thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_pictures_are_classified_and_fetched(board, site, tmp_path):
    board.install(boards.release(tmp_path / "r"))
    picture = boards.picture(tmp_path / 'it\'s $(a) "picture"; & more.png')
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    answer, problem = board.classify([picture, broken], tmp_path / "out")
    pixels = np.asarray(Image.open(picture))[np.newaxis]
    expected = boards.preprocess.best(boards.logits(pixels, boards.weights()))
    assert [label for label, _ in answer.top] == [label for label, _ in expected]
    assert [p for _, p in answer.top] == pytest.approx([p for _, p in expected], abs=1e-5)
    assert answer.milliseconds > 0
    with Image.open(answer.annotated) as annotated:
        assert min(annotated.size) >= 256
    assert problem.top == ()
    assert problem.problem
    assert str(site.home) not in problem.problem


def test_classify_needs_a_release_and_pictures(board, tmp_path):
    with pytest.raises(UserError, match="there is no picture"):
        board.classify([tmp_path / "absent.png"], tmp_path)
    with pytest.raises(Refused, match="no release in service"):
        board.classify([boards.picture(tmp_path / "p.png")], tmp_path)


def test_prune_keeps_what_serves_and_what_served(board, site, tmp_path):
    for number, identifier in enumerate("abcd"):
        board.install(boards.release(tmp_path / identifier, identifier, seed=number))
    assert sorted(board.prune(keep=0)) == ["a", "b"]
    state = board.state()
    assert (state.active, state.previous, state.releases) == ("d", "c", ("c", "d"))
    assert sorted(path.name for path in (root(site) / "releases").iterdir()) == ["c", "d"]


@pytest.mark.parametrize("identifier", ["", "../x", "a b", "-x"])
def test_a_release_needs_a_plain_name(board, tmp_path, identifier):
    release = dataclasses.replace(boards.release(tmp_path / "a"), id=identifier)
    with pytest.raises(UserError, match="cannot name a release"):
        board.install(release)


def test_nobody_answers(site, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Transient, match="cannot be reached"):
        SshBoard(NAME, site.settings.model_copy(update={"port": port})).state()


def test_errors_are_ours(board, tmp_path):
    """Whatever goes wrong is an error that a person can act on."""
    release = boards.release(tmp_path / "a")
    release.files["model.om"].path.unlink()
    with pytest.raises(AtlasFlowError, match=r"model\.om"):
        board.install(release)


def test_a_model_is_tried_without_being_installed(board, site, tmp_path):
    board.install(boards.release(tmp_path / "a", "a"))
    before = snapshot(root(site))
    pixels = boards.images(7, seed=3)
    np.save(tmp_path / "images.npy", pixels)
    milliseconds = board.infer(
        boards.release(tmp_path / "b", "b", seed=7), tmp_path / "images.npy", tmp_path / "logits.npy"
    )
    assert milliseconds > 0
    expected = boards.logits(pixels, boards.weights(7))
    assert np.allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-4)
    kept = {path: mark for path, mark in snapshot(root(site)).items() if path.name != "work"}
    # The folder of the releases itself changes its time when `work` is made in it.
    assert kept.keys() == {path for path in before if path.name != "work"}, "nothing of the trial is left"
    assert board.state().active == "a"


def test_a_trial_is_refused_where_an_installation_would_be(board, site, tmp_path):
    np.save(tmp_path / "images.npy", boards.images(1))
    release = boards.release(tmp_path / "r", soc_version="Ascend310P3")
    with pytest.raises(Refused, match="Ascend310P3"):
        board.infer(release, tmp_path / "images.npy", tmp_path / "logits.npy")
    assert not (tmp_path / "logits.npy").exists()


def test_what_a_board_sees_is_told_and_drift_is_named(board, site, tmp_path):
    folder = boards.release_folder(tmp_path / "r")
    pictures = boards.images(40, seed=8)
    answers = boards.logits(pictures, boards.weights())
    (folder / FILE).write_text(json.dumps(reference(pictures, answers, 32)))
    files = folder_files(folder)[1]
    fleet = Fleet(tmp_path / "home")
    fleet.keep(files, "here")
    board.install(Release("first", files, "Ascend310", True))
    assert board.seen() is None
    camera = tmp_path / "camera"
    camera.mkdir()

    def watched(shown, name):
        for index, pixels in enumerate(shown):
            Image.fromarray(pixels).save(camera / f"{name}-{index}.png")
        program = root(site) / "current"
        finished = boards.run_agent(program, "watch", "--interval", "0.01", "--looks", "3", camera)
        assert finished.returncode == 0, finished.stderr
        limits = DriftSettings(min_images=40)
        (found,) = survey(SimpleNamespace(board=lambda _: board), fleet, [NAME], limits)
        return found

    calm = watched(pictures, "day")
    assert (calm.found, calm.images, max(calm.indices.values())) == ("steady", 40, 0.0)
    (camera / "torn.png").write_bytes(b"no picture")
    dark = watched(pictures // 8, "night")
    assert (dark.found, dark.images, board.seen().skipped) == ("drifted", 80, 1)
    assert all(f"{colour} (" in reason([dark]) for colour in ("red", "green", "blue"))
    assert reason([dark]).startswith(f"board {NAME} sees other images: ")
    board.install(boards.release(tmp_path / "second", "second", seed=4))
    assert board.seen().release == "first"  # until its program watches
    unknown = watched(pictures[:3], "next")
    assert (board.seen().release, board.seen().images) == ("second", 3)
    assert (unknown.found, unknown.message) == ("unknown", "release second is not kept here")
