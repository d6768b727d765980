"""A world in which the heavy programs are played back from one real run; everything else is real.

MindSpore, the drawing of pictures, the compiler and its models take long for what they give, and it is the same bytes
each time, so killing a chain hundreds of times needs them once. The engine, its subprocesses, the bucket, the board and
the client of the compiler are those of a real run.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.atc.client import AtcCompiler
from infra.local_training.trainer import LocalTrainer, run_model
from infra.ports.board import BoardFacts, BoardState, Classification, Installed, SmokeResult
from infra.store.atomic import replacing
from infra.store.digests import file_digest
from infra.world import World

PROGRAM = Path(__file__).with_name("playback.py")


class ReplayedWorld(World):
    """The world of a home with running services; all that computes is played back.

    Attributes:
        recorded: the folder `latest` of the home that a real run filled.
        real_board: False to play the board back as well.
    """

    def __init__(self, settings: Any, home: Any, recorded: Any, faults: Any) -> None:
        super().__init__(settings, home, faults)
        self.recorded = recorded
        self.real_board = True

    def trainer(self) -> Any:
        return LocalTrainer(PROGRAM)

    def models(self) -> Any:
        return self

    def run(self, command: Any, arguments: Any, log: Any) -> None:
        run_model(command, arguments, log=log, main=PROGRAM)

    def compiler(self) -> Any:
        compiler = super().compiler()
        assert isinstance(compiler, AtcCompiler)
        return replace(compiler, command=[sys.executable, "-S", "-E", str(PROGRAM), "atc"])

    def simulator(self) -> Any:
        return self

    def infer(self, release: Any, soc_version: Any, images: Any, logits: Any) -> Any:
        """For real the first time, and then from what that wrote; the model is always the same."""
        kept = self.recorded.parent / f"replayed-{file_digest(release / 'model.om')}.npy"
        if not kept.exists():
            super().simulator().infer(release, soc_version, images, logits)
            with replacing(kept) as temporary:
                shutil.copyfile(logits, temporary)
        shutil.copyfile(kept, logits)
        (milliseconds,) = json.loads((self.recorded / "convert" / "latency.json").read_text()).values()
        return milliseconds

    def board(self, name: Any) -> Any:
        return super().board(name) if self.real_board else PlayedBoard(name, self.recorded / "deploy")


class PlayedBoard:
    """A board that says what the real run's board said, at once."""

    def __init__(self, name: Any, recorded: Any) -> None:
        self.name = name
        self._recorded = recorded
        said = json.loads((recorded / "boards.json").read_text())
        self._release, self._said = said["release"], said["boards"][name]

    def facts(self) -> Any:
        return BoardFacts(**self._said["facts"])

    def state(self) -> Any:
        return BoardState(self._release, None, (self._release,))

    def install(self, release: Any, progress: Any = None) -> Any:
        return Installed(True, len(release.files), self._said["bytes_sent"], SmokeResult.from_json(self._said["smoke"]))

    def verify(self, release: str) -> int:
        assert release == self._release
        return 1

    def classify(self, pictures: Any, folder: Any) -> Any:
        shutil.copytree(self._recorded / "pictures" / self.name, folder)
        answers = json.loads((self._recorded / "answers.json").read_text())[self.name]
        return [
            Classification(
                str(picture),
                tuple((entry["class"], entry["probability"]) for entry in answer["top"]),
                answer["milliseconds"],
                annotated,
            )
            for picture, answer, annotated in zip(pictures, answers, sorted(folder.iterdir()), strict=True)
        ]
