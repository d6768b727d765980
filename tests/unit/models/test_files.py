import errno
import json
from pathlib import Path
from typing import Any

import pytest

from models.failures import Interruption
from models.files import lock_folder, replacing, write_json, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "file.txt"
    write_text(target, "one")
    write_text(target, "two")
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "whole")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_may_pass(tmp_path: Path, number: Any) -> None:
    with pytest.raises(Interruption, match="no space left for"), replacing(tmp_path / "file"):
        raise OSError(number, "full")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_may_have_no_room_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(Interruption, match="no space left for"), replacing(tmp_path / "file"):
        raise AssertionError("there is no folder to write into")
    with pytest.raises(Interruption, match="no space left for"), lock_folder(tmp_path / "new"):
        raise AssertionError("there is no folder to hold")
    monkeypatch.undo()
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(Interruption, match="no space left for"), lock_folder(tmp_path):
        raise AssertionError("there is no file to lock")


def test_an_error_inside_of_a_held_folder_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), lock_folder(tmp_path):
        raise OSError(errno.ENOSPC, "full")


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), replacing(tmp_path / "file"):
        raise PermissionError


def test_equal_values_are_equal_bytes_and_never_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "a": 2})
    write_json(tmp_path / "b", {"a": 2, "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a", float("nan"))
    assert json.loads((tmp_path / "a").read_text()) == {"a": 2, "b": 1}


def test_what_a_killed_holder_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "state" / ".last.npz.123.partial"
    left.mkdir(parents=True)
    (left / "last.npz").write_text("half")
    write_text(tmp_path / "kept", "whole")
    with lock_folder(tmp_path):
        assert not left.exists()
        assert (tmp_path / "kept").exists()


def test_a_folder_has_one_holder_at_a_time(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(Interruption, match="another training"), lock_folder(tmp_path):
        pass
    with lock_folder(tmp_path):
        pass
