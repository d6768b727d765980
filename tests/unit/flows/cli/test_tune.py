"""`atlasflow tune`: what cannot be searched is refused before anything is started."""

from pathlib import Path
from typing import Any

import pytest

from flows.cli import tune
from infra.errors import UserError
from tasks.tune import study


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Nothing here may get as far as Prefect; what would have been asked of it is collected."""
    asked = []

    def in_prefect(chain: Any, values: Any) -> Any:
        asked.append(values)
        return tmp_path, "said", "there"

    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(tune, "_in_prefect", in_prefect)
    (tmp_path / "trials.csv").write_text("trial,score\n0,12.5\n")
    return asked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipes": "nothing"}, "no recipe 'nothing'"),
        ({"networks": "lenet5,lenet6"}, "no network 'lenet6'"),
        ({"space": ["train.width"]}, "not a setting"),
        ({"space": ["train.width=1..2"]}, "a grid has no ranges"),
        ({"settings": ["tune.threads=-1"]}, "tune.threads"),
    ],
)
def test_a_wrong_request_is_refused_at_once(no_server: Any, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tune.tune(**options)
    assert no_server == []


@pytest.mark.parametrize("package", ["optuna", "prefect_dask"])
def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(study, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(UserError, match=rf"(?s)tuning needs {package}.*make dev"):
        tune.tune()


def test_options_become_the_request_and_the_table_is_shown(no_server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tune.tune(
        recipes="quick, lenet5-sample", space=["train.width=1..2"], search="tpe", trials=3, settings=["train.epochs=2"]
    )
    (asked,) = no_server
    assert asked["recipes"] == ("quick", "lenet5-sample")
    assert (asked["space"], asked["settings"]) == ({"train.width": "1..2"}, {"train.epochs": "2"})
    shown = capsys.readouterr().out
    assert "12.5" in shown
    assert "said" in shown
