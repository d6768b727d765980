import subprocess
import sys
import textwrap
from pathlib import Path

from infra.home import CHECKOUT
from infra.store.locks import hold, is_held, remove_unheld

HOLDER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from infra.store.locks import hold
    with hold(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
    """
)


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_first_does_not_wait(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as waited:
        assert not waited


def test_the_second_waits_until_the_first_is_killed(tmp_path: Path) -> None:
    first = holder(tmp_path / "lock")
    with first, hold(tmp_path / "lock", on_wait=first.kill) as waited:
        assert waited


def test_shared_holders_let_each_other_in_and_keep_an_exclusive_one_out(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", shared=True), hold(tmp_path / "lock", shared=True) as waited:
        assert not waited
    first = holder(tmp_path / "lock")
    with first, hold(tmp_path / "lock", on_wait=first.kill, shared=True) as waited:
        assert waited


def test_a_lock_is_held_until_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "key.lock"
    assert not is_held(path)
    assert not path.exists()
    process = holder(path)
    assert is_held(path)
    process.kill()
    process.communicate()
    assert not is_held(path)
    with hold(path):
        assert is_held(path)


def test_only_locks_that_nobody_holds_are_removed(tmp_path: Path) -> None:
    with hold(tmp_path / "left"):
        pass
    paths = [tmp_path / name for name in ("left", "held", "shared", "absent")]
    first = holder(tmp_path / "held")
    with first, hold(tmp_path / "shared", shared=True):
        assert remove_unheld(paths, dry_run=True) == [tmp_path / "left"]
        assert remove_unheld(paths) == [tmp_path / "left"]
        assert remove_unheld(paths) == []
        first.kill()
    assert {path.name for path in tmp_path.iterdir()} == {"held", "shared"}


def test_who_waited_for_a_lock_that_was_removed_meanwhile_holds_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = holder(path)

    def removed() -> None:
        path.unlink()
        first.kill()

    with first, hold(path, on_wait=removed) as waited:
        assert waited
        assert path.exists()
        assert remove_unheld([path]) == []
