import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.ports.values import Producer
from infra.settings import load
from infra.world import World
from tasks.engine.chain import Chain
from tasks.stages import profile
from tasks.tune.trial import Cost, cost_of
from tests.unit.tasks.doubles import read, work_of

FOUND = {"parameters": 61_984, "size_mb": 0.247936, "latency_ms": {"mean": 0.5, "median": 0.4}}


def test_a_network_is_profiled_without_a_training(tmp_path: Path) -> None:
    asked = []

    def run(command: Any, arguments: Any, log: Any) -> None:
        asked.append((command, arguments))
        (log.parent / "profile.json").write_text(json.dumps(FOUND))

    world = SimpleNamespace(models=lambda: SimpleNamespace(run=run))
    context = work_of(
        tmp_path,
        {"data": {"eval/x": b"x"}},
        world=world,
        settings={"train.width": "2"},
    )
    made = profile.run(context)
    ((command, arguments),) = asked
    assert (command, "checkpoint" in arguments) == ("profile", False)
    assert read(Path(arguments["spec"]))["width"] == 2.0
    assert made.note == "61,984 parameters, 0.500 ms"
    receipt = SimpleNamespace(outputs={"profile": made.outputs["profile"]})
    chain = SimpleNamespace(known={"profile": receipt}, store=SimpleNamespace(path=lambda artifact: artifact))
    assert cost_of(cast("Chain", chain)) == Cost(61_984, 0.247936, 0.5)


def test_what_is_learnt_does_not_count_and_what_the_network_is_does() -> None:
    stage = profile.STAGE
    common = stage.settings(load())
    assert stage.settings(load(overrides={"train.learning_rate": "0.5", "train.epochs": "3"})) == common
    assert stage.settings(load(overrides={"train.width": "2"})) != common
    assert "models.evaluation.profile" in stage.code(load())
    assert "models.networks.resnet" in stage.code(load(overrides={"train.network": "resnet20"}))


def test_another_processor_has_another_latency(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(profile, "local_producer", lambda: Producer("mindspore-cpu", "2.10", False, {"cores": "2"}))
    cpu = tmp_path / "cpuinfo"
    monkeypatch.setattr(profile, "_CPU", cpu)
    cpu.write_text("processor\t: 0\nmodel name\t: Kunpeng 920\n")
    producer = profile.STAGE.producer(cast("World", None))
    assert producer is not None
    assert producer.details == {"cores": "2", "processor": "Kunpeng 920"}


@pytest.mark.parametrize("content", [None, "BogoMIPS\t: 100\n"])
def test_a_processor_without_a_name_is_called_after_its_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: Any
) -> None:
    cpu = tmp_path / "cpuinfo"
    if content:
        cpu.write_text(content)
    monkeypatch.setattr(profile, "_CPU", cpu)
    assert profile.processor()
