import json
from types import SimpleNamespace

import pytest

from infra.settings import load
from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipt
from infra.store.runs import RunRecord, StageRecord
from tasks.parity import with_board
from tasks.report import link_time, markdown, parity_rows, published_links
from tests.unit.tasks.doubles import FIGURES, METRICS, Bucket, ledger


@pytest.fixture
def chain(tmp_path):
    """A chain that knows an evaluation and a published release."""
    store = ArtifactStore(tmp_path / "home")

    def receipt(stage, output, body, *, emulated=False):
        path = tmp_path / f"{output}.json"
        path.write_text(json.dumps(body))
        outputs = {output: store.put_file(path.name, path, "application/json")}
        return Receipt(stage, "k", {}, outputs, emulated=emulated)

    prefix = "atlasflow/releases/r1"
    objects = dict.fromkeys([f"{prefix}/model.onnx", f"{prefix}/board/model.om", f"{prefix}/board/a.py"], "0" * 64)
    published = {"id": "r1", "prefix": prefix, "bucket": "bucket", "objects": objects}
    return SimpleNamespace(
        store=store,
        settings=load(overrides={"obs.link_seconds": "7200"}),
        world=SimpleNamespace(object_store=Bucket),
        known={
            "evaluate": receipt("evaluate", "metrics", METRICS),
            "publish": receipt("publish", "published", published, emulated=True),
        },
    )


@pytest.fixture
def compiled(chain, tmp_path):
    """The same after a compilation and a deployment."""

    def receipt(stage, **bodies):
        outputs = {}
        for name, body in bodies.items():
            path = tmp_path / f"{stage}-{name}.json"
            path.write_text(json.dumps(body))
            outputs[name] = chain.store.put_file(path.name, path, "application/json")
        return Receipt(stage, "k", {}, outputs)

    book = ledger()
    chain.known |= {
        "export": receipt("export", latency={"onnx": {"images": 1, "milliseconds": 0.125}}),
        "convert": receipt("convert", ledger=book, latency={"Ascend310 force_fp16": 0.25}),
        "deploy": receipt("deploy", ledger=with_board(book, "roof", "Ascend310", FIGURES), latency={"board roof": 0.5}),
    }
    return chain


def test_the_table_of_parity_has_the_times_of_all_stages(compiled):
    assert [(row["to"], row["ms"]) for row in parity_rows(compiled)] == [
        ("onnx", 0.125), ("Ascend310 force_fp16", 0.25), ("board roof", 0.5),
    ]  # fmt: skip
    compiled.known["deploy"].outputs.clear()  # as a release from elsewhere leaves it
    assert [row["to"] for row in parity_rows(compiled)] == ["onnx", "Ascend310 force_fp16"]


def test_the_report_says_what_the_gate_of_parity_said(compiled):
    assert "The gate passed: Ascend310 force_fp16 agrees on 1.0000 of 20 images." in markdown(compiled, record())


def record(*stages):
    return RunRecord("20261121-1", 0.0, "twin", list(stages))


def test_the_report_says_what_ran_and_why(chain):
    ran = StageRecord("train", "k", "ran", "settings epochs: 30 → 3; code a changed", 12.34, "accuracy 0.5")
    text = markdown(chain, record(ran, StageRecord("export", "k", "reused", "nothing changed", 0.0)))
    assert text.startswith("# Run 20261121-1\n\nProfile `twin`.")
    assert "| train | ran | settings epochs: 30 → 3 and 1 more | 12.3 | accuracy 0.5 |" in text
    assert "| export | reused | nothing changed | 0.0 |  |" in text


def test_accuracy_digests_stand_ins_and_links_are_shown(chain):
    text = markdown(chain, record())
    assert "**0.7500** on 1,000 evaluation images (95 % Wilson interval 0.7000 – 0.8000), mean loss 0.5000." in text
    assert "A stand-in had a hand in the bytes of: publish." in text
    assert "[model.onnx](https://bucket.example/atlasflow/releases/r1/model.onnx?expires=7200)" in text
    assert "and 2 files under `board/`" in text
    assert "The links work for 2 hours." in text
    metrics = chain.known["evaluate"].outputs["metrics"]
    assert f"| evaluate | metrics | `{metrics.sha256[:16]}` | {metrics.size:,} |" in text


def test_nothing_is_claimed_that_is_not_known(chain):
    chain.known.clear()
    text = markdown(chain, record())
    for heading in ("## Accuracy", "## Parity", "## Published", "## Stand-ins"):
        assert heading not in text


def test_a_reason_cannot_break_the_table(chain):
    text = markdown(chain, record(StageRecord("train", "k", "failed", "a | b\nsecond line", 0.0, "c\nd")))
    assert "| train | failed | a \\| b | 0.0 | c d |" in text


def test_published_files_have_links_for_people(chain):
    assert (
        published_links(chain)["model.onnx"] == "https://bucket.example/atlasflow/releases/r1/model.onnx?expires=7200"
    )
    assert not any(name.startswith("board/") for name in published_links(chain))


@pytest.mark.parametrize(("seconds", "words"), [(86_400, "24 hours"), (5400, "1.5 hours"), (90, "1.5 minutes")])
def test_the_time_of_a_link_is_told_in_words(seconds, words):
    assert link_time(seconds) == words
