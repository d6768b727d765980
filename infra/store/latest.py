"""`home/latest/<stage>`: links to the newest outputs of a stage, under readable names."""

import shutil
from pathlib import Path

from infra.store.artifacts import ArtifactStore
from infra.store.locks import hold
from infra.store.receipts import Receipt


def shows(home: Path, store: ArtifactStore, receipt: Receipt) -> bool:
    """True when `latest/<stage>` links exactly to the outputs of this receipt."""
    folder = home / "latest" / receipt.stage
    wanted = {
        name if artifact.kind == "file" else f"{artifact.name}/{name}": str(file.path)
        for artifact in receipt.outputs.values()
        for name, file in store.files(artifact).items()
    }
    links = (path for path in folder.rglob("*") if path.is_symlink())
    return wanted == {path.relative_to(folder).as_posix(): str(path.readlink()) for path in links}


def show(home: Path, store: ArtifactStore, receipt: Receipt) -> None:
    """Show the outputs of a receipt through links: all of one run's, or for a moment none."""
    folder = home / "latest" / receipt.stage
    coming, going = (folder.with_name(f".{receipt.stage}.{word}") for word in ("coming", "going"))
    with hold(home / "locks" / f"latest-{receipt.stage}"):
        for left in (coming, going):
            shutil.rmtree(left, ignore_errors=True)
        for artifact in receipt.outputs.values():
            store.link_into(artifact, coming if artifact.kind == "file" else coming / artifact.name)
        if folder.exists():
            folder.rename(going)
        coming.rename(folder)
        shutil.rmtree(going, ignore_errors=True)
