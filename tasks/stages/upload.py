"""Upload: the data set and the code of `models/` → objects in the bucket, each compared by digest.

A data set of many small files is uploaded as one archive, which the boot script unpacks; code never is, since ModelArts
uses the files of a code directory as they are in the bucket (docs/reference/modelarts.md §1.6).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.obs.layout import (
    DATA_ARCHIVE,
    MODELS,
    OWN_NETWORK,
    as_archive,
    code_digest,
    code_prefix,
    data_prefix,
    identity,
)
from infra.ports.values import LocalFile
from tasks.engine.stage import Stage, StageContext, StageOutput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.ports.storage import UploadStore
    from infra.settings import Settings
    from infra.store.artifacts import Artifact


def run(context: StageContext) -> StageOutput:
    """Upload data set and code; skip objects that are there with the right digest."""
    store: UploadStore = context.world.object_store()
    store.ensure_bucket()
    sent = kept = moved = 0
    total = sum(artifact.size for artifact in context.inputs.values())

    def progress(count: int) -> None:
        nonlocal moved
        moved += count
        context.reporter.progress("upload", moved, total, "bytes")

    archive = _archive(context)
    for name, prefix in prefixes(context.settings, context.inputs).items():
        files = context.files[name]
        if name == "data" and archive:
            unsent = not store.sync_archive(archive, files, progress).sent
            sent, kept = (sent, kept + len(files)) if unsent else (sent + len(files), kept)
        else:
            result = store.sync(prefix, files, progress)
            sent, kept = sent + len(result.sent), kept + len(result.kept)
    listing = context.folder / "objects.json"
    listing.write_text(json.dumps(_listing(context), indent=1, sort_keys=True))
    packed = f", {len(context.files['data'])} of them in one archive," if archive else ""
    stand_in = " (stand-in)" if store.emulated else ""
    return StageOutput(
        {"objects": listing}, f"sent {sent} of {sent + kept} files{packed} to bucket {store.bucket}{stand_in}"
    )


def prove(context: StageContext, _made: Mapping[str, Mapping[str, LocalFile]]) -> str | None:
    """Check that the bucket holds every object with its digest; return the problem, or None."""
    store: UploadStore = context.world.object_store()
    archive = _archive(context)
    if archive and not store.holds_archive(archive, context.files["data"]):
        return f"{archive} in bucket {store.bucket} is missing or has changed"
    for name, prefix in prefixes(context.settings, context.inputs).items():
        gone = [] if name == "data" and archive else store.missing(prefix, context.files[name])
        if gone:
            return f"{prefix}/{gone[0]} in bucket {store.bucket} is missing or has changed"
    return None


def prefixes(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    """Return the key prefix of each input; a network of one's own lies inside the code."""
    network = inputs["network"].sha256 if "network" in inputs else ""
    code = code_prefix(settings.obs, code_digest(inputs["code"].sha256, network))
    found = {"data": data_prefix(settings.obs, inputs["data"].sha256), "code": code}
    return {**found, "network": f"{code}/{OWN_NETWORK}"} if network else found


def _archive(context: StageContext) -> str:
    """Return the key of the data set's archive; empty when its files are single objects."""
    if not as_archive(context.settings.obs, [file.size for file in context.files["data"].values()]):
        return ""
    return f"{prefixes(context.settings, context.inputs)['data']}/{DATA_ARCHIVE}"


def _listing(context: StageContext) -> dict[str, str]:
    """Return the SHA-256 of each key; a file in an archive has the archive's key, `#` and its own name."""
    files: dict[str, LocalFile] = {}
    archive = _archive(context)
    for name, prefix in prefixes(context.settings, context.inputs).items():
        start = f"{archive}#" if name == "data" and archive else f"{prefix}/"
        files |= {f"{start}{relative}": file for relative, file in context.files[name].items()}
    return {key: file.sha256 for key, file in files.items()}


def _external_inputs(settings: Settings) -> Mapping[str, Path]:
    network = settings.train.network_file()
    return {"code": MODELS, **({"network": network} if network else {})}


STAGE = Stage(
    "upload",
    "effect",
    run,
    needs={"data": ("download", "data")},
    external_inputs=_external_inputs,
    settings=lambda settings: {**identity(settings.obs), "archive": settings.obs.archive},
    prove=prove,
)
