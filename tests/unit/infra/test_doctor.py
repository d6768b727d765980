import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra import doctor, proxies, surroundings
from infra import world as world_module
from infra.errors import Refused, Transient, UserError
from infra.obs.bucket import Access
from infra.obs.errors import NoBucket
from infra.ports.upkeep import BoardCheck, Level, Step
from infra.ports.upkeep import Finding as Check
from infra.ports.values import Producer
from infra.services import Services
from infra.settings import load


class World:
    """A world without services whose compiler and object storage are what a test says."""

    def __init__(
        self,
        home: Any,
        producer: Any = None,
        error: Any = None,
        access: Any = None,
        offers: Any = None,
        checked: Any = None,
    ) -> None:
        self._access = access
        self._checked = checked
        self._offers = offers
        self.services = Services(home)
        self._producer = producer or Producer("atc-stand-in", "0123456789abcdef", True)
        self._error = error

    def compiler(self) -> Any:
        if self._error:
            raise self._error
        return SimpleNamespace(producer=lambda: self._producer)

    def modelarts(self) -> Any:
        if isinstance(self._offers, Exception):
            raise self._offers
        return SimpleNamespace(engines=lambda: self._offers["engine"], flavors=lambda: self._offers["flavor"])

    def board(self, name: str) -> Any:
        def check() -> Any:
            if isinstance(self._checked, Exception):
                raise self._checked
            return self._checked

        return SimpleNamespace(check=check)

    def prove_storage_access(self) -> Any:
        if isinstance(self._access, Exception):
            raise self._access
        return self._access


def as_world(world: World) -> world_module.World:
    return cast(world_module.World, world)


@pytest.fixture
def examine(tmp_path: Path) -> Any:
    def findings(world: World | None = None, **overrides: Any) -> Any:
        settings = load(overrides=overrides)
        return {item.check: item for item in doctor.examine(settings, tmp_path, as_world(world or World(tmp_path)))}

    return findings


def test_channels_and_undelivered_notifications_are_listed(examine: Any, tmp_path: Path) -> None:
    assert (examine()["notifications"].level, "lost notifications" in examine()) == ("note", False)
    mail = {"notify.mail_host": "smtp.example", "notify.mail_to": '["a@b.example"]'}
    assert examine(**mail)["notifications"].found == f"{', '.join(load().notify.kinds)} by mail"
    lost = tmp_path / "notify" / "undelivered"
    lost.mkdir(parents=True)
    (lost / "1.json").write_text('{"message": {"subject": "train failed"}}')
    assert "1 could not be delivered, such as 'train failed'" in examine()["lost notifications"].found


def test_every_finding_that_is_not_good_says_what_to_do(examine: Any) -> None:
    found = examine()
    assert {"Python", "mindspore", "disk", "memory", "processor", "local services", "ports", "compiler"} <= set(found)
    assert all(item.hint for item in found.values() if item.level != "good")
    assert found["object storage"].found == "the embedded stand-in"
    assert found["board laptop"].level == "note"


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10), "wrong"), ((3, 11), "good"), ((3, 12), "good"), ((3, 13), "wrong")]
)
def test_python(examine: Any, monkeypatch: pytest.MonkeyPatch, version: Any, level: str) -> None:
    monkeypatch.setattr("infra.doctor.sys.version_info", version)
    assert examine()["Python"].level == level


def test_a_package_that_is_missing(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("pytest", "no-such-package-anywhere"))
    found = examine()
    assert found["pytest"].level == "good"
    assert (found["no-such-package-anywhere"].level, found["no-such-package-anywhere"].hint) == ("wrong", "make setup")


