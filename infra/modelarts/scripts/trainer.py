"""Train with a user's script as a job: the port `Trainer` for `modelarts.boot_file`."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from infra import cifar10_files
from infra.errors import UserError
from infra.modelarts import logs
from infra.modelarts.scripts.place import ListedStore, boot_path, place
from infra.modelarts.scripts.runs import ScriptRuns
from infra.modelarts.scripts.script import Script
from infra.ports.storage import ObjectStore
from infra.ports.training import OnEvent, TrainJob
from infra.ports.values import Producer
from infra.store.local_files import describe_folder

CHECKPOINT, LOG = "checkpoint.ckpt", "train.log"


class ScriptTrainer:
    """Runs the boot file of the settings instead of `models/main.py`; it decides itself what it trains.

    Args:
        open_runs: opens what runs scripts, at first use.
        open_store: opens the bucket of the settings.
        open_bucket: opens any bucket.
        fetch: copies everything under an address to a folder.
        made_by: the trainer, for keys.
    """

    def __init__(
        self,
        open_runs: Callable[[], ScriptRuns],
        open_store: Callable[[], ListedStore],
        open_bucket: Callable[[str], ObjectStore],
        fetch: Callable[[str, Path], object],
        made_by: Producer,
    ) -> None:
        self._open_runs = open_runs
        self._open_store = open_store
        self._open_bucket = open_bucket
        self._fetch = fetch
        self._made_by = made_by

    def producer(self) -> Producer:
        """Name what trains."""
        return self._made_by

    def train(self, job: TrainJob, on_event: OnEvent) -> None:
        """Run the script on the data set, and leave its checkpoint and its log in `job.folder`.

        Raises:
            UserError: a setting is wrong, or the output holds no checkpoint.
            AtlasFlowError: the job failed.
        """
        runs = self._open_runs()
        done = runs.run(self._script(job, runs), on_event, again=job.again)
        output = job.folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        self._fetch(done.output, output)
        shutil.copyfile(newest(output, runs.settings.checkpoint), job.folder / CHECKPOINT)
        logs.save(runs.client, done.job, job.folder / LOG, self._open_bucket)

    def _script(self, job: TrainJob, runs: ScriptRuns) -> Script:
        settings, store = runs.settings, self._open_store()

        def never(name: str) -> ListedStore:
            raise UserError(f"modelarts.code_dir: {name} is a bucket", hint="name a folder of this machine")

        boot = boot_path(settings.code_dir, settings.boot_file)
        return Script(
            name=Path(boot).stem,
            code=place(settings.code_dir, "modelarts.code_dir", store, f"{runs.prefix}/scripts", never),
            boot=boot,
            data=place(str(_laid_out(job)), "the data set", store, f"{runs.prefix}/data", never),
            parameters=tuple(settings.parameters.items()),
        )


def newest(folder: Path, pattern: str) -> Path:
    """Return the last of the files that fit a pattern, by the numbers in their names: `net-10_5` is after `net-9_5`.

    Raises:
        UserError: none fits.
    """
    found = [path for path in folder.glob(pattern) if path.is_file()]
    if not found:
        names = ", ".join(sorted(path.name for path in folder.rglob("*") if path.is_file())[:5]) or "nothing"
        raise UserError(
            f"the job's output has no file like {pattern}: it has {names}",
            hint="the script writes it below train_url; modelarts.checkpoint is the pattern of its name",
        )
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])


def _laid_out(job: TrainJob) -> Path:
    """Return a folder of the data set as MindSpore reads it: CIFAR-10 in full files, other data as they are."""
    files = describe_folder(job.data)
    if not any(name.endswith(".bin") for name in files):
        return job.data
    folder = job.folder / "cifar10"
    shutil.rmtree(folder, ignore_errors=True)
    cifar10_files.write(files, folder)
    return folder
