"""Own scripts on the stand-in: paid once, found again, versions by name, logs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import AtlasFlowError, Transient, UserError
from infra.faults import FaultPlan
from infra.modelarts import logs
from infra.modelarts.scripts.runs import ScriptRuns
from infra.modelarts.scripts.script import Placed, Script
from infra.obs.address import ObjectAddress
from tests.unit.infra.local_training.doubles import Recorder, ignore
from tests.unit.infra.modelarts.conftest import OpenWorld, World
from tests.unit.infra.modelarts.doubles import FolderStore

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

TEXT = """
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument('--data_url', required=True)
parser.add_argument('--train_url', required=True)
parser.add_argument('--num_epochs', type=int, default=90)
options, unknown = parser.parse_known_args()
print('epochs', options.num_epochs, unknown)
target = pathlib.Path(options.train_url, 'ckpt')
target.mkdir()
(target / 'resnet-1_2.ckpt').write_bytes((pathlib.Path(options.data_url) / 'x.bin').read_bytes())
raise SystemExit(options.num_epochs if options.num_epochs > 90 else 0)
"""
Make = Callable[..., Script]


@pytest.fixture
def script(tmp_path: Path, store: FolderStore) -> Make:
    """Make a script with uploaded code and data: `script(num_epochs="3")`."""
    code, data = tmp_path / "code", tmp_path / "pictures"
    for folder in (code, data):
        folder.mkdir()
    (code / "train.py").write_text(TEXT)
    (data / "x.bin").write_bytes(b"picture")
    placed = Placed(store.put_tree("af/scripts/1/code", code), "c" * 64)
    pictures = Placed(store.put_tree("course/pictures", data), "d" * 64)

    def make(name: str = "resnet50", output: str = "obs://bucket/course/output/", **parameters: str) -> Script:
        return Script(name, placed, "train.py", pictures, output, "", tuple(parameters.items()))

    return make


def runs(world: World, faults: str = "") -> ScriptRuns:
    trainer = world.trainer
    plan = FaultPlan.parse(faults)
    return ScriptRuns(trainer.client, world.store, world.settings, "af", trainer.ledger, trainer.jobs, plan)


def names(world: World) -> list[str]:
    return [record.name for record in world.platform.book.all()]


def test_output_and_log_are_where_the_user_said(open_world: OpenWorld, script: Make) -> None:
    recorder = Recorder()
    with open_world() as world:
        done = runs(world).run(replace(script(num_epochs="3"), log="obs://bucket/course/log/"), recorder)
        assert done.created
        assert done.output == "obs://bucket/course/output/"
        assert (world.store.folder / "course/output/ckpt/resnet-1_2.ckpt").read_bytes() == b"picture"
        assert (world.store.folder / f"course/log/modelarts-job-{done.job.id}-worker-0.log").is_file()
        configuration = world.trainer.client.configuration(done.job.id)
    assert configuration.parameters == (("num_epochs", "3"),)
    assert [channel.address for channel in configuration.inputs] == ["obs://bucket/course/pictures/"]
    assert configuration.boot_file.endswith("/code/train.py")
    assert "epochs 3 []" in recorder.log


def test_the_same_inputs_are_paid_once(open_world: OpenWorld, script: Make) -> None:
    with open_world() as world:
        first = runs(world).run(script(), ignore)
        for again in (runs(world).run(script(), ignore), runs(world).submit(script(), lambda _: None)):
            assert (again.created, again.job.id) == (False, first.job.id)
        assert names(world) == ["resnet50"]


def test_changed_inputs_and_again_make_versions(open_world: OpenWorld, script: Make) -> None:
    with open_world() as world:
        runs(world).run(script(), ignore)
        second = runs(world).run(script(num_epochs="4"), ignore)
        runs(world).run(script(), ignore, again=True)
        assert names(world) == ["resnet50", "resnet50-V0002", "resnet50-V0003"]
        assert {job.name for job in world.trainer.versions(second.job)} == set(names(world))


@pytest.mark.parametrize("point", ["train.job.intent", "train.job.submit", "train.job.submitted"])
def test_a_submission_that_breaks_is_found_again(open_world: OpenWorld, script: Make, point: str) -> None:
    with open_world() as world:
        with pytest.raises(Transient):
            runs(world, f"error@{point}").run(script(), ignore)
        done = runs(world).run(script(), ignore)
        assert names(world) == ["resnet50"]
        assert done.job.name == "resnet50"


def test_a_failed_job_keeps_its_exit_code_and_the_next_call_is_a_new_version(
    open_world: OpenWorld, script: Make
) -> None:
    with open_world() as world:
        for _ in range(2):
            with pytest.raises(AtlasFlowError, match="exited with code 100"):
                runs(world).run(script(num_epochs="100"), ignore)
        assert names(world) == ["resnet50", "resnet50-V0002"]


def test_a_name_that_the_console_took_is_not_adopted(open_world: OpenWorld, script: Make) -> None:
    with open_world() as world:
        first = runs(world).run(script(), ignore)
        world.trainer.client.describe(first.job.id, "made in the console")
        other = runs(world).run(script(num_epochs="7"), ignore)
        assert other.job.name == "resnet50-V0002"


def test_lists_hold_all_jobs_and_ours(open_world: OpenWorld, script: Make, job: Any) -> None:
    with open_world() as world:
        done = runs(world).run(script(), ignore)
        world.trainer.train(job(), ignore)
        assert len(world.trainer.jobs()) == 2
        world.trainer.client.describe(done.job.id, "made in the console")
        assert len(world.trainer.jobs()) == 1
        assert len(world.trainer.jobs(everybody=True)) == 2
        assert world.trainer.job("resnet50").id == done.job.id


def test_a_running_script_is_no_orphan_and_can_be_followed(open_world: OpenWorld, script: Make) -> None:
    lines: list[str] = []
    with open_world() as world:
        submitted = runs(world).submit(script(), lambda _: None)
        assert world.trainer.orphans() == []
        assert logs.follow(world.trainer.client, submitted.job, lines.append, 0.05) is None
    assert any(line.startswith("epochs 90") for line in lines)


def test_the_whole_log_is_saved(open_world: OpenWorld, script: Make, tmp_path: Path) -> None:
    with open_world() as world:
        done = runs(world).run(script(), ignore)
        logs.save(world.trainer.client, done.job, tmp_path / "job.log", lambda _bucket: world.store)
        assert (tmp_path / "job.log").read_text().startswith("epochs 90 []")
        exported = f"af/logs/modelarts-job-{done.job.id}-worker-0.log"
        world.store.delete([exported])
        logs.save(world.trainer.client, done.job, tmp_path / "again.log", lambda _bucket: world.store)
        assert (tmp_path / "again.log").read_text().startswith("epochs 90 []")


def test_a_wrong_code_address_is_the_platforms_error(open_world: OpenWorld, script: Make) -> None:
    wrong = replace(script(), code=Placed(ObjectAddress("bucket", "nothing").folder, "x"))
    with open_world() as world, pytest.raises(UserError, match="is empty"):
        runs(world).run(wrong, ignore)
