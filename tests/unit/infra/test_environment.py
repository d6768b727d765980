"""The environment of services holds no secret that they do not need."""

import pytest

from infra.environment import inherited


def test_services_inherit_no_secrets_that_they_do_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"ATLASFLOW_OBS__SECRET_KEY", "ATLASFLOW_RELEASE__PASSPHRASE", "ATLASFLOW_BOARDS__PORCH__PASSWORD"}
    secrets |= {"AWS_SECRET_ACCESS_KEY", "ATLASFLOW_SECRETS_DIR", "ATLASFLOW_STORE__MIRROR_SECRET"}
    for name in {*secrets, "ATLASFLOW_OBS__BUCKET"}:
        monkeypatch.setenv(name, "x")
    found = inherited(())
    assert not secrets & found.keys()
    assert {"ATLASFLOW_OBS__BUCKET", "PATH"} <= found.keys()
    told = inherited(("obs",))
    assert secrets & told.keys() == {"ATLASFLOW_OBS__SECRET_KEY", "ATLASFLOW_SECRETS_DIR"}
