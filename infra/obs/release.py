"""Fetch a published release from a bucket: the files of its listing, each checked against its digest."""

import json
from pathlib import Path
from typing import Any

from infra.errors import Corrupt, Refused
from infra.names import check_name
from infra.ports.storage import ObjectStore
from infra.store.digests import file_digest

LISTING = "published.json"  # written last by the publish stage, so a release with a listing is complete
MAX_LISTING_BYTES = 8 * 2**20
BOARD = "board/"  # the files for boards lie below this


def fetch_release(store: ObjectStore, prefix: str, folder: Path) -> Path:
    """Make `folder/release` hold the board files of the release under `prefix`; fetch only what is missing.

    Raises:
        Refused: there is no complete release under the prefix.
        Corrupt: the listing is damaged, or an object differs from it.
    """
    prefix = prefix.strip("/")
    where = f"obs://{store.bucket}/{prefix}/"
    found = store.head(f"{prefix}/{LISTING}")
    if found is not None and found.size > MAX_LISTING_BYTES:
        raise Corrupt(f"{where}{LISTING} has {found.size} bytes", hint="publish the release again")
    if found is None:
        raise Refused(
            f"{where} holds no complete release: there is no {LISTING}",
            hint="give the prefix that `atlasflow run --to publish` named, such as obs://bucket/atlasflow/releases/ID/",
        )
    store.get(f"{prefix}/{LISTING}", folder / LISTING)
    try:
        listing: dict[str, Any] = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        objects = {key.removeprefix(f"{listing['prefix']}/"): str(sha) for key, sha in listing["objects"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{where}{LISTING} is damaged: {error}", hint="publish the release again") from error
    wanted = {name.removeprefix(BOARD): sha for name, sha in objects.items() if name.startswith(BOARD)}
    board = folder / "release"
    for name, sha in wanted.items():
        target = board / check_name(name, f"{where}{LISTING}")
        if not target.is_file() or file_digest(target) != sha:
            store.get(f"{prefix}/{BOARD}{name}", target, sha)
    for path in [path for path in board.rglob("*") if path.is_file()]:
        if path.relative_to(board).as_posix() not in wanted:
            path.unlink()
    return board
