from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserError
from infra.settings import PROFILES, load


def profile(tmp_path: Path, text: Any) -> Any:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return str(path)


def test_the_defaults_need_nothing_from_outside() -> None:
    settings = load()
    assert settings.data.source == "sample"
    assert settings.train.recipe == "lenet5-sample"
    assert settings.evaluate.min_accuracy == 0.5
    assert settings.obs.endpoint == ""
    assert list(settings.boards) == ["laptop"]


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_every_shipped_profile_loads(name: str) -> None:
    assert load(name).train.recipe


def test_precedence_command_line_environment_secret_file_profile_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = profile(
        tmp_path, '[obs]\nbucket = "profile-bucket"\nregion = "profile-region"\nprefix = "profile"\nthreads = 2\n'
    )
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("bucket", "region", "prefix"):
        (secrets / f"OBS__{name.upper()}").write_text("from-secret-file")
    monkeypatch.setenv("ATLASFLOW_SECRETS_DIR", str(secrets))
    for name in ("bucket", "region"):
        monkeypatch.setenv(f"ATLASFLOW_OBS__{name.upper()}", "from-environment")
    obs = load(own, {"obs.bucket": "from-command-line"}).obs
    assert obs.bucket == "from-command-line"
    assert obs.region == "from-environment"
    assert obs.prefix == "from-secret-file"
    assert obs.threads == 2
    assert obs.link_seconds == 86_400


