"""What all tests share: an environment without our variables, so that a developer's settings change no result."""

import gc
import os
import signal
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.pages import browser, page, watch  # noqa: F401 - fixtures for every test

# Tests import ONNX Runtime themselves; like the code under test, they tell nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Compiled once for all tests, and for the next time.
KERNELS = str(Path(tempfile.gettempdir()) / f"atlasflow-test-kernels-{os.getuid()}")
os.environ["ATLASFLOW_KERNELS"] = KERNELS
# Hundreds of programs and both workers import the same modules: without bytecode each would compile them again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shell starts background jobs with Ctrl-C ignored, and their programs inherit that; tests send it to programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).parent
GROUPS = {
    "cluster": ("cluster/*",),
    "serving": ("e2e/test_serving.py", "e2e/test_watching.py", "e2e/test_demo.py", "e2e/test_tracking.py"),
    "resilience": ("resilience/*",),
    "retraining": ("e2e/test_retraining.py", "e2e/test_tuning.py", "e2e/test_notebook.py"),
    "twin": ("e2e/test_twin.py", "e2e/test_checkout.py"),
    "chain": ("e2e/*",),
}
"""Tests that share something that takes long to make: a home, a cluster. The first pattern that fits counts.

Of the first three only one needs the first run of `tests/e2e`, for which the others would wait.
"""
# Fixtures that start local services, servers of other programs, or a browser.
SERVICE_FIXTURES = {"as_obs", "browser", "faulty", "page", "running", "server", "services"}


@cache
def group_of(path: Path) -> str:
    """The tests that run on one worker of pytest-xdist, one after the other: a named group, else those of a file."""
    relative = path.relative_to(TESTS)
    fitting = (name for name, patterns in GROUPS.items() if any(relative.match(pattern) for pattern in patterns))
    return next(fitting, relative.as_posix())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", metavar="FOLDER", help="keep pictures of pages for the documentation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start what takes long first: named groups, then files with MindSpore; mark tests that start services."""
    names = list(GROUPS)
    with_mindspore = {group_of(item.path) for item in items if item.get_closest_marker("mindspore")}

    def rank(item: pytest.Item) -> int:
        group = group_of(item.path)
        return names.index(group) if group in GROUPS else len(names) + (group not in with_mindspore)

    items.sort(key=rank)
    for item in items:
        if SERVICE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service)


def pytest_collection_finish() -> None:
    """Leave what was collected out of later searches for garbage: thousands of tests, and what their files import."""
    gc.collect()
    gc.freeze()


class GroupScheduling(LoadScopeScheduling):
    """Hands out whole groups, in the order of their first tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(TESTS.parent / nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Keep each group on one worker, whatever `--dist` says."""
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("ATLASFLOW_", "PREFECT_")) and not name.startswith("ATLASFLOW_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ATLASFLOW_KERNELS", KERNELS)
    monkeypatch.setenv("ATLASFLOW_FLEET", "/nowhere/boards.toml")
