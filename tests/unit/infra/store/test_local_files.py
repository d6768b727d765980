from pathlib import Path

import pytest

from infra.errors import UserError
from infra.store.digests import text_digest
from infra.store.local_files import describe, describe_folder


def test_a_folder_s_files_have_relative_names(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_text("abc")
    (tmp_path / "b").touch()
    found = describe_folder(tmp_path)
    assert list(found) == ["b", "inner/a"]
    assert (found["inner/a"].sha256, found["inner/a"].size) == (text_digest("abc"), 3)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match=f"there is no file {path}"):
            describe(path)