def test_sections_are_merged_field_by_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = profile(tmp_path, "[boards.laptop]\nport = 2222\n[boards.roof]\naddress = 'roof.example'\n")
    monkeypatch.setenv("ATLASFLOW_BOARDS__ROOF__USER", "pi")
    boards = load(own).boards
    assert (boards["roof"].address, boards["roof"].user) == ("roof.example", "pi")
    assert (boards["laptop"].port, boards["laptop"].user) == (2222, "HwHiAiUser")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.25", 0.25), ("true", True), ('["a", "b"]', ["a", "b"]), ("adam", "adam"), ("'3'", "3"), ("", "")],
)
def test_a_value_is_read_as_toml_where_it_is_toml(text: str, value: object) -> None:
    assert load(overrides={"train.anything": text}).train.overrides()["anything"] == value


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"trian.epochs": "3"}, r"unknown setting 'trian'; did you mean 'train'\?"),
        ({"obs.buckett": "x"}, r"unknown setting 'obs\.buckett'; did you mean 'bucket'\?"),
        ({"modelarts.stand_in.slot": "1"}, r"unknown setting 'modelarts\.stand_in\.slot'; did you mean 'slots'\?"),
        ({"boards.laptop.adress": "x"}, r"boards\.laptop\.adress'; did you mean 'address'\?"),
        ({"zzz.y": "1"}, r"unknown setting 'zzz'$"),
        ({"evaluate.min_accuracy": "2"}, r"setting 'evaluate\.min_accuracy': .*less than or equal to 1"),
        ({"obs.bucket": "NO"}, r"setting 'obs\.bucket'"),
        ({"data.sha256": "abc"}, r"setting 'data\.sha256'"),
        ({"deploy.boards": "{ a = 1 }"}, r"setting 'deploy\.boards' is a list: write it as"),
        ({"epochs": "3"}, r"write section\.key=value"),
        ({"train.": "3"}, r"write section\.key=value"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_right(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        load(overrides=overrides)


@pytest.mark.parametrize(
    ("text", "boards"), [("laptop", ("laptop",)), ("laptop,roof", ("laptop", "roof")), ("a, b ,", ("a", "b")), ("", ())]
)
def test_a_list_may_be_written_with_commas(monkeypatch: pytest.MonkeyPatch, text: str, boards: tuple[str, ...]) -> None:
    assert load(overrides={"deploy.boards": text}).deploy.boards == boards
    monkeypatch.setenv("ATLASFLOW_DEPLOY__BOARDS", text)
    assert load().deploy.boards == boards


def test_a_list_of_numbers_too() -> None:
    assert load(overrides={"convert.batch_gears": "1,2,4"}).convert.batch_gears == (1, 2, 4)
    assert load(overrides={"convert.batch_gears": "8"}).convert.batch_gears == (8,)


def test_a_variable_of_a_board_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise a mistyped name is a stand-in, which is all good."""
    own = profile(tmp_path, "[boards.porch]\naddress = 'porch.example'\n")
    monkeypatch.setenv("ATLASFLOW_BOARDS__PROCH__PASSWORD", "nobody-may-see-this")
    with pytest.raises(UserError, match=r"there is no board 'proch'; did you mean 'porch'\?") as caught:
        load(own)
    assert "nobody-may-see-this" not in str(caught.value)
    assert load(own, {"deploy.boards": "proch"}).boards["proch"]  # a stand-in that is wanted
    monkeypatch.setenv("ATLASFLOW_BOARDS__PROCH__ADDRESS", "proch.example")
    assert load(own).boards["proch"].address == "proch.example"


def test_a_board_that_only_the_command_line_names_is_refused() -> None:
    with pytest.raises(UserError, match="there is no board 'labtop'; did you mean 'laptop'"):
        load(overrides={"boards.labtop.soc": "Ascend310B4"})


def test_a_digest_may_have_capitals_and_another_kind_is_named() -> None:
    assert load(overrides={"data.sha256": "AB" * 32}).data.sha256 == "ab" * 32
    with pytest.raises(UserError, match=r"this is an MD5 .* `sha256sum"):
        load(overrides={"data.sha256": "Ab" * 16})
    with pytest.raises(UserError, match="this is a SHA-1"):
        load(overrides={"data.sha256": "ab" * 20})


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        load(overrides={"obs.threads": "0", "retry.attempts": "99"})
    assert len(caught.value.message.splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ATLASFLOW_TRIAN__EPOCHS", r"unknown setting ATLASFLOW_TRIAN__EPOCHS .* did you mean 'train'\?"),
        ("ATLASFLOW_HOEM", "unknown setting ATLASFLOW_HOEM"),
        ("ATLASFLOW_OBS__BUCKETT", r"did you mean 'bucket'\?"),
    ],
)
def test_a_variable_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(UserError, match=words):
        load()


def test_a_profile_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UserError) as caught:
        load("locl")
    assert "there is no profile 'locl'" in str(caught.value)
    assert "cloud, local, twin" in str(caught.value)


def test_a_profile_file_that_is_not_there_is_called_a_file() -> None:
    with pytest.raises(UserError, match=r"there is no file mine\.toml"):
        load("mine.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [("[train", "is not valid TOML"), ("[trian]\nepochs = 3", "did you mean 'train'"), ("train = 3", "train")],
)
def test_a_broken_profile_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load(profile(tmp_path, text))


def test_a_folder_of_secrets_must_be_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATLASFLOW_SECRETS_DIR", str(tmp_path / "absent"))
    with pytest.raises(UserError, match="ATLASFLOW_SECRETS_DIR names"):
        load()


@pytest.mark.parametrize(
    "name", ["obs.secret_key", "modelarts.security_token", "boards.laptop.password", "notify.cloud_headers.X"]
)
def test_secrets_are_not_taken_from_the_command_line_or_a_profile(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is a secret"):
        load(overrides={name: "nobody-may-see-this"})
    section, _, key = name.rpartition(".")
    with pytest.raises(UserError, match="is a secret") as caught:
        load(profile(tmp_path, f'[{section}]\n{key} = "nobody-may-see-this"\n'))
    assert "nobody-may-see-this" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://me:nobody-may-see-this@host/a.zip",
        "HTTP://nobody-may-see-this@host:8080/a.zip",
        "https://host/a.zip?Expires=1&Signature=nobody-may-see-this",
        "https://host/a.zip?private_token=nobody-may-see-this",
        "https://host/a.zip?sig=nobody-may-see-this",
    ],
)
def test_credentials_in_an_address_come_from_the_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for name in ("data.source", "data.mirrors", "obs.proxy"):
        section, _, key = name.partition(".")
        for where in (
            {"overrides": {name: address}},
            {"profile": profile(tmp_path, f'[{section}]\n{key} = "{address}"')},
        ):
            with pytest.raises(UserError, match=f"{name} has credentials in it") as caught:
                load(**where)
            assert "nobody-may-see-this" not in str(caught.value)
            assert f"ATLASFLOW_{section.upper()}__{key.upper()}" in caught.value.hint
    monkeypatch.setenv("ATLASFLOW_DATA__SOURCE", address)
    assert load().data.source == address


@pytest.mark.parametrize(
    "address",
    ["https://host/a@b.zip", "https://host/signature=1/a.zip?version=3", "obs://bucket/a.zip", "~/a@b?sig=1"],
)
def test_other_addresses_are_taken(address: str) -> None:
    assert load(overrides={"data.source": address}).data.source == address


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "nobody-may-see-this")
    settings = load()
    assert settings.obs.secret_key.get_secret_value() == "nobody-may-see-this"
    assert "nobody-may-see-this" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_a_wrong_value_is_not_repeated_since_it_may_be_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "nobody-may-see-this")
    monkeypatch.setenv("ATLASFLOW_OBS__THREADS", "nobody-may-see-that")
    with pytest.raises(UserError) as caught:
        load()
    assert "obs.threads" in str(caught.value)
    assert "nobody-may-see" not in str(caught.value)


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.obs.bucket = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"), [("cron", "every night"), ("timezone", "Mars/Olympus"), ("timezone", "../etc/passwd")]
)
def test_a_schedule_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(UserError, match=f"setting 'retrain.{name}'"):
        load(overrides={f"retrain.{name}": value})
