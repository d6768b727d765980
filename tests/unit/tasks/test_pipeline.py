import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import UserError
from infra.settings import load
from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipt
from tasks.engine.gates import Decision
from tasks.pipeline import EVERY_NAME, NAMES, OPTIONAL, STAGES, gate_after, select, stages_for
from tests.unit.tasks.doubles import ledger

ORDER = ("download", "upload", "train", "evaluate", "export", "convert", "publish", "deploy")


def needs_of(stage: Any, **settings: Any) -> Any:
    return stage.needs(load(overrides=settings)) if callable(stage.needs) else stage.needs


def test_the_stages_come_in_the_order_of_the_design() -> None:
    assert NAMES == ORDER
    assert {stage.name for stage in STAGES if stage.kind == "effect"} == {"upload", "publish", "deploy"}


def test_a_stage_needs_only_what_earlier_stages_make() -> None:
    for stage in (*STAGES, *OPTIONAL):
        for source, _ in needs_of(stage).values():
            assert EVERY_NAME.index(source) < EVERY_NAME.index(stage.name)


def test_every_effect_can_be_proved_and_no_pure_stage_claims_to() -> None:
    assert all((stage.prove is not None) == (stage.kind == "effect") for stage in STAGES)


def test_what_is_paid_for_or_fetched_in_parts_resumes() -> None:
    assert {stage.name for stage in STAGES if stage.resumes} == {"download", "train"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (((), None, None), ORDER),
        ((("evaluate", "download"), None, None), ("download", "evaluate")),
        ((("train", "train"), None, None), ("train",)),
        (((), "export", None), ORDER[4:]),
        (((), None, "upload"), ORDER[:2]),
        (((), "train", "train"), ("train",)),
        ((("robustness", "corrupt", "train"), None, None), ("train", "corrupt", "robustness")),
    ],
)
def test_stages_are_selected_in_their_order(arguments: Any, expected: Any) -> None:
    assert select(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((("trian",), None, None), "no stage 'trian'"),
        (((), "trian", None), "no stage 'trian'"),
        (((), "corrupt", None), "no stage 'corrupt'"),
        ((("train",), "train", None), "--stage does not go with"),
        (((), "deploy", "train"), "--from deploy comes after --to train"),
    ],
)
def test_a_wrong_selection_is_refused(arguments: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        select(*arguments)


def test_optional_stages_are_there_when_one_is_selected() -> None:
    assert stages_for(()) == stages_for(NAMES) == STAGES
    assert stages_for(("robustness",)) == (*STAGES, *OPTIONAL)


@pytest.fixture
def chain(tmp_path: Path) -> Any:
    store = ArtifactStore(tmp_path / "home")
    (tmp_path / "metrics.json").write_text(json.dumps({"accuracy": 0.42}))
    outputs = {"metrics": store.put_file("metrics.json", tmp_path / "metrics.json", "application/json")}
    (tmp_path / "ledger.json").write_text(json.dumps(ledger(precision=None)))
    ledgers = {"ledger": store.put_file("ledger.json", tmp_path / "ledger.json", "application/json")}
    known = {"evaluate": Receipt("evaluate", "k", {}, outputs), "convert": Receipt("convert", "k", {}, ledgers)}
    return SimpleNamespace(store=store, known=known, settings=load(overrides={"evaluate.min_accuracy": "0.4"}))


def decision_after(chain: Any, stage: str) -> Decision:
    decision = gate_after(chain, stage)
    assert decision is not None
    return decision


def test_the_gate_reads_what_evaluation_found(chain: Any) -> None:
    assert decision_after(chain, "evaluate").ok
    chain.settings = load()
    assert "0.4200 is below" in decision_after(chain, "evaluate").reason


def test_the_gate_reads_what_compilation_found(chain: Any) -> None:
    assert "onnx → Ascend310 force_fp16" in decision_after(chain, "convert").reason


def test_there_is_no_gate_elsewhere_or_before_its_stage(chain: Any) -> None:
    assert gate_after(chain, "export") is None
    chain.known.clear()
    assert gate_after(chain, "evaluate") is None
    assert gate_after(chain, "convert") is None
