import errno
import stat
from pathlib import Path

import pytest

from infra.faults import Fault, FaultPlan
from infra.store.atomic import is_being_written, replacing, write_text


def test_the_target_appears_whole_and_with_its_mode(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "secret", "text", mode=0o600)
    assert (tmp_path / "deep" / "secret").read_text() == "text"
    assert stat.S_IMODE((tmp_path / "deep" / "secret").stat().st_mode) == 0o600


def test_a_failure_while_writing_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_before_the_rename_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text(target, "old")
    with pytest.raises(OSError, match="No space left") as raised:
        write_text(target, "new", faults=FaultPlan([Fault("full", "write.written")]))
    assert raised.value.errno == errno.ENOSPC
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("error", "there"), [(None, True), (PermissionError(), True), (ProcessLookupError(), False)])
def test_a_temporary_file_belongs_to_its_process_as_long_as_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None, there: bool
) -> None:
    """Also to one of another user, which may not be signalled."""

    def kill(process: int, number: int) -> None:
        assert number == 0
        if error is not None:
            raise error

    monkeypatch.setattr("infra.store.atomic.os.kill", kill)
    with replacing(tmp_path / "file") as temporary:
        temporary.touch()
        assert is_being_written(temporary) is there
    assert not is_being_written(tmp_path / "file")
