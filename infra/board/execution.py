"""Execute a model on a board without installing it, in a folder that is removed afterwards."""

from pathlib import Path, PurePosixPath

import numpy as np

from infra.board import answers
from infra.board.install import check_release
from infra.board.preflight import refuse
from infra.board.session import Session
from infra.ports.release import Release
from infra.store.atomic import replacing

SECONDS = 1800.0
MAX_LOGITS_BYTES = 2**30


async def infer(session: Session, release: Release, images: Path, logits: Path) -> float:
    """Run a release's model on an array of images; see `infra.ports.Board.infer`."""
    check_release(release)
    refuse(session.name, await session.facts(), session.settings, release)
    folders = sorted({str(PurePosixPath(name).parent) for name in release.files} - {"."})
    folder = await session.ask("make_work", answers.text, folders=folders)
    for name, file in release.files.items():
        await session.files.send(file.path, f"{folder}/{name}", None)
    await session.files.send(images, f"{folder}/images.npy", None)
    session.step("trial")
    milliseconds = await session.ask(
        "trial",
        lambda answer: answers.number(answer["milliseconds"]),
        timeout=SECONDS + 30,
        folder=folder,
        arguments=["infer", "--json", "images.npy", "logits.npy"],
        seconds=SECONDS,
    )
    with replacing(logits) as temporary:
        await session.files.fetch(f"{folder}/logits.npy", temporary, MAX_LOGITS_BYTES)
        _check_logits(session.name, temporary, images)
    await session.ask("drop_work", answers.nothing, folder=folder)
    return milliseconds


def _check_logits(board: str, logits: Path, images: Path) -> None:
    """Check the form of a board's answer before anybody computes with it.

    Raises:
        Corrupt: it is not float32 [n, classes] for the n images.
    """

    def read(path: Path) -> None:
        found, wanted = (np.load(file, mmap_mode="r", allow_pickle=False) for file in (path, images))
        if found.dtype != np.float32 or found.ndim != 2 or len(found) != len(wanted):
            raise ValueError(f"{found.dtype} {list(found.shape)} for {len(wanted)} images")

    answers.read(board, read, logits)
