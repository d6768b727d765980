"""Upload: the data set and the code of `models/` → objects in the bucket, each compared by digest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.obs.places import MODELS, code_prefix, data_prefix
from infra.ports import LocalFile
from tasks.base import Made, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.settings import Settings
    from infra.store.artifacts import Artifact


def run(work: Work) -> Made:
    """Make the bucket hold both; what is there already with the right digest is not sent again."""
    store = work.world.object_store()
    store.ensure_bucket()
    sent = kept = moved = 0
    total = sum(artifact.size for artifact in work.inputs.values())

    def progress(count: int) -> None:
        nonlocal moved
        moved += count
        work.reporter.progress("upload", moved, total, "bytes")

    for name, prefix in prefixes(work.settings, work.inputs).items():
        result = store.sync(prefix, work.files[name], progress)
        sent, kept = sent + len(result.sent), kept + len(result.kept)
    listing = work.folder / "objects.json"
    listing.write_text(json.dumps(_listing(work), indent=1, sort_keys=True))
    stand_in = " (stand-in)" if store.emulated else ""
    return Made({"objects": listing}, f"sent {sent} of {sent + kept} files to bucket {store.bucket}{stand_in}")


def prove(work: Work, _made: Mapping[str, Mapping[str, LocalFile]]) -> str | None:
    """Ask the bucket: is every object there, with its digest?"""
    store = work.world.object_store()
    for name, prefix in prefixes(work.settings, work.inputs).items():
        gone = store.missing(prefix, work.files[name])
        if gone:
            return f"{prefix}/{gone[0]} in bucket {store.bucket} is missing or another file"
    return None


def prefixes(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    """Where each input goes in the bucket."""
    return {
        "data": data_prefix(settings.obs, inputs["data"].sha256),
        "code": code_prefix(settings.obs, inputs["code"].sha256),
    }


def _listing(work: Work) -> dict[str, str]:
    files: dict[str, LocalFile] = {}
    for name, prefix in prefixes(work.settings, work.inputs).items():
        files |= {f"{prefix}/{relative}": file for relative, file in work.files[name].items()}
    return {key: file.sha256 for key, file in files.items()}


def bucket_settings(settings: Settings) -> Mapping[str, Any]:
    """Which bucket of which object store, without naming a host."""
    return {
        "stand_in": settings.obs.endpoint == "",
        "region": settings.obs.region,
        "bucket": settings.obs.bucket,
        "prefix": settings.obs.prefix,
    }


STAGE = Stage(
    "upload",
    "effect",
    run,
    needs={"data": ("download", "data")},
    given=lambda _settings: {"code": MODELS},
    settings=bucket_settings,
    prove=prove,
)
