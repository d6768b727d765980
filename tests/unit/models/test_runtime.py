import os
import sys
import types

import pytest

from models import runtime
from models.runtime import Layout

# A process of its own, since threads are moved. Prints the masks of the main and of another thread at each stage.
LAYOUT = """
import json, os, sys, threading
from models.runtime import Layout
free, pinned = map(float, sys.argv[1:])
done = threading.Event()
other = threading.Thread(target=done.wait)
other.start()
def masks():
    return [sorted(os.sched_getaffinity(0)), sorted(os.sched_getaffinity(other.native_id))]
seen = [masks()]
layout = Layout(possible=True)
for seconds in [9.0] + [free] * 10:
    layout.stepped(seconds)
seen.append(masks())
for seconds in [pinned] * 10:
    layout.stepped(seconds)
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
def test_the_faster_layout_is_kept_and_all_cores_come_back(run, tmp_path, free, pinned, kept):
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


def test_where_nothing_can_be_pinned_nothing_is_touched():
    before = os.sched_getaffinity(0)
    layout = Layout(possible=False)
    for _ in range(50):
        layout.stepped(1.0)
    layout.refresh()
    assert os.sched_getaffinity(0) == before
    assert not layout.pinned


def test_preparing_comes_before_the_first_import(monkeypatch):
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
        ({"MS_ROLE": "MS_SCHED"}, "scheduler"),
    ],
)
def test_roles(monkeypatch, environment, role):
    for name in ("RANK_ID", "MS_ROLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert runtime.role() == role


def test_nothing_is_pinned_while_the_compiled_kernels_are_at_work():
    before = os.sched_getaffinity(0)
    with runtime.layout(kernels=True) as cores:
        for _ in range(30):
            cores.stepped(0.1)
        assert not cores.pinned
        assert os.sched_getaffinity(0) == before
