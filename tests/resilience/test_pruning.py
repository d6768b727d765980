"""A real training that is stopped early: its process ends, no receipt is left, and a later one goes on from there."""

from functools import partial
from pathlib import Path

import pytest

from flows.context import open_chain
from tasks.tune.pruning import Pruning
from tasks.tune.trial import Cost, Job, chain_of, perform
from tests.processes import children
from tests.resilience import archive
from tests.unit.tasks.doubles import Lines

EPOCHS = 3


@pytest.mark.slow
@pytest.mark.mindspore
def test_a_training_that_was_stopped_early_goes_on_when_it_is_wanted_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tmp_path / "tiny.tar.gz"
    archive.write_tiny_archive(tiny)
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    chain = open_chain("local", archive.overrides(tiny, EPOCHS), Lines())
    chain.run(chain.stages["download"])
    better_than_possible = Pruning("median", 1, 0.0, ({1: 1000.0},))
    job = partial(Job, number=0, profile="local", settings={}, levels={}, epochs=EPOCHS, cost=Cost(1, 0.0, 0.0))
    stopped = perform(chain_of(chain, {"seed": "7"}), job(pruning=better_than_possible))
    assert (stopped.end, list(stopped.curve)) == ("stopped", [1])
    assert not list((tmp_path / "home" / "receipts").glob("train/*"))
    assert children(str(tmp_path)) == []
    assert list((tmp_path / "home" / "work").glob("train-*/results/state/*"))
    later = chain_of(chain, {"seed": "7"})
    finished = perform(later, job())
    assert (finished.end, list(finished.curve)) == ("finished", [1, 2, 3])
    assert finished.curve[1] == stopped.curve[1]
    assert isinstance(later.reporter, Lines)
    epochs = [done for done, _, unit in later.reporter.moved if unit == "epochs"]
    assert epochs == [1, 2, 3], "the first by the training that was stopped, the others by the second"
    again = perform(chain_of(chain, {"seed": "7"}), job())
    assert (again.reused, again.accuracy, again.curve) == (True, finished.accuracy, finished.curve)
