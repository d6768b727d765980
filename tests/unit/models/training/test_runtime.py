import errno
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import pytest

from models.failures import InputError
from models.training import runtime
from models.training.runtime import Layout

# A process of its own, since threads are moved. Prints the masks of the main and of another thread at each stage.
LAYOUT = """
import json, os, sys, threading
from models.training.runtime import Layout
free, pinned = map(float, sys.argv[1:])
done = threading.Event()
other = threading.Thread(target=done.wait)
other.start()
def masks():
    return [sorted(os.sched_getaffinity(0)), sorted(os.sched_getaffinity(other.native_id))]
seen = [masks()]
layout = Layout(possible=True)
for seconds in [9.0] + [free] * 10:
    layout.on_step(seconds)
seen.append(masks())
for seconds in [pinned] * 10:
    layout.on_step(seconds)
seen.append(masks())
layout.refresh()
seen.append(masks())
layout.release()
seen.append(masks())
done.set()
other.join()
print(json.dumps(seen))
"""

needs_two = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores on Linux"
)


@needs_two
@pytest.mark.parametrize(("free", "pinned", "kept"), [(0.1, 0.02, True), (0.02, 0.1, False), (0.02, 0.02, False)])
def test_the_faster_layout_is_kept_and_all_cores_come_back(
    run: Any, tmp_path: Path, free: float, pinned: float, kept: bool
) -> None:
    import json

    script = tmp_path / "layout.py"
    script.write_text(LAYOUT)
    done = run(free, pinned, main=script)
    assert done.code == 0, done.errors
    start, trial, chosen, refreshed, end = json.loads(done.lines[-1])
    everything = sorted(os.sched_getaffinity(0))
    assert start == end == [everything, everything]
    assert trial == [everything[:1], everything[1:]]
    assert chosen == refreshed == (trial if kept else start)


def test_where_nothing_can_be_pinned_nothing_is_touched() -> None:
    before = os.sched_getaffinity(0)
    layout = Layout(possible=False)
    for _ in range(50):
        layout.on_step(1.0)
    layout.refresh()
    assert os.sched_getaffinity(0) == before
    assert not layout.pinned


def test_preparing_comes_before_the_first_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mindspore", types.ModuleType("mindspore"))
    with pytest.raises(RuntimeError, match="before"):
        runtime.prepare(1)


@pytest.mark.parametrize(
    ("environment", "role"),
    [
        ({}, "first"),
        ({"RANK_ID": "0", "MS_ROLE": "MS_WORKER"}, "first"),
        ({"RANK_ID": "1", "MS_ROLE": "MS_WORKER"}, "other"),
        ({"RANK_ID": "3"}, "other"),
        ({"RANK_ID": "3", "RANK_SIZE": "8", "RANK_TABLE_FILE": "/user/table.json"}, "other"),
        ({"RANK_ID": "0", "RANK_SIZE": "16", "RANK_TABLE_FILE": "/user/table.json", "MA_NUM_HOSTS": "2"}, "first"),
        ({"MA_NUM_HOSTS": "1"}, "first"),
        ({"MS_ROLE": "MS_SCHED"}, "scheduler"),
    ],
)
def test_roles(monkeypatch: pytest.MonkeyPatch, environment: Any, role: str) -> None:
    clean(monkeypatch, environment)
    assert runtime.role() == role


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RANK_ID": "1", "RANK_SIZE": "8"}, "RANK_TABLE_FILE"),
        ({"RANK_SIZE": "2"}, "RANK_TABLE_FILE"),
        ({"MA_NUM_HOSTS": "2", "VC_TASK_INDEX": "1"}, "2 nodes"),
    ],
)
def test_one_of_several_that_cannot_find_the_others_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: Any, words: str
) -> None:
    """Each would train alone, believe that it is the first, and write the same results."""
    clean(monkeypatch, environment)
    with pytest.raises(InputError, match=words):
        runtime.role()


