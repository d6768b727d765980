"""Addresses in object storage: one parser for what people, settings and ModelArts write."""

import pytest

from infra.errors import UserError
from infra.obs.address import ObjectAddress, join_key, parse_address


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("obs://b/k/x y", ("b", "k/x y")),
        ("s3://b", ("b", "")),
        ("obs://b/k/", ("b", "k/")),
        ("obs://b//k", ("b", "/k")),
    ],
)
def test_an_address_is_a_bucket_and_a_key(text: str, parts: tuple[str, str]) -> None:
    assert ObjectAddress.parse(text).parts == parts
    assert parse_address(text) == ObjectAddress(*parts)


def test_a_path_of_this_machine_is_not_an_address() -> None:
    assert parse_address("/data/x") is None
    with pytest.raises(UserError, match="an address is empty"):
        parse_address("")


@pytest.mark.parametrize("text", ["https://b/k", "obs://", "obs:///k", "/data/x", "b/k", ""])
def test_other_texts_are_not_addresses(text: str) -> None:
    with pytest.raises(UserError, match="is not the address of an object"):
        ObjectAddress.parse(text)


@pytest.mark.parametrize("text", ["obs://b", "obs://b/", "obs://b/folder/"])
def test_a_bucket_or_a_folder_is_not_an_object(text: str) -> None:
    assert ObjectAddress.parse_object("s3://b/k").parts == ("b", "k")
    with pytest.raises(UserError, match="names no object"):
        ObjectAddress.parse_object(text)


@pytest.mark.parametrize("text", ["obs://b/x/y/", "s3://b/x/y", "/b/x/y/"])
def test_a_folder_is_read_in_every_spelling(text: str) -> None:
    found = ObjectAddress.parse_folder(text)
    assert found.parts == ("b", "x/y")
    assert (found.prefix, found.folder, str(found)) == ("x/y/", "obs://b/x/y/", "obs://b/x/y")


@pytest.mark.parametrize(
    "text", ["", "b/x", "obs://", "obs://b", "obs:///x", "obs://b//x", "obs://b/../x", "ftp://b/x", "/", "/b"]
)
def test_other_texts_are_not_folders(text: str) -> None:
    with pytest.raises(UserError, match="is not the address of a folder"):
        ObjectAddress.parse_folder(text)


def test_a_whole_bucket_has_an_empty_prefix() -> None:
    assert (ObjectAddress("b", "").prefix, ObjectAddress("b", "").folder) == ("", "obs://b/")


@pytest.mark.parametrize("key", ["", "/k", "a//b", "a/../b", "./a", "猫" * 342])
def test_a_key_that_not_every_store_takes_is_refused(key: str) -> None:
    assert ObjectAddress("b", "k" * 1024).checked().key
    with pytest.raises(UserError, match="object key"):
        ObjectAddress("b", key).checked()


@pytest.mark.parametrize("prefix", ["a", "a/", "/a/"])
def test_a_prefix_and_a_name_make_a_key(prefix: str) -> None:
    assert (join_key(prefix, "n"), join_key("", "n")) == ("a/n", "n")
