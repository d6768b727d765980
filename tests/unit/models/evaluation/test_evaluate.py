import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data.images import read_images
from tests.unit.models.calls import evaluate, result

pytestmark = pytest.mark.mindspore


def test_evaluation_writes_metrics_and_predictions(trained: Any, run: Any, tmp_path: Path) -> None:
    data, folder, _ = trained
    done = evaluate(run, data, folder / "checkpoint.ckpt", tmp_path / "one")
    assert done.code == 0, done.errors
    metrics = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert metrics["accuracy"] == result(folder)["accuracy"]
    assert metrics["loss"] == pytest.approx(result(folder)["evaluation_loss"])
    assert np.sum(metrics["confusion_matrix"]) == metrics["images"] == 20
    with np.load(tmp_path / "one" / "predictions.npz") as file:
        assert (file["logits"].dtype, file["logits"].shape) == (np.float32, (20, 10))
        assert (file["labels"] == read_images(data, "eval").labels).all()
    assert done.lines[-1] == f"Evaluation result: {{'acc': {metrics['accuracy']}}}."
    assert evaluate(run, data, folder / "checkpoint.ckpt", tmp_path / "two").code == 0
    for name in ("metrics.json", "predictions.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("content", "code", "word"), [(None, 2, "does not exist"), (b"not a checkpoint", 6, "cannot be read")]
)
def test_a_bad_checkpoint_is_named(run: Any, data: Any, tmp_path: Path, content: Any, code: int, word: str) -> None:
    path = tmp_path / "model.ckpt"
    if content is not None:
        path.write_bytes(content)
    refused = evaluate(run, data, path, tmp_path / "out")
    assert refused.code == code
    assert word in str(refused.events("error")[0]["message"])


def test_a_truncated_checkpoint_is_damage(trained: Any, run: Any, tmp_path: Path) -> None:
    data, folder, _ = trained
    path = tmp_path / "model.ckpt"
    path.write_bytes((folder / "checkpoint.ckpt").read_bytes()[:100_000])
    refused = evaluate(run, data, path, tmp_path / "out")
    assert refused.code in (2, 6)
    assert not (tmp_path / "out" / "metrics.json").exists()
