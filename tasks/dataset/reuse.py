"""Remember where the images of earlier data sets lie in the store, so that a new one decodes only what is new.

A file of lines for each way to prepare pictures: SHA-256 of a picture's file, what is known of it, and the pixel file
and row of its image, or its problem. Lost lines cost time only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.store.atomic import write_text
from infra.store.digests import file_digest, value_digest
from models.data.prepared import Part, Shard, Shards
from models.failures import Damage
from tasks.dataset.values import Look, Problem, Skipped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from infra.store.artifacts import ArtifactStore
    from models.data.prepared import Description
    from models.preprocess import Contract
    from tasks.dataset.pictures import Decoded

FOLDER = "prepared"


class Reuse:
    """The images of earlier data sets with one input contract.

    Args:
        store: where their files are.
        contract: how they were decoded; the normalisation has no effect.
        code: digests of the code that decodes.
        pillow: the version of Pillow.
    """

    def __init__(self, store: ArtifactStore, contract: Contract, code: Mapping[str, str], pillow: str) -> None:
        form = value_digest([list(contract[2:]), contract.size, dict(code), pillow])
        self._store = store
        self._side = contract.size
        self._path = store.home / FOLDER / f"{form[:32]}.jsonl"
        self._lines = _read(self._path)
        self._shards: dict[str, Shards | None] = {}

    def find(self, digest: str) -> tuple[Look | Skipped, np.ndarray[Any, np.dtype[np.uint8]] | None] | None:
        """Return what is known of a picture's file, and its image; None when it must be decoded."""
        said = self._lines.get(digest)
        if said is None:
            return None
        if "problem" in said:
            return Skipped("", Problem(said["problem"]), said["detail"]), None
        shards = self._open(said["file"], said["images"])
        if shards is None:
            return None
        look = Look(said["width"], said["height"], said["fingerprint"], bytes.fromhex(said["thumbnail"]))
        return look, shards[said["row"] : said["row"] + 1][0]

    def remember(self, decoded: Decoded, parts: Mapping[str, Sequence[int]], description: Description) -> None:
        """Write down the images of a new data set, and the problems of the files that it does not use."""
        lines = dict(self._lines)
        for part, places in parts.items():
            row = iter(places)
            for shard in description.parts[part].shards:
                for number in range(shard.images):
                    place = next(row)
                    look = decoded.looks[place]
                    lines[decoded.entries[place].sha256] = {
                        "file": shard.sha256, "images": shard.images, "row": number,
                        "width": look.width, "height": look.height,
                        "fingerprint": look.fingerprint, "thumbnail": look.thumbnail.hex(),
                    }  # fmt: skip
        for digest, skipped in decoded.problems.items():
            lines[digest] = {"problem": skipped.problem, "detail": skipped.detail}
        text = "".join(json.dumps([digest, said]) + "\n" for digest, said in lines.items())
        write_text(self._path, text)

    def _open(self, digest: str, images: int) -> Shards | None:
        if digest not in self._shards:
            path = self._store.object_path(digest)
            self._shards[digest] = None
            if path.is_file() and file_digest(path) == digest:
                try:
                    self._shards[digest] = Shards(
                        path.parent, Part((Shard(path.name, images, digest),), ""), self._side
                    )
                except Damage:  # the line is wrong
                    return None
        return self._shards[digest]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read the lines; a damaged file is as good as none."""
    try:
        return dict(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    except (FileNotFoundError, ValueError, TypeError):
        return {}
