"""The main job, once: everything is made, shown, recorded, and not made again."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.settings import load
from infra.world import World
from tests.e2e.conftest import FirstRun
from tests.e2e.installation import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]

HEAVY = {"prefect", "mindspore", "boto3", "botocore", "asyncssh", "onnxruntime", "numpy", "matplotlib"}


def table_of(text: Any) -> Any:
    """Stage to the second column of the table at the end of a run."""
    rows = re.findall(rf"^({'|'.join(STAGES)}) +(\w+) ", text, re.MULTILINE)
    return dict(rows[-len(STAGES) :])


def test_the_first_run_makes_everything_and_says_where_it_is(first_run: FirstRun) -> None:
    assert table_of(first_run.printed) == dict.fromkeys(STAGES, "ran")
    places = dict(
        re.findall(r"^(confusion matrix|classified pictures|run in Prefect) +(\S+)$", first_run.printed, re.MULTILINE)
    )
    with Image.open(places["confusion matrix"]) as picture:
        assert picture.format == "PNG"
    pictures = sorted(Path(places["classified pictures"]).rglob("*.png"))
    assert len(pictures) == 6
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width >= 32
    assert re.fullmatch(rf"{first_run.prefect}/runs/flow-run/[0-9a-f-]{{36}}", places["run in Prefect"])


def test_the_working_directory_and_the_users_home_stay_empty(untouched: Any) -> None:
    assert list(untouched.elsewhere.iterdir()) == []
    left = [path.relative_to(untouched.user) for path in untouched.user.rglob("*") if path.is_file()]
    # Matplotlib keeps an index of this machine's fonts where caches belong.
    assert [path for path in left if path.parts[:2] != (".cache", "matplotlib")] == []


def test_status_tells_state_key_outputs_and_origin_of_each_stage(made: Any) -> None:
    rows = made.status()
    assert tuple(rows) == STAGES
    for stage, row in rows.items():
        assert row["state"] == "fresh"
        assert re.fullmatch("[0-9a-f]{64}", row["key"])
        assert row["seconds"] > 0
        assert row["finished"] > 1.7e9
        assert row["outputs"], stage
        for output in row["outputs"]:
            assert set(output) == {"name", "sha256", "size"}
            assert re.fullmatch("[0-9a-f]{64}", output["sha256"])
            assert output["size"] > 0
    assert {stage for stage, row in rows.items() if row["emulated"]} == {"convert", "publish", "deploy"}
    assert {item["name"] for item in rows["export"]["outputs"]} >= {"mindir", "onnx", "checks"}


def test_prefect_has_the_run_with_one_task_a_stage_and_its_artifacts(untouched: Any) -> None:
    untouched.atlasflow("up")
    first = min((untouched.folder / "runs").glob("*.json"))
    flow_run = json.loads(first.read_text())["flow_run"]
    (run,) = untouched.prefect("flow_runs", flow_runs={"id": {"any_": [flow_run]}})
    assert run["state_type"] == "COMPLETED"
    tasks = untouched.prefect("task_runs", flow_runs={"id": {"any_": [flow_run]}})
    by_stage = {task["name"]: task["state_name"] for task in tasks if not task["name"].startswith("gate")}
    assert by_stage == dict.fromkeys(STAGES, "Completed")
    assert sorted(task["name"] for task in tasks if task["name"].startswith("gate")) == [
        "gate: convert",
        "gate: evaluate",
    ]
    artifacts = untouched.prefect("artifacts", flow_runs={"id": {"any_": [flow_run]}})
    assert {item["key"]: item["type"] for item in artifacts} == {
        "report": "markdown",
        "per-class": "table",
        "confusion-matrix": "image",
        "parity": "table",
        "parity-by-class": "image",
        "reliability": "image",
        "confident-mistakes": "image",
    } | {f"progress-{stage}": "progress" for stage in STAGES}


def test_a_second_run_starts_nothing_and_imports_nothing_heavy(made: Any) -> None:
    runs = made.run_count()
    for attempt in ("judged", "recalled"):
        seen, modules, printed = made.watched_run()
        assert seen == [], attempt
        assert HEAVY & modules == set(), attempt
        assert "Everything is fresh" in printed
        assert set(table_of(printed).values()) == {"fresh"}
    assert {"typer", "pydantic"} & modules == set(), "what is recalled needs no settings"
    assert made.run_count() == runs


def test_record_makes_a_run_of_cached_tasks_with_the_same_report(made: Any) -> None:
    printed = made.atlasflow("run", "--record")
    assert table_of(printed) == dict.fromkeys(STAGES, "reused")
    record, _ = made.last_run()
    tasks = made.prefect("task_runs", flow_runs={"id": {"any_": [record["flow_run"]]}})
    states = {task["name"]: task["state_name"] for task in tasks if task["name"] in STAGES}
    assert states == dict.fromkeys(STAGES, "Cached")


def test_prove_asks_the_bucket_again_and_puts_it_right(made: Any) -> None:
    objects = World(load(), made.folder).object_store()
    keys = [key for key, _ in objects.list("atlasflow/releases") if key.endswith("/model.onnx")]
    assert keys
    objects.delete(keys)
    assert "Everything is fresh" in made.atlasflow("run"), "the receipts cannot know"
    printed = made.atlasflow("run", "--prove")
    assert re.search(r"publish +starts: \S*model.onnx in bucket atlasflow is missing", printed)
    assert all(objects.head(key) is not None for key in keys)
    assert "is missing" not in made.atlasflow("run", "--prove")


def test_prove_asks_the_board_again_and_puts_it_right(made: Any) -> None:
    current = made.folder / "boards" / "laptop" / "home" / "atlasflow" / "current"
    release = current.readlink()
    current.unlink()
    printed = made.atlasflow("run", "--prove")
    assert f"board laptop runs nothing instead of {release.name}" in printed
    assert current.readlink() == release
