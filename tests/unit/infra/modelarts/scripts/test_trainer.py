"""The chain's training by a user's boot file: data as MindSpore reads them, the last checkpoint, the log."""

from pathlib import Path

import pytest

from infra.errors import UserError
from infra.modelarts.producer import producer
from infra.modelarts.scripts.runs import ScriptRuns
from infra.modelarts.scripts.trainer import ScriptTrainer, newest
from infra.ports.training import TrainJob
from infra.settings import load
from tasks.stages.train import STAGE
from tests.unit.infra.local_training.doubles import ignore
from tests.unit.infra.modelarts.conftest import OpenWorld, World
from tests.unit.infra.modelarts.jobs import KEY
from tests.unit.infra.modelarts.scripts.test_place import Listed

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

TEXT = """
import argparse, pathlib
parser = argparse.ArgumentParser()
for name in ('data_url', 'train_url', 'num_epochs'):
    parser.add_argument('--' + name, required=True)
options = parser.parse_args()
size = (pathlib.Path(options.data_url) / 'train/data_batch_1.bin').stat().st_size
for epoch in (9, 10):
    path = pathlib.Path(options.train_url, 'ckpt', f'net-{epoch}_5.ckpt')
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{epoch} of {options.num_epochs}, {size}')
print('trained')
"""


@pytest.fixture
def training(tmp_path: Path) -> TrainJob:
    data = tmp_path / "data"
    for name, records in (("train/data_batch_1.bin", 4), ("eval/test_batch.bin", 2)):
        (data / name).parent.mkdir(parents=True)
        (data / name).write_bytes(bytes(3073 * records))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "boot.py").write_text(TEXT)
    folder = tmp_path / "work"
    folder.mkdir()
    return TrainJob(KEY, data, {}, folder)


def trainer(world: World, folder: Path, **changes: str) -> ScriptTrainer:
    own = {"code_dir": str(folder / "code"), "boot_file": "boot.py", "parameters": {"num_epochs": "10"}, **changes}
    settings = world.settings.model_copy(update=own)
    store = Listed(world.store.folder.parent)

    def fetch(address: str, target: Path) -> None:
        for key, _ in store.list(address.removeprefix("obs://bucket/")):
            store.get(key, target / key.removeprefix(address.removeprefix("obs://bucket/")))

    def open_runs() -> ScriptRuns:
        return ScriptRuns(world.trainer.client, store, settings, "af", world.trainer.ledger, world.trainer.jobs)

    return ScriptTrainer(open_runs, lambda: store, lambda _: store, fetch, producer(settings, emulated=True))


def test_the_last_checkpoint_and_the_log_come_back(open_world: OpenWorld, training: TrainJob, tmp_path: Path) -> None:
    with open_world() as world:
        for _ in range(2):
            trainer(world, tmp_path).train(training, ignore)
        assert [record.name for record in world.platform.book.all()] == ["boot"], "paid for once"
    assert (training.folder / "checkpoint.ckpt").read_text() == f"10 of 10, {10_000 * 3073}"
    assert (training.folder / "train.log").read_text() == "trained\n"


def test_a_pattern_that_fits_nothing_names_what_is_there(
    open_world: OpenWorld, training: TrainJob, tmp_path: Path
) -> None:
    with open_world() as world, pytest.raises(UserError, match=r"no file like \*\.air: it has net-10_5.ckpt"):
        trainer(world, tmp_path, checkpoint="*.air").train(training, ignore)


def test_the_newest_has_the_highest_numbers(tmp_path: Path) -> None:
    for name in ("net-9_100.ckpt", "net-10_5.ckpt", "net-10_40.ckpt"):
        (tmp_path / name).touch()
    assert newest(tmp_path, "*.ckpt").name == "net-10_40.ckpt"


def test_numbers_are_arguments_too() -> None:
    settings = load("twin", {"modelarts.parameters.num_epochs": "3", "modelarts.parameters.lr": "0.1"})
    assert settings.modelarts.parameters == {"num_epochs": "3", "lr": "0.1"}


def test_the_chains_key_covers_the_script_and_not_our_training(tmp_path: Path) -> None:
    (tmp_path / "boot.py").touch()
    own = load("twin", {"modelarts.boot_file": "boot.py", "modelarts.code_dir": str(tmp_path)})
    assert STAGE.external_inputs(own) == {"script": tmp_path}
    assert STAGE.code(own) == ()
    assert set(STAGE.settings(own)) == {"boot_file", "parameters", "checkpoint", "environment"}
    assert STAGE.code(load("twin", {})) != ()
    with pytest.raises(UserError, match=r"modelarts\.code_dir"):
        STAGE.external_inputs(load("twin", {"modelarts.boot_file": "boot.py"}))
