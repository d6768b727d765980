"""What the tests do to homes, bucket and board between runs, and what they check there after a kill."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from infra.board.agent.manifest import parse
from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipts

# Outputs that hold times or free space, and so differ from run to run.
UNEQUAL = {("train", "log"), *(("deploy", name) for name in ("boards", "answers", "latency", "parity", "picture"))}


def copy_home(source: Any, target: Any, stages: Any) -> None:
    """A home that holds what the given stages of another made: their receipts and all that these name."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    store, receipts = ArtifactStore(source), Receipts(source)
    for receipt in (item for name in stages for item in receipts.all(name)):
        paths = [receipts.path(receipt.stage, receipt.key)]
        for artifact in receipt.outputs.values():
            paths += [store.tree_path(artifact.sha256)] if artifact.kind == "tree" else []
            paths += [file.path for file in store.files(artifact).values()]
        for path in paths:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                shutil.copy2(path, copy)


def check_home(home: Any) -> Any:
    """Nothing half-made is visible in a home: names are digests, receipts are whole, and so is what they name."""
    for path in (home / "objects").glob("??/[!.]*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name, f"{path} is half-made"
    for path in (home / "trees").glob("??/[!.]*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.stem, f"{path} is half-made"
    store = ArtifactStore(home)
    whole = {}
    for receipt in Receipts(home).all():
        whole[receipt.stage] = receipt
        for artifact in receipt.outputs.values():
            store.verify(artifact, deep=True)
    for folder in (home / "latest").glob("[!.]*"):
        wanted = {name for artifact in whole[folder.name].outputs.values() for name in _shown(store, artifact)}
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        assert found == wanted, f"{folder} shows a part"
        assert all(path.exists() for path in folder.rglob("*")), f"{folder} shows what is not there"
    for path in home.glob("*.json"):
        json.loads(path.read_text())
    return whole


def _shown(store: Any, artifact: Any) -> Any:
    prefix = "" if artifact.kind == "file" else f"{artifact.name}/"
    return {prefix + name for name in store.files(artifact)}


def check_healed(home: Any, reference: Any) -> None:
    """The receipts are those of the reference, the outputs too where they can be, and no scratch is left."""
    expected = {receipt.stage: receipt for receipt in Receipts(reference).all()}
    for receipt in Receipts(home).all():
        known = expected[receipt.stage]
        assert receipt.key == known.key, f"{receipt.stage} has another key than the reference"
        assert _digests(receipt) == _digests(known), f"{receipt.stage} made something else than the reference"
    left = [*(home / "work").glob("*"), *(home / "latest").glob(".*")]
    assert not left, f"scratch was left behind: {left}"


def _digests(receipt: Any) -> Any:
    return {
        name: "any" if (receipt.stage, name) in UNEQUAL else artifact.sha256
        for name, artifact in receipt.outputs.items()
    }


class Bucket:
    """The objects of a home's upload and publish, as they are in its bucket."""

    def __init__(self, world: Any, home: Any) -> None:
        self._store = world.object_store()
        files = ArtifactStore(home)
        outputs = {name: next(Receipts(home).all(name)).outputs for name in ("upload", "publish")}
        self._digests = {
            "upload": json.loads(files.path(outputs["upload"]["objects"]).read_text()),
            "publish": json.loads(files.path(outputs["publish"]["published"]).read_text())["objects"],
        }
        self._prefix = f"{world.settings.obs.prefix}/"
        self._sizes = self._listed()

    def empty(self, stage: Any) -> None:
        """Remove what a stage put there."""
        self._store.delete(self._digests[stage])

    def check(self, stage: Any) -> Any:
        """Whatever is there is whole, and nothing else is there; gives how many objects of a stage are there."""
        there = self._listed()
        assert there.items() <= self._sizes.items(), "an object in the bucket is not what it should be"
        digests = {key: digest for key, digest in self._digests[stage].items() if key in there}
        for key in sorted(digests)[-1:]:
            assert self._store.head(key).sha256 == digests[key]
        return len(digests)

    def _listed(self) -> Any:
        return dict(self._store.list(self._prefix))


class BoardFolder:
    """The release folder of the stand-in board, looked at from outside."""

    def __init__(self, folder: Path, saved: Path) -> None:
        self.folder, self._saved = folder, saved
        shutil.copytree(folder, saved, symlinks=True)

    def restore(self) -> None:
        """Put back what the board held in the beginning."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._saved, self.folder, symlinks=True)

    def check(self) -> Any:
        """What is in service is whole; gives its id."""
        current = self.folder / "current"
        for name, entry in parse((current / "manifest.json").read_bytes()).files.items():
            assert hashlib.sha256((current / name).read_bytes()).hexdigest() == entry["sha256"], f"{name} is half-made"
        return current.resolve().name.partition("~")[0]
