"""Two runs of the same work at the same time: one computes, the other waits and reuses."""

import os
from pathlib import Path
from typing import Any

from tasks.pipeline import NAMES
from tests.resilience.places import check_healed, check_home, copy_home


def test_the_second_run_waits_and_reuses(driver: Any, reference: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    copy_home(reference.home, home, NAMES[: NAMES.index("train")])
    pipes = [str(tmp_path / "begun"), str(tmp_path / "waits")]
    for pipe in pipes:
        os.mkfifo(pipe)
    case = {"home": home, "stage": "train"}
    # The first stops in the middle of its work until the second has said that it waits.
    first, second = driver.run({**case, "leads": pipes}, {**case, "follows": pipes})
    assert list(first["ran"]) == ["train"]
    assert second["ran"] == {}
    assert second["reused"][-1] == "train"
    assert "another run is working on the same key; waiting for it" in second["lines"]
    assert list(check_home(home)) == sorted(NAMES[: NAMES.index("train") + 1])
    check_healed(home, reference.home)
