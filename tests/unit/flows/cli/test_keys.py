"""Keys by the command: made, listed, rotated, revoked, carried to another home; and what they sign."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from infra.errors import Corrupt, Refused, UserError
from infra.settings.release import ReleaseSettings
from infra.trust.keyring import Kind, read_keyring
from infra.trust.sign import ReleaseSigner
from tests import boards


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def invoke(*words: object, home: str = "home") -> str:
        monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / home))
        result = CliRunner().invoke(app.app, [*map(str, words)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


def test_a_key_is_made_rotated_and_revoked(run: Any, tmp_path: Path) -> None:
    run("keys", "new", "factory")
    (first,) = read_keyring(tmp_path / "home").keys
    assert Path(first.source).stat().st_mode & 0o777 == 0o600
    assert first.kind is Kind.RELEASE
    with pytest.raises(UserError, match="there is a key"):
        run("keys", "new", "factory")
    run("keys", "rotate", "factory")
    listed = json.loads(run("keys", "list", "--json"))
    assert [key["name"] for key in listed] == ["factory", "factory"]
    signing = read_keyring(tmp_path / "home").signing("factory")
    assert signing is not None
    assert signing.id == listed[1]["id"] != first.id
    run("keys", "revoke", first.id[:12], "--why", "lost")
    assert "revoked" in run("keys", "list")
    board = json.loads(read_keyring(tmp_path / "home").for_board("main", "Ascend310", stand_in=False))
    assert [key["revoked"] for key in board["keys"]] == [True, False]
    assert "PRIVATE" not in json.dumps(board)


def test_a_passphrase_encrypts_the_file_and_others_must_not_read_it(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infra.trust.signer import open_signer

    monkeypatch.setenv("ATLASFLOW_RELEASE__PASSPHRASE", "long and secret")
    path = tmp_path / "factory.pem"
    run("keys", "new", "factory", "--file", path)
    assert "ENCRYPTED" in path.read_text()
    (key,) = read_keyring(tmp_path / "home").keys
    assert open_signer(key, "long and secret")(b"data")
    for wrong in ("", "other"):
        with pytest.raises(UserError, match="passphrase"):
            open_signer(key, wrong)
    path.chmod(0o640)
    with pytest.raises(Refused, match="others can read"):
        open_signer(key, "long and secret")


def test_another_home_verifies_what_it_imported(run: Any, tmp_path: Path) -> None:
    folder = boards.release_folder(tmp_path / "release", "first")
    run("release", "sign", folder)  # a stand-in's: the development key, which is made now
    assert "development" in run("release", "verify", folder)
    with pytest.raises(Refused, match="not signed for this board"):
        run("release", "verify", folder, home="other")
    (tmp_path / "public.pem").write_text(run("keys", "export", "development"))
    run("keys", "import", "elsewhere", tmp_path / "public.pem", home="other")
    assert not read_keyring(tmp_path / "other").keys[0].source
    with pytest.raises(Refused, match="made by a stand-in"):  # imported keys are release keys
        run("release", "verify", folder, home="other")
    (folder / "model.om").write_bytes(b"evil")
    with pytest.raises(Corrupt, match=r"model\.om"):
        run("release", "verify", folder)


def test_a_release_key_never_signs_what_a_stand_in_made(run: Any, tmp_path: Path) -> None:
    run("keys", "new", "factory")
    folder = boards.release_folder(tmp_path / "release", "first")
    assert "development" in run("release", "sign", folder, "--set", "release.key=factory")
    signer = ReleaseSigner(tmp_path / "home", ReleaseSettings(key="factory"))
    assert signer.key(emulated=True).kind is Kind.DEVELOPMENT
    key = signer.key(emulated=False)
    assert key.kind is Kind.RELEASE
    release = boards.release(tmp_path / "again", "again")
    with pytest.raises(Refused, match="a release key never signs it"):
        signer.sign_with(key, {"Ascend310": release})
