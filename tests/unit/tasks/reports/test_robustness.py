import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipt
from tasks.engine.chain import Chain
from tasks.metrics import Robustness
from tasks.reports.robustness import robustness
from tasks.reports.robustness_plot import accuracies

FOUND = {
    "images": 1000,
    "clean_accuracy": 0.75,
    "accuracy": {"contrast": {"1": 0.7, "5": 0.5}, "jpeg_compression": {"1": 0.6, "5": 0.4}},
    "corruption_error": {"contrast": 0.4, "jpeg_compression": 0.5},
    "mean_corruption_error": 0.45,
}


def chain_of(**values: Any) -> Chain:
    return cast("Chain", SimpleNamespace(**values))


def test_accuracy_by_corruption_is_in_the_table_and_the_picture(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "home")
    (tmp_path / "robustness.json").write_text(json.dumps(FOUND))
    accuracies(Robustness.read(tmp_path / "robustness.json"), tmp_path / "robustness.png")
    names = {"robustness": "robustness.json", "plot": "robustness.png"}
    outputs = {name: store.put_file(file, tmp_path / file, "") for name, file in names.items()}
    text = "\n".join(robustness(chain_of(store=store, known={"robustness": Receipt("robustness", "k", {}, outputs)})))
    assert "Mean corruption error **0.4500** on 1,000 images" in text
    assert "| corruption | severity 1 | severity 5 |" in text
    assert "| jpeg compression | 0.600 | 0.400 |" in text
    assert "](data:image/png;base64," in text


def test_there_is_no_section_when_robustness_was_not_measured() -> None:
    assert robustness(chain_of(known={})) == []