def clean(monkeypatch: pytest.MonkeyPatch, environment: Any) -> None:
    for name in ("RANK_ID", "RANK_SIZE", "RANK_TABLE_FILE", "MS_ROLE", "MA_NUM_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine with four cores, of which nothing is moved: the masks that threads would get, in order."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {2, 3, 5, 7}, raising=False)
    monkeypatch.setattr(runtime, "device", lambda: "CPU")
    monkeypatch.setattr(runtime, "ranks", lambda: (0, 1))
    given = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda _thread, mask: given.append(mask), raising=False)
    return given


def step(cores: Any, *seconds: Any) -> None:
    for one in seconds:
        cores.on_step(one)


FASTER = [9.0, *[0.1] * 10, *[0.02] * 10]  # compiling, then free, then pinned


def test_the_first_of_the_cores_that_this_process_may_use_is_for_the_main_thread(masks: Any) -> None:
    with runtime.layout() as cores:
        step(cores, *FASTER)
        assert cores.pinned
        assert {2} in masks
        assert all(mask in ({2}, {3, 5, 7}) for mask in masks)
        masks.clear()
    assert masks
    assert all(mask == {2, 3, 5, 7} for mask in masks)


def test_an_exception_gives_all_cores_back(masks: Any) -> None:
    with pytest.raises(RuntimeError, match="stop"), runtime.layout() as cores:
        step(cores, *FASTER)
        masks.clear()
        raise RuntimeError("stop")
    assert masks
    assert all(mask == {2, 3, 5, 7} for mask in masks)
    assert not cores.pinned


def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {3})


def off_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "sched_setaffinity")


def on_ascend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "device", lambda: "Ascend")


def among_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "ranks", lambda: (0, 2))


@pytest.mark.parametrize("where", [one_core, off_linux, on_ascend, among_several])
def test_nothing_is_pinned_where_it_cannot_help(masks: Any, monkeypatch: pytest.MonkeyPatch, where: Any) -> None:
    where(monkeypatch)
    with runtime.layout() as cores:
        step(cores, *FASTER)
        cores.refresh()
        assert not cores.pinned
    assert masks == []


def test_nothing_is_pinned_while_the_compiled_kernels_are_at_work(masks: Any) -> None:
    with runtime.layout(kernels=True) as cores:
        step(cores, *FASTER)
        assert not cores.pinned
    assert masks == []


@pytest.mark.parametrize("kernels", [True, False])
def test_nothing_is_pinned_while_another_training_runs(masks: Any, kernels: bool) -> None:
    with runtime.layout(kernels), runtime.layout() as second:
        step(second, *FASTER)
        assert not second.pinned
    assert masks == []
    with runtime.layout() as third:
        step(third, *FASTER)
        assert third.pinned


def is_pinned(layout: runtime.Layout) -> bool:
    return layout.pinned


def test_the_pinning_ends_when_another_training_starts(masks: Any) -> None:
    with runtime.layout() as first:
        step(first, *FASTER)
        first.refresh()
        assert first.pinned
        with runtime.layout() as second:
            masks.clear()
            first.refresh()
            assert not is_pinned(first)
            assert all(mask == {2, 3, 5, 7} for mask in masks)
            step(second, *FASTER)
            assert not second.pinned
        step(first, *FASTER)
        first.refresh()
        assert not first.pinned


@pytest.mark.parametrize("number", [errno.ESRCH, errno.EINVAL])
def test_a_thread_that_cannot_be_moved_is_left(masks: Any, monkeypatch: pytest.MonkeyPatch, number: Any) -> None:
    def refuse(_thread: Any, _mask: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with runtime.layout() as cores:
        step(cores, *FASTER)


def test_a_thread_that_may_not_be_moved_is_an_error(masks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: Any, _mask: Any) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with pytest.raises(PermissionError), runtime.layout() as cores:
        step(cores, *FASTER)
