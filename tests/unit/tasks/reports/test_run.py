import base64
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.ports.board import BoardFacts, SmokeResult
from infra.services import Services
from infra.settings import load
from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipt
from infra.store.runs import RunRecord, StageRecord
from tasks.release.deployment import DeployedBoard, Deployment
from tasks.release.ledger import Ledger
from tasks.release.parity import with_board
from tasks.reports import cache, run_plots
from tasks.reports.run import link_time, markdown, parity_rows, published_links
from tests.unit.tasks.doubles import FIGURES, METRICS, Bucket, data_tree, ledger

FACTS = BoardFacts("roof", "Ascend310", "7.0", "aarch64", "3.9", 1 << 30, emulated=True)
SMOKE = SmokeResult(50, 1.0, 0.01, 0.1, 0.5)
BOARDS = Deployment("r1", {"roof": DeployedBoard(FACTS, changed=True, bytes_sent=1, smoke=SMOKE)}).to_json()
HISTORY = (
    "epoch,loss,accuracy,evaluation_loss,learning_rate,step_ms,images_per_second\n"
    "1,2.5,,,0.1,3.5,9000\n2,1.25,0.5,1.5,0.05,3.5,9000\n"
)
STEPS = "step,epoch,loss,learning_rate\n1,1,2.5,0.1\n2,2,1.25,0.01\n"


@pytest.fixture
def chain(tmp_path: Path) -> Any:
    """A chain that knows an evaluation and a published release."""
    store = ArtifactStore(tmp_path / "home")

    def receipt(stage: Any, output: Any, body: Any, *, emulated: bool = False) -> Any:
        path = tmp_path / f"{output}.json"
        path.write_text(json.dumps(body))
        outputs = {output: store.put_file(path.name, path, "application/json")}
        return Receipt(stage, "k", {}, outputs, emulated=emulated)

    prefix = "atlasflow/releases/r1"
    objects = dict.fromkeys([f"{prefix}/model.onnx", f"{prefix}/board/model.om", f"{prefix}/board/a.py"], "0" * 64)
    published = {"id": "r1", "prefix": prefix, "bucket": "bucket", "objects": objects}
    return SimpleNamespace(
        home=tmp_path / "home",
        store=store,
        settings=load(overrides={"obs.link_seconds": "7200"}),
        world=SimpleNamespace(object_store=Bucket),
        known={
            "evaluate": receipt("evaluate", "metrics", METRICS),
            "publish": receipt("publish", "published", published, emulated=True),
        },
    )


@pytest.fixture
def compiled(chain: Any, tmp_path: Path) -> Any:
    """The same after a compilation and a deployment."""

    def receipt(stage: Any, **bodies: Any) -> Any:
        outputs = {}
        for name, body in bodies.items():
            path = tmp_path / f"{stage}-{name}.json"
            path.write_text(json.dumps(body))
            outputs[name] = chain.store.put_file(path.name, path, "application/json")
        return Receipt(stage, "k", {}, outputs)

    with_figures = SmokeResult.from_json({**FIGURES, "tolerance": 1.0})
    book = ledger()
    chain.known |= {
        "export": receipt("export", latency={"onnx": {"images": 1, "milliseconds": 0.125}}),
        "convert": receipt("convert", ledger=book, latency={"Ascend310 force_fp16": 0.25}),
        "deploy": receipt(
            "deploy",
            ledger=with_board(Ledger.from_json(book), "roof", "Ascend310", with_figures).to_json(),
            latency={"board roof": 0.5},
            boards=BOARDS,
        ),
    }
    return chain


@pytest.fixture
def learned(chain: Any, tmp_path: Path) -> Any:
    """The same with a training, its data set and its answers, of which image 0 is wrong."""

    def keep(name: Any, content: Any) -> Any:
        path = tmp_path / name
        path.write_bytes(content)
        return chain.store.put_file(name, path, "application/octet-stream")

    for name, content in data_tree(30).items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    labels = np.arange(30) % 10
    logits = np.eye(10, dtype=np.float32)[labels] * 5
    logits[0] = logits[1]
    predictions = io.BytesIO()
    np.savez(predictions, logits=logits, labels=labels)
    metrics = {**METRICS, "classes": [f"class{number}" for number in range(10)]}
    chain.known["evaluate"].outputs["metrics"] = keep("m.json", json.dumps(metrics).encode())
    chain.known["evaluate"].outputs["predictions"] = keep("predictions.npz", predictions.getvalue())
    picture = io.BytesIO()
    Image.new("RGB", (90, 80), "navy").save(picture, "PNG")
    chain.known["evaluate"].outputs["confusion"] = keep("confusion.png", picture.getvalue())
    outputs = {"history": keep("history.csv", HISTORY.encode()), "steps": keep("steps.csv", STEPS.encode())}
    recipe = {"epochs": 2, "classes": 10, "warmup_epochs": 0, "schedule": "cosine", "learning_rate": 0.1}
    ingredients = {"producer": {"name": "mindspore-cpu"}, "settings": recipe}
    chain.known |= {
        "download": Receipt("download", "k", {}, {"data": chain.store.put_tree("data", tmp_path / "data")}),
        "train": Receipt("train", "k", ingredients, outputs, seconds=7.4),
    }
    return chain


