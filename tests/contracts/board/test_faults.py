"""What a Board survives: damage, cut connections, boards that go dark, full disks, a busy chip."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from infra.board.client import SshBoard
from infra.errors import Corrupt, Refused, Transient
from infra.faults import FaultPlan
from tests import boards
from tests.contracts.board.site import NAME, Meddling, Site, pretended_toolkit, root


def test_damage_on_the_board_is_repaired(board: SshBoard, site: Site, tmp_path: Path) -> None:
    release = boards.release(tmp_path / "a", "a")
    board.install(release)
    victim = root(site) / "current" / "model.om"
    victim.write_bytes(victim.read_bytes()[:-1])
    installed = board.install(release)
    assert (installed.changed, installed.files_sent) == (True, 1)
    assert board.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")


def test_a_file_with_another_digest_is_reported(board: SshBoard, site: Site, tmp_path: Path) -> None:
    release = boards.release(tmp_path / "a", "a")
    model = release.files["model.om"]
    model.path.write_bytes(model.path.read_bytes() + b"!")
    with pytest.raises(Corrupt, match=r"model\.om") as caught:
        board.install(release)
    assert "on this machine" in caught.value.hint
    assert board.state().releases == ()


@pytest.mark.parametrize("point", ["preflight", "lock", "plan", "copy#2", "copied", "settled", "smoke", "switch"])
def test_a_cut_connection_leaves_the_old_release_in_service(site: Site, tmp_path: Path, point: str) -> None:
    good = SshBoard(NAME, site.settings)
    good.install(boards.release(tmp_path / "a", "a"))
    second = boards.release(tmp_path / "b", "b", seed=7)
    with pytest.raises(Transient):
        SshBoard(NAME, site.settings, FaultPlan.parse(f"cut@board.{point}")).install(second)
    assert good.state().active == "a"
    assert good.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")
    assert good.install(second).changed
    assert good.state().active == "b"


def test_a_cut_copy_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    release = boards.release(tmp_path / "a", "a")
    with pytest.raises(Transient):
        SshBoard(NAME, site.settings, FaultPlan.parse("cut@board.copied")).install(release)
    assert SshBoard(NAME, site.settings).install(release).files_sent == 0


@pytest.mark.parametrize("point", ["plan", "copy", "copied", "settled", "smoke", "switch"])
def test_a_board_that_goes_dark_keeps_a_working_release(site: Site, tmp_path: Path, point: str) -> None:
    """The process that changes the board is killed, as by a power cut, at every step."""
    good = SshBoard(NAME, site.settings)
    good.install(boards.release(tmp_path / "a", "a"))
    second = boards.release(tmp_path / "b", "b", seed=7)

    def cut() -> None:
        os.kill(int((root(site) / "lock").read_text().rsplit(" ", 1)[1]), signal.SIGKILL)

    with pytest.raises(Transient):
        SshBoard(NAME, site.settings, Meddling(f"board.{point}", cut)).install(second)
    assert good.state().active == "a"
    assert good.classify([boards.picture(tmp_path / "p.png")], tmp_path / "out")[0].top
    assert good.install(second).changed


def test_a_full_disk(site: Site, tmp_path: Path) -> None:
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


def test_bytes_that_change_on_the_way(site: Site, tmp_path: Path) -> None:
    release = boards.release(tmp_path / "a", "a")
    part = root(site) / "incoming" / "a" / "model.om.part"
    meddling = Meddling("board.copied", lambda: part.write_bytes(part.read_bytes()[:-1] + b"?"))
    with pytest.raises(Corrupt, match=r"'model.om' did not arrive completely") as caught:
        SshBoard(NAME, site.settings, meddling).install(release)
    assert "on this machine" not in caught.value.hint
    assert SshBoard(NAME, site.settings).install(release).files_sent == 1


@pytest.mark.parametrize(("code", "error"), [(207018, Transient), (507008, Refused), (107001, Refused)])
def test_a_chip_that_is_busy_or_refuses(board: SshBoard, site: Site, tmp_path: Path, code: int, error: Any) -> None:
    board.install(boards.release(tmp_path / "a", "a"))
    source = f"EMULATED = True\ndef get_soc_name():\n    return 'Ascend310'\ndef init():\n    return {code}\n"
    with pretended_toolkit(site, source), pytest.raises(error, match=str(code)) as caught:
        board.install(boards.release(tmp_path / "b", "b", seed=7))
    assert "release a stays in service" in caught.value.hint
    assert board.state().active == "a"
