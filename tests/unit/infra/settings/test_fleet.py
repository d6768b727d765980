import multiprocessing
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.settings import load
from infra.settings.fleet import edit_board, read_fleet

WRITTEN = """\
# two boards at home
[boards.porch] # by the door
address = "10.0.0.1"  # fixed in the router
labels = ["home"]
soc = 'Ascend310' # as bought

# high up
[boards.roof]
address = "10.0.0.2"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATLASFLOW_FLEET", str(tmp_path / "boards.toml"))
    return tmp_path / "boards.toml"


def test_without_a_file_the_fleet_is_empty(file: Path) -> None:
    assert read_fleet(file) == {}
    assert list(load().boards) == ["laptop"]


def test_the_first_board_creates_the_file(file: Path) -> None:
    edit_board(file, "porch", {"address": "10.0.0.1", "port": 2222, "labels": ("home", "east")}, new=True)
    board = load().boards["porch"]
    assert (board.address, board.port, board.labels, board.user) == ("10.0.0.1", 2222, ("home", "east"), "HwHiAiUser")


def test_an_edit_leaves_everything_else_alone(file: Path) -> None:
    file.write_text(WRITTEN)
    edit_board(file, "porch", {"soc": "Ascend310B4", "host_key": "ssh-ed25519 AAAA"})
    assert file.read_text() == WRITTEN.replace(
        "soc = 'Ascend310' # as bought\n", 'soc = "Ascend310B4" # as bought\nhost_key = "ssh-ed25519 AAAA"\n'
    )
    edit_board(file, "shed", {"address": "10.0.0.3"})
    assert file.read_text().endswith('address = "10.0.0.2"\n\n[boards.shed]\naddress = "10.0.0.3"\n')


def test_every_text_survives(file: Path) -> None:
    for text in ('a "quoted" \\ text', "# no comment", "日本 😀", "tab\tline\nend", "\x00\x1f\x7f", "[x]", "a = b"):
        edit_board(file, "porch", {"environment": text, "labels": (text, text)})
        assert read_fleet(file)["porch"] == {"environment": text, "labels": [text, text]}


def test_a_board_is_added_once(file: Path) -> None:
    edit_board(file, "porch", {"address": "10.0.0.1"}, new=True)
    with pytest.raises(UserError, match="has a board 'porch' already"):
        edit_board(file, "porch", {"address": "10.0.0.9"}, new=True)
    assert read_fleet(file)["porch"]["address"] == "10.0.0.1"


@pytest.mark.parametrize("name", ["", "A", "a b", "a.b", "-a", "a]", "a" * 64])
def test_a_board_name_is_lower_case_letters_digits_and_dashes(file: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a board"):
        edit_board(file, name, {"address": "x"})


def test_values_are_checked_before_they_are_written(file: Path) -> None:
    with pytest.raises(UserError, match="port"):
        edit_board(file, "porch", {"port": 0})
    with pytest.raises(UserError, match="adress"):
        edit_board(file, "porch", {"adress": "x"})
    with pytest.raises(UserError, match="password is not written"):
        edit_board(file, "porch", {"password": "x"})
    assert not file.exists()


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ('[boards]\nporch = {address = "x"}\n', '[boards]\nporch = {address = "x",soc = "Ascend310B4"}\n'),
        ("boards = {}\n", 'boards = {porch = {soc = "Ascend310B4"}}\n'),
        ('[boards.porch]\nsoc = """\nAscend310\n"""\n', '[boards.porch]\nsoc = "Ascend310B4"\n'),
        ('[boards."porch"]\n"soc" = "x"\n', '[boards."porch"]\n"soc" = "Ascend310B4"\n'),
        ('boards.porch.address = "x"\n', 'boards.porch.address = "x"\nboards.porch.soc = "Ascend310B4"\n'),
        ("[boards]\n", '[boards]\n[boards.porch]\nsoc = "Ascend310B4"\n'),
    ],
)
def test_a_board_is_edited_in_any_notation_of_toml(file: Path, text: str, edited: str) -> None:
    file.write_text(text)
    edit_board(file, "porch", {"soc": "Ascend310B4"})
    assert file.read_text() == edited
    assert load().boards["porch"].soc == "Ascend310B4"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[boards.porch\n", "not valid TOML"),
        ("[obs]\nbucket = 'x'\n", "may contain only"),
        ("boards = 3\n", "may contain only"),
        ("[boards]\nporch = 3\n", "'porch' is not a table"),
        ("[boards.porch]\npassword = 'x'\n", "is a secret"),
        ("[boards.porch]\nadress = 'x'\n", "did you mean 'address'"),
    ],
)
def test_a_wrong_file_is_refused(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError, match=words):
        load()


def test_a_profile_wins_over_the_fleet_file_key_by_key(file: Path, tmp_path: Path) -> None:
    file.write_text(WRITTEN)
    own = tmp_path / "own.toml"
    own.write_text("[boards.porch]\nport = 2222\naddress = 'porch.example'\n")
    boards = load(str(own), {"boards.roof.user": "pi"}).boards
    assert (boards["porch"].address, boards["porch"].port, boards["porch"].labels) == ("porch.example", 2222, ("home",))
    assert (boards["roof"].address, boards["roof"].user) == ("10.0.0.2", "pi")
    assert "laptop" in boards


def add(path: Path, number: int) -> None:
    edit_board(path, f"board-{number}", {"address": f"10.0.0.{number}"}, new=True)


@pytest.mark.program
def test_many_writers_at_once_lose_nothing(file: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([edit_board.__module__])
    writers = [context.Process(target=add, args=(file, number)) for number in range(1, 7)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(read_fleet(file)) == [f"board-{number}" for number in range(1, 7)]
