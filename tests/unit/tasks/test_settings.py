import tomllib

import pytest

from infra.home import CHECKOUT
from infra.settings import load
from tasks.settings import every_setting, recipe_entries
from tasks.settings_page import markdown, toml

SETTINGS = {setting.entry.name: setting for setting in every_setting()}


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("train.epochs", ("train", "publish")),
        ("train.network", ("train", "evaluate", "export", "convert", "publish", "robustness")),
        ("train.target", ("train",)),
        ("data.source", ("download",)),
        ("obs.bucket", ("upload", "publish")),
        ("convert.precisions", ("convert",)),
        ("boards.NAME.address", ("deploy",)),
        ("robustness.seed", ("corrupt",)),
        ("retry.attempts", ()),
        ("obs.secret_key", ()),
    ],
)
def test_a_setting_names_the_stages_whose_key_has_it(name: str, stages: tuple[str, ...]) -> None:
    assert SETTINGS[name].stages == stages


def test_the_gate_of_the_accuracy_is_named() -> None:
    assert SETTINGS["evaluate.min_accuracy"].gate == "the gate after evaluate"


def test_every_setting_has_a_type_and_a_meaning() -> None:
    assert [name for name, item in SETTINGS.items() if not item.entry.type or not item.entry.meaning] == []


def test_the_fields_of_a_recipe_are_settings_of_the_training() -> None:
    found = {entry.name: entry for entry in recipe_entries()}
    assert (found["train.epochs"].type, found["train.epochs"].default) == ("integer", 30)
    assert found["train.schedule"].choices[0] == "constant"
    assert set(found) <= set(SETTINGS)


def test_limits_and_choices_are_part_of_the_type() -> None:
    assert SETTINGS["obs.threads"].entry.type == "integer, at least 1, at most 64"
    assert SETTINGS["convert.source"].entry.type == "one of onnx, air"
    assert SETTINGS["deploy.boards"].entry.type == "list of text"
    assert SETTINGS["obs.secret_key"].entry == SETTINGS["obs.secret_key"].entry.__class__(
        "obs.secret_key", "secret", None, "secret access key (SK)", (), secret=True
    )


def test_the_page_of_the_documentation_is_up_to_date() -> None:
    page = (CHECKOUT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == markdown(list(SETTINGS.values())), "run `atlasflow settings page > docs/settings.md`"


def test_a_written_profile_changes_nothing_and_its_lines_are_valid(tmp_path_factory: pytest.TempPathFactory) -> None:
    text = toml(list(SETTINGS.values()))
    path = tmp_path_factory.mktemp("profile") / "atlasflow.toml"
    path.write_text(text)
    assert load(str(path)).model_dump() == load().model_dump()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    kept = [line for line in lines if line.startswith("[") or (" = " in line and not line.endswith(")"))]
    path.write_text("\n".join(kept))
    assert tomllib.loads(path.read_text())["train"]["epochs"] == 30
    assert load(str(path)).retry == load().retry
