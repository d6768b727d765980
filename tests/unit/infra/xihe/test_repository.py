"""A repository's own boot file as a job: configs, forms, limits, and one run on the stand-in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Refused, UserError
from infra.modelarts.scripts.runs import ScriptRuns
from infra.modelarts.scripts.script import Script
from infra.settings import ModelArtsSettings
from infra.xihe.instances import Instances
from infra.xihe.repository import Form, Repository, open_repository, script_of
from tests.unit.infra.local_training.doubles import Recorder
from tests.unit.infra.modelarts.conftest import OpenWorld, open_world, store  # noqa: F401 - fixtures
from tests.unit.infra.modelarts.doubles import FolderStore
from tests.unit.infra.xihe.published import PUBLISHED

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

SETTINGS = ModelArtsSettings(engine="e", flavor="f")
TEXT = """
import argparse, pathlib
parser = argparse.ArgumentParser()
for name in ('data_url', 'pretrain_url', 'output_path', 'aim_repo', 'epochs', 'lr'):
    parser.add_argument('--' + name, required=True)
options = parser.parse_args()
pathlib.Path(options.output_path, 'best.ckpt').write_bytes(pathlib.Path(options.pretrain_url).read_bytes())
pathlib.Path(options.aim_repo, 'metrics').write_text(options.epochs)
print('pictures', sorted(path.name for path in pathlib.Path(options.data_url).iterdir()))
"""


class ListedStore(FolderStore):
    """A bucket that lists ETags."""

    def listing(self, prefix: str) -> Sequence[tuple[str, int, str]]:
        return [(key, size, "etag") for key, size in self.list(prefix)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a config and a boot file."""
    folder = tmp_path / "ResNet50" / "train" / "train_dir"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(TEXT)
    (folder.parent / "config.json").write_text(PUBLISHED)
    return tmp_path / "ResNet50"


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, str]:
    """Copies of its inputs: a folder and a file."""
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "x.bin").write_bytes(b"picture")
    (tmp_path / "x.ckpt").write_bytes(b"weights")
    return {"data_url": str(tmp_path / "cifar10"), "pretrain_url": str(tmp_path / "x.ckpt")}


def script(repository: Repository, inputs: dict[str, str], bucket: ListedStore) -> Script:
    return script_of(repository, inputs, bucket, lambda _: bucket, "af", SETTINGS)


def test_a_repository_is_found_by_folder_and_by_config(root: Path) -> None:
    for path in (root, root / "train" / "config.json"):
        found = open_repository(path, Form(parameters={"epochs": "9"}))
        assert (found.root.resolve(), found.name) == (root, "ResNet50")
        assert [(item.name, item.value) for item in found.config.hypeparameters] == [("epochs", "9"), ("lr", 0.01)]


def test_a_form_takes_the_place_of_a_config(root: Path) -> None:
    (root / "train" / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no train/config\.json") as caught:
        open_repository(root, Form())
    assert "--boot" in caught.value.hint
    form = Form("train/train_dir/", "train.py", "output_url", "first", {"epochs": "1"})
    config = open_repository(root, form).config
    assert (config.job_name, config.outputs[0].name, config.inputs) == ("first", "output_url", ())


@pytest.mark.parametrize(
    ("form", "match"),
    [
        (Form(boot="other.py"), "no boot file train/train_dir/other.py"),
        (Form(code="../x/"), "leaves the repository"),
        (Form(output_name="epochs"), "'epochs' is given twice"),
    ],
)
def test_what_is_not_there_is_named(root: Path, form: Form, match: str) -> None:
    with pytest.raises(UserError, match=match):
        open_repository(root, form)


def test_an_input_without_a_copy_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="datasets/me/cifar10/ on xihe") as caught:
        script(open_repository(root, Form()), {}, ListedStore(tmp_path))
    assert "--input data_url=PATH" in caught.value.hint


def test_every_state_has_an_output_of_its_own(root: Path, inputs: dict[str, str], tmp_path: Path) -> None:
    bucket = ListedStore(tmp_path / "store")
    first, same, other = (
        script(open_repository(root, Form(parameters={"aim_repo": "./db", "epochs": epochs})), inputs, bucket)
        for epochs in ("1", "1", "2")
    )
    assert first == same
    assert first.output != other.output
    assert first.outputs == (("aim_repo", f"{first.output}db/"),)
    assert first.parameters == (("epochs", "1"), ("lr", "0.01"))
    assert dict(first.inputs)["pretrain_url"].address.endswith("/x.ckpt")


def test_the_boot_file_runs_once(
    open_world: OpenWorld,  # noqa: F811
    root: Path,
    inputs: dict[str, str],
    tmp_path: Path,
) -> None:
    recorder = Recorder()
    with open_world() as world:
        client, trainer, bucket = world.trainer.client, world.trainer, ListedStore(world.store.folder.parent)
        admit = Instances(tmp_path / "xihe.json", "ResNet50", lambda text: client.find(text, "0")).admit
        runs = ScriptRuns(client, bucket, world.settings, "af", trainer.ledger, trainer.jobs, admit=admit)
        made = script(open_repository(root, Form(parameters={"aim_repo": "./db"})), inputs, bucket)
        assert runs.run(made, recorder).created
        assert not runs.submit(made, lambda _: None).created
    assert "pictures ['x.bin']" in recorder.log
    folder = bucket.folder / made.output.removeprefix("obs://bucket/")
    assert (folder / "best.ckpt").read_bytes() == b"weights"
    assert (folder / "db" / "metrics").read_text() == "5"
    assert json.loads((tmp_path / "xihe.json").read_text()) == {"ResNet50": ["resnet50"]}


@dataclass
class Instance:
    """What the limits see of a job."""

    name: str
    final: bool = True


class Jobs(dict[str, Instance]):
    """The jobs of a platform, by name."""

    def find(self, name: str) -> list[Any]:
        return [self[name]] if name in self else []


def test_one_training_of_a_repository_at_a_time(tmp_path: Path) -> None:
    jobs = Jobs(first=Instance("first", final=False))
    instances = Instances(tmp_path / "xihe.json", "ResNet50", jobs.find)
    instances.admit("first")
    with pytest.raises(Refused, match="first of ResNet50 has not ended"):
        instances.admit("second")
    replace(instances, repository="Other").admit("third")
    jobs["first"].final = True
    with pytest.raises(Refused, match="has a training first already"):
        instances.admit("first-V0002")
    instances.admit("second")
    assert json.loads((tmp_path / "xihe.json").read_text()) == {"ResNet50": ["first", "second"], "Other": ["third"]}


def test_at_most_five_until_one_is_deleted(tmp_path: Path) -> None:
    jobs = Jobs({str(number): Instance(str(number)) for number in range(5)})
    instances = Instances(tmp_path / "xihe.json", "ResNet50", jobs.find)
    for name in jobs:
        instances.admit(name)
    with pytest.raises(Refused, match="at most 5 trainings") as caught:
        instances.admit("5")
    assert "jobs delete 0" in caught.value.hint
    del jobs["0"]
    instances.admit("5")
