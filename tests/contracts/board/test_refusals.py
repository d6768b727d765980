"""What a Board refuses: strangers, releases for another chip or from a stand-in, and names that are none."""

import dataclasses
from pathlib import Path

import asyncssh
import numpy as np
import pytest

from infra.board.client import SshBoard
from infra.errors import AtlasFlowError, Refused, UserError
from tests import boards
from tests.contracts.board.site import NAME, Site, pretended_toolkit, root


def test_an_emulated_release_is_refused_by_a_real_board(board: SshBoard, site: Site, tmp_path: Path) -> None:
    with pretended_toolkit(site, "def get_soc_name():\n    return 'Ascend310'\n"):
        assert not board.facts().emulated
        with pytest.raises(Refused, match="a stand-in compiler made"):
            board.install(boards.release(tmp_path / "a"))
    assert not (root(site) / "releases").exists()


def test_a_toolkit_that_cannot_be_imported(board: SshBoard, site: Site, tmp_path: Path) -> None:
    with (
        pretended_toolkit(site, "raise ImportError('libascendcl.so: cannot open shared object file')\n"),
        pytest.raises(Refused, match=r"libascendcl\.so"),
    ):
        board.install(boards.release(tmp_path / "a", emulated=False))


def test_a_release_for_another_chip_is_refused(board: SshBoard, site: Site, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"has Ascend310, release first is for Ascend310B4"):
        board.install(boards.release(tmp_path / "a", soc_version="Ascend310B4"))
    assert not (root(site) / "releases").exists()


def test_an_unknown_host_key_is_refused(site: Site) -> None:
    settings = site.settings.model_copy(update={"host_key": ""})
    shown = SshBoard(NAME, settings).host_key().fingerprint
    with pytest.raises(Refused, match="is unknown") as caught:
        SshBoard(NAME, settings).state()
    assert shown in caught.value.message


def test_a_changed_host_key_is_refused(site: Site) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    settings = site.settings.model_copy(update={"host_key": other})
    with pytest.raises(Refused, match="has changed") as caught:
        SshBoard(NAME, settings).state()
    assert SshBoard(NAME, settings).host_key().fingerprint in caught.value.message


def test_another_key_cannot_log_in(site: Site, tmp_path: Path) -> None:
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))
    with pytest.raises(Refused, match="does not accept the login"):
        SshBoard(NAME, site.settings.model_copy(update={"key": str(key)})).state()


def test_classify_needs_a_release_and_pictures(board: SshBoard, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no picture"):
        board.classify([tmp_path / "absent.png"], tmp_path)
    with pytest.raises(Refused, match="no release in service"):
        board.classify([boards.picture(tmp_path / "p.png")], tmp_path)


@pytest.mark.parametrize("identifier", ["", "../x", "a b", "-x"])
def test_a_release_needs_a_plain_name(board: SshBoard, tmp_path: Path, identifier: str) -> None:
    release = dataclasses.replace(boards.release(tmp_path / "a"), id=identifier)
    with pytest.raises(UserError, match="cannot name a release"):
        board.install(release)


def test_every_error_is_an_atlasflow_error(board: SshBoard, tmp_path: Path) -> None:
    """Whatever goes wrong is an error that a person can act on."""
    release = boards.release(tmp_path / "a")
    release.files["model.om"].path.unlink()
    with pytest.raises(AtlasFlowError, match=r"model\.om"):
        board.install(release)


def test_a_trial_is_refused_where_an_installation_would_be(board: SshBoard, site: Site, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", boards.images(1))
    release = boards.release_folder(tmp_path / "r", soc_version="Ascend310P3")
    with pytest.raises(Refused, match="Ascend310P3"):
        board.infer(release, tmp_path / "images.npy", tmp_path / "logits.npy")
    assert not (tmp_path / "logits.npy").exists()


def test_a_link_on_the_board_becomes_a_file_here(board: SshBoard, site: Site, tmp_path: Path) -> None:
    """Else the board would choose a file of this machine to be read, changed or overwritten later."""
    outputs = root(site) / "outputs"
    outputs.mkdir(parents=True)
    (outputs / "a.png").write_bytes(b"picture")
    (outputs / "b.png").symlink_to("a.png")
    for odd in (".hidden.png", "new\nline.png", "back\\slash.png", "program.sh"):
        (outputs / odd).write_bytes(b"odd")
    assert board.pull(tmp_path / "out").fetched == ("a.png", "b.png")
    assert not (tmp_path / "out" / "b.png").is_symlink()
    assert (tmp_path / "out" / "b.png").read_bytes() == b"picture"
