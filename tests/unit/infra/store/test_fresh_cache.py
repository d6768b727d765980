import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from infra.store import fresh_cache

ANSWER = {"rows": [{"stage": "train"}]}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small checkout of one module and one profile, and no tool of this machine that could change meanwhile."""
    folder = tmp_path / "checkout"
    for name, text in {
        "models/spec/recipes.py": "A = 1\n",
        "infra/profiles/local.toml": "[train]\n",
        "tasks/x.txt": "",
    }.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(fresh_cache, "CHECKOUT", folder)
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setattr("infra.store.fresh_cache.sysconfig.get_path", lambda name: str(tools))
    monkeypatch.setenv("PATH", str(tools))
    return folder


@pytest.fixture
def receipt(tmp_path: Path, checkout: Any) -> Any:
    path = tmp_path / "receipt.json"
    path.write_text("{}")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Any:
    return tmp_path / "home"


def later() -> Any:
    """A time at which every file of the test is clearly old."""
    return time.time_ns() + 10**9


def remember(home: Any, *rests_on: Any, arguments: Any = ("--to", "train"), begun: Any = None) -> Any:
    return fresh_cache.remember(home, list(arguments), begun or later(), rests_on, ANSWER)


def recall(home: Any, *arguments: Any) -> Any:
    return fresh_cache.recall(home, list(arguments) or ["--to", "train"])


def test_what_was_remembered_is_recalled_for_the_same_invocation(home: Any, receipt: Any) -> None:
    assert remember(home, receipt)
    assert recall(home) == ANSWER
    assert recall(home, "--to", "export") is None


def test_without_a_verdict_there_is_nothing_to_recall(home: Any, checkout: Any) -> None:
    assert recall(home) is None


def rewrite(path: Any) -> None:
    path.write_text(path.read_text() + " ")


def touch(path: Any) -> None:
    os.utime(path, ns=(0, 0))


def replace_unchanged(path: Any) -> None:
    other = path.with_name("other")
    other.write_text(path.read_text())
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [rewrite, touch, replace_unchanged, os.unlink])
@pytest.mark.parametrize("which", ["receipt", "module", "profile"])
def test_any_moved_file_is_doubt(home: Any, receipt: Any, checkout: Any, change: Any, which: str) -> None:
    places = {
        "receipt": receipt,
        "module": checkout / "models" / "spec" / "recipes.py",
        "profile": checkout / "infra" / "profiles" / "local.toml",
    }
    remember(home, receipt)
    change(places[which])
    assert recall(home) is None


def test_a_new_module_is_doubt(home: Any, receipt: Any, checkout: Any) -> None:
    remember(home, receipt)
    (checkout / "models" / "new.py").write_text("")
    assert recall(home) is None


def test_caches_and_other_files_are_none(home: Any, receipt: Any, checkout: Any) -> None:
    remember(home, receipt)
    (checkout / "models" / "__pycache__").mkdir()
    (checkout / "models" / "__pycache__" / "spec.cpython-311.py").write_text("")
    (checkout / "tasks" / "x.txt").write_text("changed")
    assert recall(home) == ANSWER


@pytest.mark.parametrize("name", ["ATLASFLOW_TRAIN__EPOCHS", "ASCEND_TOOLKIT_HOME", "PATH"])
def test_another_environment_is_another_invocation(
    home: Any, receipt: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    remember(home, receipt)
    monkeypatch.setenv(name, "/elsewhere")
    assert recall(home) is None


def test_another_working_directory_is_another_invocation(
    home: Any, receipt: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remember(home, receipt)
    monkeypatch.chdir(tmp_path)
    assert recall(home) is None


def test_a_compiler_that_appears_is_doubt(home: Any, receipt: Any, tmp_path: Path) -> None:
    remember(home, receipt)
    atc = tmp_path / "tools" / "atc"
    atc.write_text("#!/bin/sh\n")
    atc.chmod(0o755)
    assert recall(home) is None


def test_files_that_changed_while_they_were_judged_are_not_trusted(home: Any, receipt: Any) -> None:
    assert not remember(home, receipt, begun=receipt.stat().st_mtime_ns)
    assert recall(home) is None


def test_secrets_of_the_environment_are_not_written_down(
    home: Any, receipt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "nobody-may-see-this")
    remember(home, receipt)
    assert "nobody-may-see-this" not in (home / "verdict.json").read_text()
    assert recall(home) == ANSWER


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "{}", '{"invocation": 1}'])
def test_a_damaged_verdict_is_none(home: Any, receipt: Any, damage: str) -> None:
    remember(home, receipt)
    (home / "verdict.json").write_text(damage)
    assert recall(home) is None


def test_a_verdict_cut_short_is_none(home: Any, receipt: Any) -> None:
    remember(home, receipt)
    whole = (home / "verdict.json").read_text()
    assert json.loads(whole)
    (home / "verdict.json").write_text(whole[:-10])
    assert recall(home) is None


def test_a_verdict_that_a_full_disk_refuses_is_not_there_and_another_error_is_told(
    home: Any, receipt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[OSError] = [OSError(errno.ENOSPC, "no space"), PermissionError()]

    def refuse(path: Path, text: str) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(fresh_cache, "write_text", refuse)
    assert not remember(home, receipt)
    with pytest.raises(PermissionError):
        remember(home, receipt)
    assert recall(home) is None