def test_a_full_disk(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.doctor.shutil.disk_usage", lambda place: SimpleNamespace(free=1 << 30))
    assert examine()["disk"].level == "wrong"


def test_a_home_that_does_not_exist_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    found = doctor.examine(load(), tmp_path / "not" / "yet", as_world(World(tmp_path)))
    assert str(tmp_path) in next(item.found for item in found if item.check == "disk")


def test_a_folder_that_is_not_writable(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.doctor.os.access", lambda place, mode: mode != os.W_OK)
    assert "is not writable" in examine()["disk"].found


def test_little_memory_is_worth_a_note(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.doctor.psutil.virtual_memory", lambda: SimpleNamespace(available=1 << 30))
    assert examine()["memory"].level == "note"


def test_one_core_is_worth_a_note(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.doctor.os.sched_getaffinity", lambda pid: {0}, raising=False)
    assert examine()["processor"].level == "note"


def test_a_port_that_another_program_took_is_worth_a_note_and_wrong_where_a_setting_fixes_it(
    examine: Any, tmp_path: Path
) -> None:
    world = World(tmp_path)
    port = world.services.port("prefect")
    with socket.create_server(("127.0.0.1", port)):
        found = examine(world)["ports"]
        fixed = examine(world, **{"prefect.port": str(port)})["ports"]
    assert found.level == "note"
    assert f"{port} (prefect)" in found.found
    assert fixed.level == "wrong"
    assert f"prefect.port {port}" in fixed.found


def test_a_real_compiler_and_none(examine: Any, tmp_path: Path) -> None:
    assert examine(World(tmp_path, Producer("atc", "8.0", False)))["compiler"].level == "good"
    found = examine(World(tmp_path, error=UserError("atc is not on PATH", hint="install CANN")))["compiler"]
    assert (found.level, found.found, found.hint) == ("wrong", "atc is not on PATH", "install CANN")


def test_credentials_are_looked_for_and_not_shown(
    examine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint = {"obs.endpoint": "https://obs.example"}
    assert examine(**endpoint)["object storage"].level == "wrong"
    monkeypatch.setenv("ATLASFLOW_OBS__ACCESS_KEY", "nobody-may-see-this")
    assert examine(**endpoint)["object storage"].level == "wrong"
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "nobody-may-see-this")
    found = examine(World(tmp_path, access=Access(0.2, 1.0)), **endpoint)
    assert found["object storage"].level == "good"
    assert "a probe was written, read and deleted" in found["object storage"].found
    assert "nobody-may-see-this" not in str(found)


def test_access_that_does_not_work_and_a_wrong_clock(
    examine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint = {"obs.endpoint": "https://obs.example"}
    monkeypatch.setenv("ATLASFLOW_OBS__ACCESS_KEY", "key")
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "secret")
    refused = Refused("the key may not write", hint="ask the bucket's owner")
    found = examine(World(tmp_path, access=refused), **endpoint)["object storage"]
    assert (found.level, found.hint) == ("wrong", "ask the bucket's owner")
    late = examine(World(tmp_path, access=Access(0.2, -600.0)), **endpoint)["object storage"]
    assert (late.level, late.hint) == ("note", "set the clock")


def test_boards(examine: Any, tmp_path: Path) -> None:
    real = {"boards.laptop.address": "10.0.0.7"}
    assert examine(**real)["board laptop"].found == "its host key is not pinned"
    pinned = {**real, "boards.laptop.host_key": "ssh-ed25519 AAAA"}
    checked = BoardCheck((Check(Step.LOGIN, Level.GOOD, "HwHiAiUser"),), None)
    found = examine(World(tmp_path, checked=checked), **pinned)["board laptop"]
    assert (found.level, found.found) == ("good", "HwHiAiUser@10.0.0.7: ready for a deployment")
    old = Check(Step.PYTHON, Level.WRONG, "Pillow 5.0 is too old", "install Pillow 5.1 or later")
    found = examine(World(tmp_path, checked=BoardCheck((old,), None)), **pinned)["board laptop, Python"]
    assert (found.level, found.found, found.hint) == ("wrong", old.found, old.hint)
    gone = World(tmp_path, checked=Transient("it does not answer"))
    assert examine(gone, **pinned)["board laptop"].found == "it does not answer"
    assert examine(**{"deploy.boards": '["roof"]'})["board roof"].found == "not in [boards]"


CLOUD = {"train.target": "modelarts", "modelarts.endpoint": "https://modelarts.example"}
OFFERS = {"engine": ("mindspore-2", "pytorch-2"), "flavor": ("cpu.2u", "ascend.1")}


def test_modelarts_says_what_the_region_offers(examine: Any, tmp_path: Path) -> None:
    found = examine(World(tmp_path, offers=OFFERS), **CLOUD, **{"modelarts.flavor": "ascend.1"})
    assert found["ModelArts"].level == "good"
    assert found["ModelArts flavor"].level == "good"
    engine = found["ModelArts engine"]
    assert (engine.level, engine.found) == ("wrong", "not set")
    assert engine.hint == "set modelarts.engine to one of mindspore-2, pytorch-2"
    wrong = examine(World(tmp_path, offers=OFFERS), **CLOUD, **{"modelarts.engine": "mindspore-3"})
    assert wrong["ModelArts engine"].found == "there is no 'mindspore-3' in this region"


def test_modelarts_that_refuses_is_a_finding(examine: Any, tmp_path: Path) -> None:
    found = examine(World(tmp_path, offers=Refused("no permission", hint="ask for it")), **CLOUD)
    assert (found["ModelArts"].level, found["ModelArts"].hint) == ("wrong", "ask for it")
    assert "ModelArts engine" not in found


def test_modelarts_is_not_asked_when_nothing_trains_there_or_it_is_the_stand_in(examine: Any, tmp_path: Path) -> None:
    silent = World(tmp_path, offers=AssertionError("nobody was to ask"))
    assert "ModelArts" not in examine(silent)
    assert examine(silent, **{"train.target": "modelarts"})["ModelArts"].level == "note"


def test_a_prefect_server_elsewhere_that_does_not_answer_is_wrong(
    examine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = f"http://127.0.0.1:{server.getsockname()[1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", api)
    found = examine()
    assert found["Prefect server"].level == "wrong"
    assert api in found["Prefect server"].found
    assert "store.mirror" in found["mirror"].hint


def test_a_mirror_without_a_common_server_is_worth_knowing(examine: Any) -> None:
    assert "PREFECT_API_URL" in examine(**{"store.mirror": "obs://bucket/mirror"})["mirror"].hint
    assert "mirror" not in examine()


def test_a_bucket_that_the_next_step_makes_is_no_finding(
    examine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ATLASFLOW_OBS__ACCESS_KEY", "key")
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "secret")
    world = World(tmp_path, access=NoBucket("there is no such bucket"))
    found = examine(world, **{"obs.endpoint": "https://obs.example"})["object storage"]
    assert (found.level, found.hint) == ("good", "")


def test_proxies_that_cannot_be_used_are_worth_a_note(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    assert "proxy" not in examine()
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert (examine()["proxy"].level, examine()["proxy"].found) == ("good", "https_proxy: for the outside only")
    monkeypatch.delenv("https_proxy")
    monkeypatch.setenv(proxies.UNUSABLE, "all_proxy")
    assert examine()["proxy"].level == "note"


def test_locks_must_keep_others_out(examine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine()["locks"].level == "good"
    monkeypatch.setattr(surroundings, "is_held", lambda path: False)
    assert (examine()["locks"].level, "keep others out" in examine()["locks"].found) == ("wrong", True)

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(surroundings, "hold", refuse)
    assert "No locks available" in examine()["locks"].found


@pytest.mark.parametrize(
    ("name", "content", "noted"),
    [
        (".env", b"PREFECT_API_URL=http://elsewhere/api\n", True),
        (".env", b"# \xd6\xd0\nexport ATLASFLOW_TRAIN__EPOCHS=3\n", True),
        (".env", b"FOO=bar\n", False),
        ("prefect.toml", b"", True),
        ("pyproject.toml", b"[project]\nname = 'x'\n[tool.prefect]\n", True),
        ("pyproject.toml", b"[project]\nname = 'prefect'\n", False),
    ],
)
def test_files_that_do_not_count_are_worth_a_note(
    examine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, noted: bool
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / name).write_bytes(content)
    monkeypatch.chdir(folder)
    assert (name in examine()) == noted


def test_the_home_that_has_a_port_is_named(examine: Any, tmp_path: Path) -> None:
    waiting = "import os, socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
    waiting += "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", waiting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ATLASFLOW_HOME": "/srv/other"},
    )
    with other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        (tmp_path / "services").mkdir()
        (tmp_path / "services" / "ports.json").write_text(f'{{"prefect": {port}}}')
        assert examine()["ports"].found == f"taken: {port} (prefect) by the home /srv/other"
        other.communicate()
