"""`atlasflow obs` on the embedded server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from infra.errors import Refused, UserError
from infra.services import Services

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("home")
    yield folder
    services = Services(folder)
    for status in services.status():
        services.stop(status.name)


@pytest.fixture
def obs(home: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ATLASFLOW_HOME", str(home))

    def run(*words: Any, profile: str = "local") -> Any:
        result = CliRunner().invoke(app, ["obs", *map(str, words), "--profile", profile])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    folder = tmp_path / "tree"
    (folder / "inner").mkdir(parents=True)
    (folder / "one.txt").write_text("one")
    (folder / "inner" / "two.txt").write_text("two!")
    return folder


@pytest.mark.parametrize(("profile", "scheme"), [("local", "obs"), ("twin", "s3")])
def test_a_folder_goes_there_and_back(obs: Any, tree: Any, tmp_path: Path, profile: str, scheme: str) -> None:
    place = f"{scheme}://atlasflow/{profile}"
    assert "copied 2 files" in obs("copy", tree, f"{place}/", profile=profile)
    listed = json.loads(obs("list", place, "--json", profile=profile))
    assert listed == [{"name": "inner/", "size": 4}, {"name": "one.txt", "size": 3}]
    names = [entry["name"] for entry in json.loads(obs("list", place, "--recursive", "--json", profile=profile))]
    assert names == ["inner/two.txt", "one.txt"]
    obs("copy", place, tmp_path / "back", profile=profile)
    assert (tmp_path / "back" / "inner" / "two.txt").read_text() == "two!"
    obs("remove", place, "--recursive", profile=profile)
    with pytest.raises(Refused, match="there is nothing at"):
        obs("list", place, profile=profile)


def test_a_file_into_a_folder_keeps_its_name(obs: Any, tree: Any, tmp_path: Path) -> None:
    assert "(stand-in)" in obs("copy", tree / "one.txt", "obs://atlasflow/files/")
    obs("copy", "obs://atlasflow/files/one.txt", "obs://atlasflow/files/renamed.txt")
    assert "            3  one.txt" in obs("list", "obs://atlasflow/files/one.txt")
    (tmp_path / "out").mkdir()
    obs("copy", "s3://atlasflow/files/renamed.txt", tmp_path / "out")
    assert (tmp_path / "out" / "renamed.txt").read_text() == "one"
    obs("remove", "obs://atlasflow/files/one.txt")
    assert "one.txt" not in obs("list", "obs://atlasflow/files")


def test_a_folder_as_one_archive(obs: Any, tree: Any, tmp_path: Path) -> None:
    assert "2 files as one archive" in obs("copy", tree, "obs://atlasflow/tree.tar", "--archive")
    assert "nothing" in obs("copy", tree, "obs://atlasflow/tree.tar", "--archive")
    obs("copy", "obs://atlasflow/tree.tar", tmp_path / "unpacked", "--archive")
    assert (tmp_path / "unpacked" / "inner" / "two.txt").read_text() == "two!"
    with pytest.raises(UserError, match="--archive needs a folder"):
        obs("copy", "obs://atlasflow/tree.tar", "obs://atlasflow/other.tar", "--archive")


def test_a_link_works_for_anybody_until_it_expires(obs: Any, tree: Any) -> None:
    obs("copy", tree / "one.txt", "obs://atlasflow/linked.txt", profile="twin")
    link = obs("link", "obs://atlasflow/linked.txt", "--seconds", "90", profile="twin").strip()
    assert "X-Amz-Expires=90&" in link
    assert httpx.get(link).text == "one"
    with pytest.raises(Refused, match="no such object"):
        obs("link", "obs://atlasflow/absent.txt")


def test_what_cannot_work_is_explained(obs: Any, tree: Any) -> None:
    with pytest.raises(Refused, match="no such bucket"):
        obs("copy", tree, "obs://somebody-elses/x/")
    with pytest.raises(Refused, match="no such object"):
        obs("copy", "obs://atlasflow/absent", tree / "absent")
    with pytest.raises(UserError, match="not the address of an object"):
        obs("remove", tree)
    with pytest.raises(UserError, match="names no object"):
        obs("link", "obs://atlasflow")
    with pytest.raises(UserError, match="not the address of an object"):
        obs("list", "http://atlasflow/x")
    with pytest.raises(UserError, match="whole bucket"):
        obs("remove", "obs://atlasflow/", "--recursive")
    with pytest.raises(UserError, match="there is no file"):
        obs("copy", tree / "absent", "obs://atlasflow/absent")


def test_the_variables_for_other_programs_reach_the_stand_in(obs: Any) -> None:
    found = json.loads(obs("env", "--json", profile="twin"))
    assert found["OBS_ENDPOINT"] == found["AWS_ENDPOINT_URL_S3"] == "https://obs.cn-north-4.myhuaweicloud.com"
    assert found["AWS_ACCESS_KEY_ID"] == found["OBS_ACCESS_KEY_ID"] == "atlasflow"
    assert found["https_proxy"].startswith("http://127.0.0.1:")
    assert Path(found["AWS_CA_BUNDLE"]).is_file()
    lines = obs("env").splitlines()
    assert f"export OBS_SECRET_ACCESS_KEY={found['OBS_SECRET_ACCESS_KEY']}" in lines
    assert not any("https_proxy" in line for line in lines)


def test_a_key_of_a_user_is_not_printed(obs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLASFLOW_OBS__ENDPOINT", "https://s3.example")
    monkeypatch.setenv("ATLASFLOW_OBS__ACCESS_KEY", "my-access")
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "my-secret")
    printed = obs("env")
    assert 'export AWS_SECRET_ACCESS_KEY="$ATLASFLOW_OBS__SECRET_KEY"' in printed
    assert "my-" not in printed
