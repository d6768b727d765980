"""Sync OBS in the File menu of a real JupyterLab."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.modelarts.emulator.jupyter.server import Jupyter
from tests.pages import Watch

pytest.importorskip("jupyterlab")

pytestmark = [pytest.mark.slow, pytest.mark.service]


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[Jupyter]:
    """The JupyterLab of an instance with a disk."""
    started = Jupyter(tmp_path / "instance", storage="")
    started.start()
    try:
        while not started.ready():
            assert not started.failure
            time.sleep(0.1)
        yield started
    finally:
        started.stop()


def test_sync_obs_is_in_the_file_menu_and_says_what_happened(jupyter: Jupyter, page: Any, watch: Watch) -> None:
    watch.expected += ["409 \\(Conflict\\)"]
    page.goto(jupyter.url)
    page.get_by_role("menuitem", name="File", exact=True).click(timeout=90_000)
    page.get_by_role("menuitem", name="Sync OBS").click()
    page.get_by_text("this notebook has a disk, and no storage in OBS").wait_for()
