from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from infra.errors import Transient, UserError
from infra.ports.training import Epoch
from infra.ports.values import LocalFile, Producer
from infra.settings import load
from tasks.engine.stage import StageOutput
from tasks.stages import train
from tests.unit.tasks.doubles import RememberingContext, data_tree, work_of

EPOCH = Epoch(epoch=2, epochs=3, loss=1.5, step_ms=17.25, images_per_second=1855.4, accuracy=0.4321)


class FakeWorld:
    """A world whose training reports the given epochs and status lines, and writes every result."""

    def __init__(self, *epochs: Epoch, status: str = "", error: Exception | None = None, air: bool = False) -> None:
        self.epochs = epochs
        self.status = status
        self.error = error
        self.results = {*train.OUTPUTS.values(), *(["model.air"] if air else [])}
        self.pretrained: LocalFile | None = None

    def training(self) -> Self:
        return self

    def run(
        self,
        key: str,
        data: Path,
        data_digest: str,
        spec: Mapping[str, object],
        folder: Path,
        on_epoch: Callable[[Epoch], None],
        on_status: Callable[[str], None],
        *,
        pretrained: LocalFile | None,
        again: bool,
    ) -> None:
        self.arguments = key, data, data_digest, spec
        self.again = again
        self.pretrained = pretrained
        if self.status:
            on_status(self.status)
        for epoch in self.epochs:
            on_epoch(epoch)
        if self.error:
            raise self.error
        folder.mkdir()
        for name in self.results | ({"pretrained.json"} if pretrained else set()):
            (folder / name).write_text(name)


def run(tmp_path: Path, world: FakeWorld, **settings: str) -> tuple[RememberingContext, StageOutput]:
    work = work_of(tmp_path, {"data": data_tree()}, world=world, settings=settings)
    return work, train.run(work)


def test_the_air_file_of_an_ascend_device_is_an_output(tmp_path: Path) -> None:
    assert "air" not in run(tmp_path / "cpu", FakeWorld())[1].outputs
    assert run(tmp_path / "ascend", FakeWorld(air=True))[1].outputs["air"].read_text() == "model.air"


def test_the_trainer_gets_key_data_and_recipe(tmp_path: Path) -> None:
    world = FakeWorld()
    work, output = run(tmp_path, world, **{"train.epochs": "3"})
    key, data, data_digest, spec = world.arguments
    assert key == work.key
    assert data_digest == work.inputs["data"].sha256
    assert (data / "eval" / "test_batch.bin").read_bytes() == data_tree()["eval/test_batch.bin"]
    assert spec["epochs"] == 3
    assert {name: path.read_text() for name, path in output.outputs.items()} == train.OUTPUTS


def test_each_epoch_is_a_line_and_progress(tmp_path: Path) -> None:
    work, output = run(tmp_path, FakeWorld(EPOCH, replace(EPOCH, epoch=3, accuracy=0.5)))
    assert work.reporter.lines[0] == "epoch   2/3  loss 1.5000  accuracy 0.4321  17.2 ms a step  1,855 images/s"
    assert work.reporter.moved == [(2, 3, "epochs"), (3, 3, "epochs")]
    assert output.note == "accuracy 0.5000 after 3 epochs"


def test_an_epoch_without_evaluation_has_no_accuracy(tmp_path: Path) -> None:
    work, output = run(tmp_path, FakeWorld(replace(EPOCH, accuracy=None)))
    assert work.reporter.lines == ["epoch   2/3  loss 1.5000  17.2 ms a step  1,855 images/s"]
    assert output.note == "3 epochs"


def test_a_training_without_epochs_was_finished_before(tmp_path: Path) -> None:
    assert run(tmp_path, FakeWorld())[1].note == "was finished already"


def test_a_pretrained_checkpoint_is_an_input_and_its_report_an_output(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    start.write_bytes(b"weights")
    settings = {"train.pretrained": str(start)}
    assert train.STAGE.external_inputs(load(overrides=settings)) == {"pretrained": start}
    assert train.STAGE.external_inputs(load()) == {}
    world = FakeWorld(EPOCH)
    output = train.run(
        work_of(tmp_path, {"data": data_tree(), "pretrained": b"weights"}, world=world, settings=settings)
    )
    assert world.pretrained is not None
    assert world.pretrained.path.read_bytes() == b"weights"
    assert output.outputs["pretrained"].read_text() == "pretrained.json"
    assert "pretrained" not in run(tmp_path / "without", FakeWorld(EPOCH))[1].outputs


def test_a_killed_training_keeps_its_folder(tmp_path: Path) -> None:
    with pytest.raises(Transient):
        run(tmp_path, FakeWorld(EPOCH, error=Transient("the job was lost")))
    assert (tmp_path / "work").is_dir()
    assert train.STAGE.resumes


def test_the_status_of_a_remote_job_is_a_line(tmp_path: Path) -> None:
    work, _ = run(tmp_path, FakeWorld(status="waiting in the queue"))
    assert work.reporter.lines == ["waiting in the queue"]


@pytest.mark.parametrize(("target", "has_kernels"), [("local", True), ("modelarts", False)])
def test_compiled_kernels_count_for_a_local_training(target: str, has_kernels: bool) -> None:
    trainer = SimpleNamespace(producer=lambda: Producer("any", "1", emulated=False))
    world: Any = SimpleNamespace(settings=load(overrides={"train.target": target}), trainer=lambda: trainer)
    producer = train.STAGE.producer(world)
    assert producer is not None
    assert ("kernels" in producer.details) == has_kernels


def test_another_number_of_classes_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    world = FakeWorld()
    with pytest.raises(UserError, match=r"the data set has 10 classes .* the network 3 outputs") as caught:
        run(tmp_path, world, **{"train.classes": "3"})
    assert caught.value.hint == "set train.classes=10"
    assert not hasattr(world, "arguments")
