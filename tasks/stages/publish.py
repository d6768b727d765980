"""Publish: checkpoint, exports, `.om`, reports and the board release → objects under the release's prefix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.obs.layout import identity
from infra.ports.values import LocalFile
from infra.store.artifacts import folder_files
from infra.store.local_files import describe
from tasks.class_names import labels
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.evaluation_images import evaluation_images, expected_logits
from tasks.metrics import Metrics
from tasks.release import bundle as release
from tasks.release import evidence, model_card
from tasks.release.ledger import Ledger
from tasks.release.parity_report import rows
from tasks.specs import data_source, recipe_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.ports.storage import UploadStore
    from infra.settings import Settings

CARD = "model-card.md"
LISTING = "published.json"
# Input name to the file name that people find in the bucket.
PUBLISHED = {
    "checkpoint": "checkpoint.ckpt",
    "history": "history.csv",
    "mindir": "model.mindir",
    "onnx": "model.onnx",
    "air": "model.air",
    "ledger": "parity.json",
    "checks": "export-checks.json",
    "metrics": "metrics.json",
    "per_class": "per_class.csv",
    "confusion": "confusion.png",
    "findings": "findings.json",
}


def run(context: StageContext) -> StageOutput:
    """Upload the release; skip objects that are there with the right digest."""
    store: UploadStore = context.world.object_store()
    store.ensure_bucket()
    bundle = release.build(context)
    evidence.write(context, bundle, _needs(context.settings), recipe_settings(context.settings))
    context.world.signer().sign(bundle, emulated=context.emulated)
    bundled = folder_files(bundle)[1]
    release_id = release.identifier(bundled)
    card = context.folder / CARD
    card.write_text(_card(context), encoding="utf-8")
    files = _published(context, bundled, card)
    prefix = f"{context.settings.obs.prefix}/releases/{release_id}"
    total, moved = sum(file.size for file in files.values()), 0

    def progress(count: int) -> None:
        nonlocal moved
        moved += count
        context.reporter.progress("publish", moved, total, "bytes")

    result = store.sync(prefix, files, progress)
    listing = context.folder / LISTING
    body = {
        "id": release_id,
        "prefix": prefix,
        "bucket": store.bucket,
        "stand_in_bucket": store.emulated,
        "emulated": context.emulated,
        "objects": {f"{prefix}/{name}": file.sha256 for name, file in sorted(files.items())},
    }
    listing.write_text(json.dumps(body, indent=1, sort_keys=True))
    store.sync(prefix, {LISTING: describe(listing)})  # last, so a release with a listing is complete
    stand_in = " (stand-in)" if store.emulated else ""
    sent = f"sent {len(result.sent)} of {len(files)} files"
    return StageOutput(
        {"published": listing, "release": bundle, "card": card}, f"{sent} to {store.bucket}/{prefix}{stand_in}"
    )


def prove(context: StageContext, made: Mapping[str, Mapping[str, LocalFile]]) -> str | None:
    """Check that the bucket holds every object of the release with its digest; return the problem, or None."""
    store: UploadStore = context.world.object_store()
    listing = made["published"][LISTING]
    prefix = json.loads(listing.path.read_text())["prefix"]
    files = {**_published(context, made["release"], made["card"][CARD].path), LISTING: listing}
    gone = store.missing(prefix, files)
    return f"{prefix}/{gone[0]} in bucket {store.bucket} is missing or has changed" if gone else None


def _card(context: StageContext) -> str:
    if context.settings.convert.model:
        return _own_model_card(context)
    metrics = Metrics.read(context.input("metrics"))
    checks = json.loads(context.input("checks").read_text())
    ledger = Ledger.from_json(json.loads(context.input("ledger").read_text()))
    digests = {PUBLISHED.get(name, name): artifact.sha256 for name, artifact in context.inputs.items()}
    return model_card.markdown(recipe_settings(context.settings), metrics, checks, rows(ledger, {}), digests)


def _own_model_card(context: StageContext) -> str:
    logits, (_, numbers) = expected_logits(context), evaluation_images(context)
    said = json.loads(context.input("findings").read_text(encoding="utf-8"))
    accuracy = float((logits.argmax(axis=1) == numbers).mean()) if said["labelled"] else None
    ledger = Ledger.from_json(json.loads(context.input("ledger").read_text()))
    digests = {name: context.inputs[name].sha256 for name in ("model", "data")}
    name = context.input("model").name
    changes = [item["what"] + (f": {item['remedy']}" if item["remedy"] else "") for item in said["findings"]]
    return model_card.own_model_markdown(
        name, labels(context), accuracy, len(numbers), changes, rows(ledger, {}), digests
    )


def _published(context: StageContext, bundled: Mapping[str, LocalFile], card: Path) -> dict[str, LocalFile]:
    """Return the files of a release by their name in the bucket; those for boards lie under `board/<chip>/`."""
    files = {f"board/{name}": file for name, file in bundled.items()}
    files |= {f"model-{soc}.om": found[release.MODEL] for soc, found in release.chips(bundled).items()}
    files[CARD] = describe(card)
    named = {published: context.files[name] for name, published in PUBLISHED.items() if name in context.files}
    if "model" in context.files:
        model = context.input("model")
        named |= {model.name: context.files["model"], f"prepared{model.suffix.lower()}": context.files["prepared"]}
    return files | {published: next(iter(found.values())) for published, found in named.items()}


def _needs(settings: Settings) -> Mapping[str, tuple[str, str]]:
    """A model from outside has neither checkpoint nor figures of this chain, but its own."""
    if settings.convert.model:
        own = {name: ("convert", name) for name in ("predictions", "findings", "prepared")}
        return {**release.NEEDS, **own, "data": data_source(settings)}
    return {
        **release.NEEDS,
        "checkpoint": ("train", "checkpoint"),
        "history": ("train", "history"),
        "mindir": ("export", "mindir"),
        "onnx": ("export", "onnx"),
        "air": ("export", "air"),
        "checks": ("export", "checks"),
        "metrics": ("evaluate", "metrics"),
        "per_class": ("evaluate", "per_class"),
        "confusion": ("evaluate", "confusion"),
    }


def _settings(settings: Settings) -> Mapping[str, Any]:
    signed = {"by": settings.release.key, "fleet": settings.release.fleet, "expire_days": settings.release.expire_days}
    return {**identity(settings.obs), "recipe": recipe_settings(settings), "signed": signed}


def _external_inputs(settings: Settings) -> Mapping[str, Path]:
    own = {"model": Path(settings.convert.model)} if settings.convert.model else {}
    return {**release.agent_files(settings), **own}


STAGE = Stage(
    "publish",
    "effect",
    run,
    needs=_needs,
    optional=("mindir", "onnx", "air", "history"),  # a user's script may leave no history
    external_inputs=_external_inputs,
    settings=_settings,
    tools=("pillow",),
    prove=prove,
)
