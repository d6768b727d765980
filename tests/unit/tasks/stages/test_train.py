import pytest

from infra.errors import Transient
from infra.settings import load
from tasks.stages import train
from tests.unit.tasks.doubles import data_tree, work_of

EPOCH = {
    "event": "epoch",
    "epoch": 2,
    "epochs": 3,
    "loss": 1.5,
    "accuracy": 0.4321,
    "step_ms": 17.25,
    "images_per_second": 1855.4,
}


class Trainer:
    """A world whose training tells given events and writes every result."""

    def __init__(self, *events, error=None):
        self.events = events
        self.error = error
        self.asked = None

    def train(self, key, data, digest, spec, folder, heard, *, pretrained=None, again):
        self.asked = key, data, digest, spec
        self.again = again
        self.pretrained = pretrained
        for event in self.events:
            heard(event)
        if self.error:
            raise self.error
        folder.mkdir()
        for name in [*train.OUTPUTS.values(), *(["pretrained.json"] if pretrained else [])]:
            (folder / name).write_text(name)


def run(tmp_path, world, **settings):
    context = work_of(tmp_path, {"data": data_tree()}, world=world, settings=settings)
    return context, train.run(context)


def test_the_air_file_of_an_ascend_device_is_kept(tmp_path):
    class Ascend(Trainer):
        def train(self, key, data, digest, spec, folder, heard, **more):
            super().train(key, data, digest, spec, folder, heard, **more)
            (folder / "model.air").write_bytes(b"air")

    assert "air" not in run(tmp_path / "cpu", Trainer())[1].outputs
    assert run(tmp_path / "ascend", Ascend())[1].outputs["air"].read_bytes() == b"air"


def test_the_trainer_gets_the_key_the_data_and_the_recipe(tmp_path):
    world = Trainer()
    context, made = run(tmp_path, world, **{"train.epochs": "3"})
    key, data, digest, spec = world.asked
    assert key == context.key
    assert digest == context.inputs["data"].sha256
    assert (data / "eval" / "test_batch.bin").read_bytes() == data_tree()["eval/test_batch.bin"]
    assert spec["epochs"] == 3
    assert {name: path.read_text() for name, path in made.outputs.items()} == train.OUTPUTS


def test_each_epoch_is_a_line_and_progress(tmp_path):
    context, made = run(tmp_path, Trainer({"event": "start"}, EPOCH, {**EPOCH, "epoch": 3, "accuracy": 0.5}))
    assert context.reporter.lines[0] == "epoch   2/3  loss 1.5000  accuracy 0.4321  17.2 ms a step  1,855 images/s"
    assert context.reporter.moved == [(2, 3, "epochs"), (3, 3, "epochs")]
    assert made.note == "accuracy 0.5000 after 3 epochs"


def test_an_epoch_without_evaluation_is_a_line_too(tmp_path):
    bare = {name: value for name, value in EPOCH.items() if name != "accuracy"}
    context, _ = run(tmp_path, Trainer(bare, {**EPOCH, "epoch": 3}))
    assert context.reporter.lines[0] == "epoch   2/3  loss 1.5000  17.2 ms a step  1,855 images/s"


def test_a_training_that_was_finished_before_says_so(tmp_path):
    assert run(tmp_path, Trainer({"event": "done"}))[1].note == "was finished already"


def test_a_checkpoint_to_start_from_is_an_ingredient_and_its_report_a_result(tmp_path):
    start = tmp_path / "start.safetensors"
    start.write_bytes(b"weights")
    settings = {"train.pretrained": str(start)}
    assert train.STAGE.external_inputs(load(overrides=settings)) == {"pretrained": start}
    assert train.STAGE.external_inputs(load()) == {}
    world = Trainer(EPOCH)
    made = train.run(work_of(tmp_path, {"data": data_tree(), "pretrained": b"weights"}, world=world, settings=settings))
    assert world.pretrained.path.read_bytes() == b"weights"
    assert made.outputs["pretrained"].read_text() == "pretrained.json"
    assert "pretrained" not in run(tmp_path / "without", Trainer(EPOCH))[1].outputs


def test_a_killed_training_leaves_its_folder_for_the_next(tmp_path):
    with pytest.raises(Transient):
        run(tmp_path, Trainer(EPOCH, error=Transient("the job was lost")))
    assert (tmp_path / "work").is_dir()
    assert train.STAGE.resumes


def test_what_becomes_of_a_job_elsewhere_is_a_line(tmp_path):
    context, _ = run(tmp_path, Trainer({"event": "job", "text": "waiting in the queue"}))
    assert context.reporter.lines == ["waiting in the queue"]