def pictures(text: Any) -> Any:
    """The pictures inside a report, by what they show."""
    found = {}
    for shows, content in re.findall(r"!\[(.*?)\]\(data:image/png;base64,(.*?)\)", text):
        with Image.open(io.BytesIO(base64.b64decode(content))) as opened:
            found[shows.partition(":")[0]] = opened.size
    return found


def test_the_pictures_travel_inside_the_report_and_their_numbers_are_said_in_words(learned: Any) -> None:
    text = markdown(learned, record())
    shown = pictures(text)
    assert shown["confusion matrix"] == (90, 80)
    assert set(shown) == {
        "confusion matrix", "evaluation images with their answers", "loss, accuracy and learning rate over the epochs",
    }  # fmt: skip
    assert "http" not in text.partition("## Published")[0]
    assert "24 of these 25 answers are right (✓), 1 wrong (✗)" in text
    assert "2 epochs in 7 s: training loss 2.5000 → 1.2500, learning rate at most 0.1, at the end 0.01." in text
    assert len(text) < 200_000


def test_a_picture_is_drawn_once(learned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = markdown(learned, record())
    assert len(list((learned.home / "reports").iterdir())) == 3
    for name in ("curves", "samples", "small"):
        monkeypatch.setattr(run_plots, name, pytest.fail)
    assert markdown(learned, record()) == first


def test_the_oldest_pictures_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 2)
    for number in range(4):
        cache.cached(tmp_path, "picture", [str(number)], lambda: b"PNG")
    assert len(list((tmp_path / "reports").iterdir())) == 2


def test_a_training_without_steps_shows_the_rates_of_its_epochs(learned: Any) -> None:
    del learned.known["train"].outputs["steps"]
    assert "learning rate at most 0.1, at the end 0.05." in markdown(learned, record())


def test_signs_of_trouble_stand_below_the_curves(learned: Any, tmp_path: Path) -> None:
    path = tmp_path / "rising.csv"
    path.write_text(HISTORY.replace("1.25,", "9.25,"))
    learned.known["train"].outputs["history"] = learned.store.put_file("history.csv", path, "text/csv")
    assert "After epoch 2: the loss is 9.250 after 2.500, and rises. Stop, and set" in markdown(learned, record())


def test_a_training_that_is_tracked_is_linked(learned: Any, tmp_path: Path) -> None:
    assert "Aim" not in markdown(learned, record())
    note = learned.home / "tracking" / f"{learned.known['train'].key}.json"
    note.parent.mkdir(parents=True)
    note.write_text('{"run": "0123", "whole": true}')
    learned.world.services = Services(learned.home)
    learned.settings = load(overrides={"tracking.port": "4711"})
    assert "[This training in Aim](http://127.0.0.1:4711/runs/0123)" in markdown(learned, record())


def test_the_summary_says_in_one_breath_what_came_of_it(compiled: Any) -> None:
    stages = (StageRecord("train", "k", "ran", "", 1.0), StageRecord("export", "k", "reused", "", 0.0))
    text = markdown(compiled, record(*stages))
    assert "**Done**: of 2 stages 1 ran, 1 reused. The network answers **75.0 %** of 1,000 images right." in text
    assert "Release `r1` is in service on 1 board. Stand-ins took part" in text
    text = markdown(compiled, record(*stages, StageRecord("deploy", "k", "failed", "no", 0.0)))
    assert "**Stopped at deploy**: of 3 stages 1 ran, 1 reused, 1 failed." in text
    assert "in service on" not in text.partition("## ")[0]


