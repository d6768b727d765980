"""One training of a chain, from what its stage knows to a job of the trainer."""

from collections.abc import Callable, Mapping
from pathlib import Path

from infra.learning_signs import Trouble, signs_at
from infra.obs.layout import MODELS, address, code_digest, code_prefix, data_prefix
from infra.ports.training import Epoch, JobStatus, Trainer, TrainEvent, TrainJob
from infra.ports.values import LocalFile
from infra.settings import ObsSettings
from infra.store.artifacts import folder_files
from infra.weights_file import check_weights


class TrainingRuns:
    """Runs trainings by key. Apart from the stage, so that a change of the port changes no key of a training."""

    def __init__(self, trainer: Trainer, obs: ObsSettings) -> None:
        self._trainer = trainer
        self._obs = obs

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
        again: bool = False,
        pretrained: LocalFile | None = None,
    ) -> None:
        """Train, or resume, until the results are complete in `folder`.

        Args:
            key: the stage key.
            data: folder with `train/` and `eval/`.
            data_digest: of that folder; a remote trainer finds data and code where the upload stage put them, under
                addresses made of their digests.
            spec: the canonical training specification.
            folder: receives the results.
            on_epoch: receives the end of each epoch.
            on_status: receives the status of a remote job, and early signs of a training that does not learn, as lines
                to read.
            again: train anew, even when a finished training of this key exists.
            pretrained: a checkpoint to start from.

        Raises:
            Corrupt: the checkpoint is a damaged `.safetensors` file.
            UserError: it holds parameters of a type that cannot be read.
        """
        if pretrained is not None:
            check_weights(pretrained.path)
        data_address = address(self._obs, data_prefix(self._obs, data_digest))
        code = code_digest(folder_files(MODELS)[0], str(spec.get("network_sha256", "")))
        code_address = address(self._obs, code_prefix(self._obs, code))
        job = TrainJob(key, data, spec, folder, data_address, code_address, again, pretrained)

        epochs: list[Epoch] = []
        told: set[Trouble] = set()

        def on_event(event: TrainEvent) -> None:
            if isinstance(event, Epoch):
                on_epoch(event)
                epochs.append(event)
                for sign in signs_at(epochs, spec):
                    if sign.trouble not in told:
                        told.add(sign.trouble)
                        on_status(f"{sign.text}. {sign.advice}")
            elif isinstance(event, JobStatus):
                on_status(event.text)

        self._trainer.train(job, on_event)
