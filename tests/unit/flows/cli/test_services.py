"""What `atlasflow up --show-credentials` prints for other programs."""

from pathlib import Path

from pydantic import SecretStr

from flows.cli.services import credentials
from infra.modelarts.emulator import server
from infra.obs.emulator import seaweedfs
from infra.services import Services
from infra.settings import Settings, load


def with_obs(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={"obs": settings.obs.model_copy(update=changes)})


def test_keys_certificate_and_proxy_of_the_stand_ins_are_shown(tmp_path: Path) -> None:
    settings, services = load("twin"), Services(tmp_path)
    text = "\n".join(credentials(settings, services, tmp_path))
    store = seaweedfs.reached(settings.obs, services, tmp_path)
    platform = server.reach(settings.modelarts, services, tmp_path)
    for shown in (store.endpoint, store.proxy, store.ca, store.secret_key.get_secret_value()):
        assert shown in text
    assert platform.secret_key.get_secret_value() in text
    assert platform.project_id in text


def test_no_key_of_a_user_is_shown(tmp_path: Path) -> None:
    own = {"endpoint": "https://s3.example", "access_key": SecretStr("my-access"), "secret_key": SecretStr("my-secret")}
    settings = with_obs(load("local"), **own)
    text = "\n".join(credentials(settings, Services(tmp_path), tmp_path))
    assert "my-" not in text
    assert "not a stand-in" in text
