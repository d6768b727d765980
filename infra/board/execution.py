"""Execute a model on a board without installing it: in a folder that is gone afterwards."""

from pathlib import Path, PurePosixPath

from infra.board.install import check_release
from infra.board.preflight import refuse
from infra.board.session import Session
from infra.ports.board import Release

SECONDS = 1800.0


async def infer(session: Session, release: Release, images: Path, logits: Path) -> float:
    """Run a release's model on an array of images; see `infra.ports.Board.infer`."""
    check_release(release)
    refuse(session.name, await session.ask("facts"), session.settings, release)
    folders = sorted({str(PurePosixPath(name).parent) for name in release.files} - {"."})
    folder = await session.ask("make_work", folders=folders)
    for name, file in release.files.items():
        await session.send(file.path, f"{folder}/{name}", None)
    await session.send(images, f"{folder}/images.npy", None)
    session.step("trial")
    answer = await session.ask(
        "trial",
        timeout=SECONDS + 30,
        folder=folder,
        arguments=["infer", "--json", "images.npy", "logits.npy"],
        seconds=SECONDS,
    )
    await session.fetch(f"{folder}/logits.npy", logits)
    await session.ask("drop_work", folder=folder)
    return float(answer["milliseconds"])
