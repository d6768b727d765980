"""Whatever is written in a TOML file or behind `--set`: a value, or an error of ours that names the place."""

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UserError
from infra.settings import load
from infra.settings.fleet import read_fleet
from infra.settings.toml import nested, parse_toml, read_toml_text

DEEP = ("[" * 5000, "{a=" * 5000 + "1")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"train.epochs": "1", "train.epochs.a": "2"}, r"train\.epochs is given as a value, and as a table by"),
        ({"train.epochs.a": "2", "train.epochs": "1"}, r"train\.epochs is given as a value, and as a table by"),
        ({"train.epochs": "1", "train.epochs.a.b": "2"}, r"train\.epochs is given as a value, and as a table by"),
        ({"train": "3"}, "'train' is not a setting"),
        ({"train..epochs": "3"}, "'train..epochs' is not a setting"),
        ({".": "3"}, "'.' is not a setting"),
        ({"obs." + "a." * 3000 + "b": "3"}, "is not a setting"),
        ({"train.epochs": DEEP[0]}, r"the value of train\.epochs has too many brackets"),
        ({"train.epochs": DEEP[1]}, r"the value of train\.epochs has too many brackets"),
        ({"data.source": "a\0b"}, r"the value of data\.source has a null character"),
    ],
)
def test_what_contradicts_itself_or_is_too_deep_is_named(overrides: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        nested(overrides)


@pytest.mark.parametrize("text", ["9" * 5000, "0x" + "f" * 5000, "1\nother = 2", "1 2", "a b", ""])
def test_what_is_no_toml_value_is_a_text(text: str) -> None:
    assert nested({"data.source": text}) == {"data": {"source": text}}


@pytest.mark.parametrize("name", ["obs.endpoint", "obs.proxy", "modelarts.endpoint", "data.source"])
@pytest.mark.parametrize("address", ["http://[::1", "https://host:port/", "https://host:99999"])
def test_what_cannot_be_an_address_is_refused_at_once(name: str, address: str) -> None:
    with pytest.raises(UserError, match=f"setting '{name}': Value error, this is not an address"):
        load(overrides={name: address})


def test_a_table_may_be_given_in_parts() -> None:
    assert nested({"boards.a.soc": "x", "boards.b.user": "y", "boards.a.labels": '["z"]'}) == {
        "boards": {"a": {"soc": "x", "labels": ["z"]}, "b": {"user": "y"}}
    }


VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["[", "{", "[[1]]", "{a = 1}", '""', "nan", "-inf", "1e400", "07:32:00", "1979-05-27", "\ud800", "'''"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.recursive(st.just("1"), lambda inner: inner.map(lambda text: f"[{text}]"), max_leaves=30),
)
KNOWN = [
    "train.epochs", "train.recipe", "data.source", "data.mirrors", "obs.endpoint", "modelarts.volumes",
    "modelarts.stand_in", "modelarts.stand_in.slots", "boards.a", "boards.a.labels", "deploy.boards",
    "prefect.keep_days",
]  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(KNOWN),
    st.lists(st.text(string.ascii_letters + "._-", max_size=8), max_size=4).map(".".join),
    st.tuples(st.sampled_from(KNOWN), st.text(string.ascii_lowercase, max_size=3)).map(".".join),
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_names_and_values_are_settings_or_an_error_of_ours(overrides: dict[str, str]) -> None:
    try:
        load(overrides=overrides)
    except UserError as error:
        assert error.message


@pytest.mark.parametrize("text", [*DEEP, f"a = {'9' * 5000}", "a = 1\na = 2", "[", "\0", "a = "])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "boards.toml"
    path.write_text(text if "=" in text[:3] else f"a = {text}")
    readers: tuple[Any, ...] = (
        read_fleet,
        lambda path: load(str(path)),
        lambda path: parse_toml(path.read_text(), path),
    )
    for read in readers:
        with pytest.raises(UserError, match=r"boards\.toml is not valid TOML"):
            read(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "boards.toml").mkdir()
    for read in (read_toml_text, read_fleet):
        with pytest.raises(UserError, match=r"boards\.toml cannot be read: Is a directory"):
            read(tmp_path / "boards.toml")
