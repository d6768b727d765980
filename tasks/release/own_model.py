"""A model of the user's own (`convert.model`): checked and prepared for ATC, and its own answers to the user's images.

What boards must give are the answers of the user's file under ONNX Runtime. Nothing that is known of this chain's
checkpoint is said of such a model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.errors import UserError
from infra.ports.values import LocalFile
from infra.store.artifacts import folder_files
from infra.store.digests import file_digest
from tasks.class_names import labels
from tasks.evaluation_images import evaluation_images, input_contract
from tasks.release.foreign import answers, pictures
from tasks.release.foreign.prepare import check, is_air, prepare, target_of
from tasks.specs import image_shape, train_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from models.data.images import Pixels
    from models.preprocess import Contract
    from tasks.engine.stage import StageContext
    from tasks.release.foreign.prepare import Prepared

_CHUNK = 64  # pictures in memory as float32 at a time


@dataclass(frozen=True)
class Adopted:
    """A model that is ready for the compiler.

    Attributes:
        context: of the convert stage, with the inputs that an export of this chain would have given.
        outputs: files of this model for later stages.
        batch: pictures a call; -1 for an open batch.
    """

    context: StageContext
    outputs: dict[str, Path]
    batch: int


def weights_beside(model: Path) -> Path | None:
    """The file with the weights of an ONNX file, by the names that exporters give it; None without one."""
    names = (f"{model.name}.data", f"{model.name}_data", f"{model.stem}.data", f"{model.stem}.bin", "weights.bin")
    return next((model.with_name(name) for name in names if model.with_name(name).is_file()), None)


def adopt(context: StageContext) -> Adopted:
    """Check the model, prepare it for ATC, and execute it on the user's images before and after.

    Raises:
        UserError: ATC or boards cannot use the model; names each finding with its remedy.
        Corrupt: the prepared model answers differently.
    """
    settings, (path,) = context.settings, [file.path for file in context.files["model"].values()]
    names = pictures.class_names(context.input("classes")) if "classes" in context.files else labels(context)
    size = image_shape(settings)[1]
    gears = bool(settings.convert.batch_gears)
    target = target_of(settings, context.world.compiler().producer())
    prepared = prepare(path, len(names), target, batch=0 if gears else settings.export.batch or 1, size=size)
    for finding in prepared.findings:
        context.reporter.line("convert", str(finding))
    check(prepared.findings, path.name, settings, prepared.reading)
    assert prepared.reading.feed is not None  # noqa: S101 - checked
    batch = prepared.reading.feed.batch
    made = context.folder / "model" / f"model{path.suffix.lower()}"
    made.parent.mkdir()
    made.write_bytes(path.read_bytes() if is_air(path) else prepared.made.SerializeToString())
    contract = _contract(context)
    taken = _pictures(context, names, contract)
    own, found = _both(prepared, path.name, taken.images if taken else evaluation_images(context)[0], contract, batch)
    outputs = {"prepared": made, "findings": context.folder / "findings.json"}
    if taken is not None:
        outputs["data"] = context.folder / "pictures"
        numbers = taken.labels or found.argmax(axis=1).tolist()
        pictures.write(taken, numbers, names, contract, outputs["data"])
    else:
        numbers = evaluation_images(context)[1]
    outputs |= _comparison(context, own, found, numbers, names, made)
    about = {
        "pictures": len(found),
        "labelled": taken is None or taken.labels is not None,
        "skipped": dict(taken.skipped) if taken else {},
        "answers": prepared.reading.answers.value,
        "findings": [finding.to_json() for finding in prepared.findings],
    }
    outputs["findings"].write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")
    return Adopted(_with_files(context, outputs), outputs, -1 if gears else batch)


def _contract(context: StageContext) -> Contract:
    """The input contract: of the data set, or for pictures of the user's own, of the settings."""
    if "images" not in context.files:
        return input_contract(context.settings, context.files["data"])
    from models.data.images import MEASURED, normalisation
    from models.preprocess import Contract

    spec, data = train_spec(context.settings), context.settings.data
    if spec.normalisation == MEASURED:
        raise UserError(
            "train.normalisation=measured needs the images that the model was trained on",
            hint="set the normalisation of its training: imagenet, or six numbers",
        )
    values = normalisation(spec.normalisation, None)
    return Contract(spec.image_size, values, data.fit, data.interpolation, data.orientation)


def _pictures(context: StageContext, names: Sequence[str], contract: Contract) -> pictures.Pictures | None:
    if "images" not in context.files:
        return None
    taken = pictures.read(context.files["images"], names, contract, context.settings.convert.max_images)
    known = "with their classes" if taken.labels else "of unknown classes"
    context.reporter.line("convert", f"{len(taken.images)} pictures {known}")
    for name, why in list(taken.skipped.items())[:5]:
        context.reporter.line("convert", f"skipped {name}: {why}")
    return taken


def _both(
    prepared: Prepared, name: str, images: Pixels, contract: Contract, batch: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The answers of the user's model as logits, and those of the prepared one: float32 [n, classes]."""
    import numpy as np

    for node in prepared.own.graph.node:
        node.name = ""  # ONNX Runtime refuses a name that two nodes have
    first = answers.session(prepared.own.SerializeToString(), name)
    second = answers.session(prepared.made.SerializeToString(), name)
    own, found = [], []
    for start in range(0, len(images), _CHUNK):
        tensor = contract.tensor(images[start : start + _CHUNK])
        found.append(answers.logits(second, tensor, batch))
        mine = answers.own_answers(first, prepared.reading, tensor)
        answers.check_same(prepared.reading, mine, found[-1], name)
        own.append(answers.as_logits(prepared.reading, mine, found[-1]))
    return np.concatenate(own), np.concatenate(found)


def _comparison(
    context: StageContext,
    own: np.ndarray[Any, Any],
    found: np.ndarray[Any, Any],
    numbers: Sequence[int],
    names: Sequence[str],
    made: Path,
) -> dict[str, Path]:
    """Write what an export and an evaluation would have: checks, logits, predictions."""
    import numpy as np

    from models import parity

    form = made.suffix.removeprefix(".")
    compared = parity.compare(own, found, np.array(numbers), names)
    checks = {form: {"made": True, "bytes": made.stat().st_size, **compared}}
    outputs = {name: context.folder / name for name in ("checks.json", "logits", "predictions.npz")}
    outputs["checks.json"].write_text(json.dumps(checks, indent=1, sort_keys=True), encoding="utf-8")
    outputs["logits"].mkdir()
    np.save(outputs["logits"] / f"{form}.npy", found)
    np.savez(outputs["predictions.npz"], logits=found)
    return {"checks": outputs["checks.json"], "logits": outputs["logits"], "predictions": outputs["predictions.npz"]}


def _with_files(context: StageContext, outputs: dict[str, Path]) -> StageContext:
    """The context with the outputs as inputs of the rest of the stage."""
    files = dict(context.files)
    for name, path in {**outputs, "model": outputs["prepared"]}.items():
        files[name] = folder_files(path)[1] if path.is_dir() else {path.name: _local(path)}
    return replace(context, files=files)


def _local(path: Path) -> LocalFile:
    return LocalFile(path, file_digest(path), path.stat().st_size)
