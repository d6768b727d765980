import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.training.means import running_mean

SPEC = json.dumps({"network": "lenet5", "epochs": 1, "batch_size": 20})


def test_the_running_mean_starts_at_the_first_loss() -> None:
    assert running_mean([2.0, 2.0, 2.0]) == pytest.approx([2.0] * 3)
    assert running_mean([2.0, 1.0])[1] == pytest.approx((0.9 * 0.2 + 0.1) / (1 - 0.81))


@pytest.mark.mindspore
def test_the_steepest_rate_lies_where_the_loss_falls_fastest() -> None:
    from models.training.rate_range import advice

    rates = np.geomspace(1e-5, 10, 200)
    fall = [2.3 - 1.5 / (1 + math.exp(-4 * (math.log10(rate) + 2))) for rate in rates]
    losses = [loss + (10 * (rate - 1) if rate > 1 else 0) for rate, loss in zip(rates, fall, strict=True)]
    found = advice(rates.tolist(), losses)
    assert 5e-3 < found.steepest < 5e-2, "the fall is centred on 0.01, and the running mean lags behind"
    assert found.cautious == pytest.approx(rates[int(np.argmin(running_mean(losses)))] / 10)


@pytest.mark.mindspore
def test_a_range_test_ends_when_the_loss_diverges(run: Any, data: Any, tmp_path: Path) -> None:
    done = run("rates", "--data_url", data, "--spec", SPEC, "--output", tmp_path)
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "rates.json").read_text())
    rates = [row["learning_rate"] for row in found["steps"]]
    assert rates[0] == pytest.approx(1e-5)
    assert np.diff(np.log(rates)) == pytest.approx(math.log(1e6) / 199, rel=1e-3)
    assert all(math.isfinite(row["loss"]) for row in found["steps"])
    assert rates[0] < found["steepest"] < rates[-1] <= 10.001
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "rates.json"]
