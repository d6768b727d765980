import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infra.errors import UserError
from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipt, Receipts
from infra.store.runs import Runs, StageRecord
from tasks.reports import training_comparison
from tasks.reports.training_comparison import compare, find_training

CLASSES = ("cat", "dog")
LABELS = np.repeat([0, 1], 50).astype(np.int32)


@pytest.fixture
def chain(tmp_path: Path) -> Any:
    return SimpleNamespace(
        home=tmp_path, store=ArtifactStore(tmp_path), receipts=Receipts(tmp_path), known={}, files=tmp_path / "files"
    )


@pytest.fixture
def trained(chain: Any) -> Callable[..., Receipt]:
    """Enters a training, and its evaluation with the given right answers."""

    def enter(key: str, right: Any = None, finished: float = 0.0, **settings: Any) -> Receipt:
        from models.evaluation.evaluate import summary

        folder = chain.files / key
        folder.mkdir(parents=True)
        with (folder / "history.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ("epoch", "loss", "evaluation_loss", "accuracy"))
            writer.writeheader()
            writer.writerow({"epoch": "1", "loss": "2.0", "evaluation_loss": "1.9", "accuracy": "0.5"})
        (folder / "checkpoint.ckpt").write_bytes(key.encode())
        receipt = Receipt("train", key, {"settings": settings}, kept(folder), started=finished)
        chain.receipts.save(receipt)
        if right is not None:
            evaluated = folder / "evaluated"
            evaluated.mkdir()
            logits = np.eye(2, dtype=np.float32)[np.where(right, LABELS, 1 - LABELS)]
            np.savez(evaluated / "predictions.npz", logits=logits, labels=LABELS)
            (evaluated / "metrics.json").write_text(json.dumps(summary(logits, LABELS, CLASSES)))
            inputs = {"inputs": {"checkpoint": receipt.outputs["checkpoint"].sha256}}
            chain.receipts.save(Receipt("evaluate", f"e{key}", inputs, kept(evaluated)))
        return receipt

    def kept(folder: Path) -> dict[str, Any]:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        return {path.stem: chain.store.put_file(path.name, path, "application/octet-stream") for path in files}

    return enter


def test_settings_curves_and_classes_are_compared(chain: Any, trained: Any, tmp_path: Path) -> None:
    better = LABELS == 1
    trained("aaa1", np.zeros(100, bool), epochs=3, seed=1)
    trained("bbb2", better, epochs=5, seed=1)
    found = compare(chain, find_training(chain, "aaa"), find_training(chain, "bbb2"))
    assert [str(item) for item in found.differences] == ["settings epochs: 3 → 5"]
    assert [(row.name, row.images, row.gain, row.certain) for row in found.classes] == [
        ("cat", 50, 0.0, False),
        ("dog", 50, 1.0, True),
    ]
    assert found.total is not None
    assert (found.total.first, found.total.second) == (0.0, 0.5)
    training_comparison.draw(found, tmp_path / "compared.png")
    assert (tmp_path / "compared.png").read_bytes().startswith(b"\x89PNG")


def test_without_evaluations_of_the_same_images_there_are_no_gains(chain: Any, trained: Any, tmp_path: Path) -> None:
    trained("aaa1", np.ones(100, bool))
    trained("bbb2")
    found = compare(chain, find_training(chain, "aaa1"), find_training(chain, "bbb2"))
    assert (found.total, found.classes) == (None, ())
    training_comparison.draw(found, tmp_path / "compared.png")


def test_a_training_is_named_by_settings_run_or_key(chain: Any, trained: Any) -> None:
    first, second = trained("aaa1"), trained("aab2", finished=9.0)
    record = Runs(chain.home).begin("local")
    record.stages.append(StageRecord("train", "aaa1", "reused", "", 0.0))
    Runs(chain.home).save(record)
    chain.known["train"] = second
    found = [find_training(chain, name).receipt.key for name in (record.id, "aab", "latest")]
    assert found == [first.key, second.key, second.key]
    for name, problem in {"aa": "2 trainings have keys that start with 'aa'", "x": "there is no training 'x'"}.items():
        with pytest.raises(UserError, match=problem) as caught:
            find_training(chain, name)
        assert caught.value.hint.endswith("aab2, aaa1"), "the newest first"


def test_without_a_training_the_remedy_is_named(chain: Any) -> None:
    for name in ("latest", "abc"):
        with pytest.raises(UserError, match="there is no training") as caught:
            find_training(chain, name)
        assert "atlasflow run --to evaluate" in caught.value.hint