def test_sizes_latencies_and_boards_say_what_is_a_stand_in(compiled: Any) -> None:
    text = markdown(compiled, record())
    assert "| roof (stand-in) | Ascend310 | 7.0 | 100 % of 50 images agree | 0.500 |" in text
    size = next(row.bytes for row in parity_rows(compiled) if row.target == "board roof")
    assert f"| board roof | {size:,} | 0.500 | a stand-in board |" in text


@pytest.mark.parametrize(
    ("producer", "emulated", "prices", "words"),
    [
        ("mindspore-cpu", False, "{}", "7 s on this machine; it cost nothing"),
        ("modelarts-stand-in", True, "{}", "ran on the ModelArts stand-in; it cost nothing"),
        ("modelarts", False, "{}", "its price is unknown"),
        ("modelarts", False, '{"big" = 3600.0}', "at most 14.80 at 7200.00 an hour"),
    ],
)
def test_costs_are_told_as_far_as_they_are_known(
    chain: Any, producer: str, emulated: bool, prices: str, words: str
) -> None:
    chain.settings = load(
        overrides={"modelarts.flavor": "big", "modelarts.node_count": "2", "modelarts.prices": prices}
    )
    training = Receipt("train", "k", {"producer": {"name": producer}}, {}, emulated=emulated, seconds=7.4)
    chain.known["train"] = training
    assert words in markdown(chain, record())


def test_the_table_of_parity_has_the_times_of_all_stages(compiled: Any) -> None:
    assert [(row.target, row.milliseconds) for row in parity_rows(compiled)] == [
        ("onnx", 0.125), ("Ascend310 force_fp16", 0.25), ("board roof", 0.5),
    ]  # fmt: skip
    compiled.known["deploy"].outputs.clear()  # as a release from elsewhere leaves it
    assert [row.target for row in parity_rows(compiled)] == ["onnx", "Ascend310 force_fp16"]


def test_the_report_says_what_the_gate_of_parity_said(compiled: Any) -> None:
    assert "The gate passed: Ascend310 force_fp16 agrees on 1.0000 of 20 images." in markdown(compiled, record())


def record(*stages: Any) -> Any:
    return RunRecord("20261121-1", 0.0, "twin", list(stages))


def test_the_report_says_what_ran_and_why(chain: Any) -> None:
    ran = StageRecord("train", "k", "ran", "settings epochs: 30 → 3; code a changed", 12.34, "accuracy 0.5")
    text = markdown(chain, record(ran, StageRecord("export", "k", "reused", "nothing changed", 0.0)))
    assert text.startswith("# Run 20261121-1\n\n**Done**")
    assert "\nProfile `twin`." in text
    assert "| train | ran | 12.3 | accuracy 0.5 | settings epochs: 30 → 3 and 1 more |" in text
    assert "| export | reused | 0.0 |  | nothing changed |" in text


def test_accuracy_digests_stand_ins_and_links_are_shown(chain: Any) -> None:
    text = markdown(chain, record())
    assert "**0.7500** on 1,000 evaluation images (95 % Wilson interval 0.7000 – 0.8000), mean loss 0.5000." in text
    assert "Stand-ins took part in: publish." in text
    assert "[model.onnx](https://bucket.example/atlasflow/releases/r1/model.onnx?expires=7200)" in text
    assert "and 2 files under `board/`" in text
    assert "The links work for 2 hours." in text
    metrics = chain.known["evaluate"].outputs["metrics"]
    assert f"| evaluate | metrics | `{metrics.sha256[:16]}` | {metrics.size:,} |" in text


def test_nothing_is_claimed_that_is_not_known(chain: Any) -> None:
    chain.known.clear()
    text = markdown(chain, record())
    for heading in ("## Accuracy", "## Parity", "## Published", "## Stand-ins"):
        assert heading not in text


def test_a_reason_cannot_break_the_table(chain: Any) -> None:
    text = markdown(chain, record(StageRecord("train", "k", "failed", "a | b__c__\nsecond line", 0.0, "c\nd")))
    assert r"| train | failed | 0.0 | c d | a \| b\_\_c\_\_ |" in text


def test_published_files_have_links_for_people(chain: Any) -> None:
    assert (
        published_links(chain)["model.onnx"] == "https://bucket.example/atlasflow/releases/r1/model.onnx?expires=7200"
    )
    assert not any(name.startswith("board/") for name in published_links(chain))


@pytest.mark.parametrize(("seconds", "words"), [(86_400, "24 hours"), (5400, "1.5 hours"), (90, "1.5 minutes")])
def test_the_time_of_a_link_is_told_in_words(seconds: int, words: str) -> None:
    assert link_time(seconds) == words
