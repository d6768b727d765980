"""Names from outside: plain relative paths pass, everything else is refused before it touches a path."""

import pytest

from infra.errors import Corrupt, UserError
from infra.names import MAX_DEPTH, check_name, is_safe_name


@pytest.mark.parametrize(
    "name", ["a", "a/b.txt", "..a/b..", ".hidden", "a b/c", "Käse/猫.png", "x" * 255, "/".join(["d"] * MAX_DEPTH)]
)
def test_plain_relative_path_passes(name: str) -> None:
    assert check_name(name, "the manifest") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "..",
        "a/../b",
        "a/./b",
        "./a",
        "a//b",
        "a/",
        "a\\b",
        "C:/a",
        "c:a",
        "a\0b",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "a\ud800b",
        "/".join(["d"] * (MAX_DEPTH + 1)),
        "/".join(["x" * 250] * 5),
    ],
)
def test_every_other_name_is_refused(name: str) -> None:
    with pytest.raises(Corrupt, match=r"^the manifest names '.*', which is not a plain relative path$"):
        check_name(name, "the manifest")


@pytest.mark.parametrize("name", ["x" * 256, "d/" + "猫" * 86])
def test_a_name_that_no_file_system_holds_is_refused(name: str) -> None:
    with pytest.raises(Corrupt, match=r"^the manifest names '.*', which has a part longer than 255 bytes$"):
        check_name(name, "the manifest")


@pytest.mark.parametrize("value", [None, 3, b"a", ["a"]])
def test_a_value_that_is_not_a_string_is_not_a_name(value: object) -> None:
    assert not is_safe_name(value)


def test_the_message_names_the_source_escapes_the_name_and_ends_with_the_hint() -> None:
    with pytest.raises(UserError) as caught:
        check_name("a\x1b[2J/../" + "b" * 200, "cats.zip", UserError, hint="repack it")
    assert "cats.zip names 'a\\x1b[2J/../bbb" in str(caught.value)
    assert str(caught.value).endswith("repack it")
    assert len(caught.value.message) < 150
