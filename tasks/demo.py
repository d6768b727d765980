"""The demo page of a chain: predictors (checkpoint, ONNX file, boards), examples and the model's origin."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from infra.errors import Corrupt, UserError
from infra.fetch import shown
from infra.web.demo import Answer, Demo, Example, Predictor
from models.preprocess import PictureError, best
from tasks.demo_labels import labels_of
from tasks.evaluation_images import input_contract
from tasks.metrics import Metrics
from tasks.specs import network_settings, train_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from infra.ports.models import LoadedCheckpoint
    from infra.store.receipts import Receipt
    from infra.web.demo import Pixels
    from models.preprocess import Contract
    from tasks.engine.chain import Chain

TOP = 5
EXAMPLES = 20  # at most
_NAMED = 12  # classes in the summary
NEEDED = ("download", "train", "evaluate", "export")


@contextmanager
def opened(chain: Chain, boards: Sequence[str]) -> Iterator[Demo]:
    """Yield the demo of a chain; programs started for it end with the block.

    Args:
        chain: chain with results of `download`, `train`, `evaluate` and `export`.
        boards: names of boards that also predict, with their active release.

    Raises:
        UserError: a stage has no result, or a board does not exist.
    """
    for stage in NEEDED:
        if stage not in chain.known:
            hint = "`atlasflow run --to export` makes it, with the same --profile and --set"
            raise UserError(f"{stage} has no result for these settings", hint=hint)
    spec = train_spec(chain.settings)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="atlasflow-demo-")))
        contract = input_contract(chain.settings, chain.store.files(chain.known["download"].outputs["data"]))
        names = class_names(chain, folder / "data")
        predictors = [_onnx(chain, folder / "onnx", contract, names)]
        checkpoint = chain.store.link_into(chain.known["train"].outputs["checkpoint"], folder / "train")
        program = chain.world.models().load(checkpoint / "checkpoint.ckpt", _served(chain, contract))
        stack.callback(program.close)
        program.start()
        predictors += [_checkpoint(program, names), *(_board(chain, name, folder) for name in boards)]
        yield Demo(
            title="AtlasFlow",
            summary=f"A {spec.network} sorts pictures into {spec.classes} classes: "
            f"{_some(names)}. It answers with one of them whatever it is shown.",
            prepare=lambda picture: _pixels(picture, contract),
            predictors=predictors,
            examples=examples(chain, folder / "data"),
            provenance=provenance(chain, boards),
            labels=labels_of(chain, names, contract, predictors[0]),
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _pixels(picture: Image.Image, contract: Contract) -> Pixels:
    try:
        return contract.image(picture)
    except PictureError as error:
        raise UserError(str(error)) from None


def examples(chain: Chain, folder: Path) -> list[Example]:
    """Return the first evaluation image of each of the first classes."""
    data = chain.store.link_into(chain.known["download"].outputs["data"], folder)
    images = import_module("models.data.images").read_images(data, "eval")
    _, firsts = np.unique(images.labels, return_index=True)
    firsts = firsts[:EXAMPLES]
    names = class_names(chain, folder)
    pixels = images.pixels[firsts]
    return [Example(image, names[label]) for image, label in zip(pixels, images.labels[firsts], strict=True)]


def class_names(chain: Chain, folder: Path) -> Sequence[str]:
    """Return the class names of the chain's data set, whose files are linked into `folder`."""
    data = chain.store.link_into(chain.known["download"].outputs["data"], folder)
    names: Sequence[str] = import_module("models.data.images").class_names(data)
    return names


def _served(chain: Chain, contract: Contract) -> dict[str, object]:
    """The specification for the program that answers without a data set: its normalisation in numbers."""
    values = network_settings(chain.settings)
    if values["normalisation"] != "measured":
        return values
    mean, std, _ = contract.normalisation
    return {**values, "normalisation": ",".join(map(repr, (*mean, *std)))}


def onnx_logits(path: Path, contract: Contract) -> Callable[[Pixels], np.ndarray[Any, np.dtype[np.float32]]]:
    """Load an exported ONNX file as a function of one image: uint8 [size, size, 3] to float32 [classes]."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, at import
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]
    batch = first.shape[0] if isinstance(first.shape[0], int) else 1  # with export.batch it is fixed

    def logits(pixels: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
        tensor = contract.tensor(pixels[np.newaxis]).repeat(batch, axis=0)
        found: np.ndarray[Any, np.dtype[np.float32]] = session.run(None, {first.name: tensor})[0][0]
        return found

    return logits


def _onnx(chain: Chain, folder: Path, contract: Contract, names: Sequence[str]) -> Predictor:
    exported = chain.known["export"].outputs
    if "onnx" not in exported:
        raise UserError(
            "no ONNX file was exported", hint="add onnx to export.formats, then `atlasflow run --to export`"
        )
    logits = onnx_logits(chain.store.link_into(exported["onnx"], folder) / exported["onnx"].name, contract)
    logits(np.zeros((contract.size, contract.size, 3), np.uint8))  # warm up: the first call is slow

    def answer(pixels: Pixels) -> Answer:
        began = time.perf_counter()
        found = logits(pixels)
        return Answer(tuple(best(found, names, TOP)), (time.perf_counter() - began) * 1000)

    return Predictor("ONNX (ONNX Runtime)", answer)


def _checkpoint(program: LoadedCheckpoint, names: Sequence[str]) -> Predictor:
    def answer(pixels: Pixels) -> Answer:
        logits, milliseconds = program.ask(pixels.tobytes())
        return Answer(tuple(best(np.array(logits), names, TOP)), milliseconds)

    return Predictor("checkpoint (MindSpore)", answer)


def _board(chain: Chain, name: str, folder: Path) -> Predictor:
    """Return a board as predictor; it gets the same pixels as the others, in a lossless picture."""
    if name not in chain.settings.boards:
        chain.world.board(name)  # raises an error that names similar boards
    stand_in = not chain.settings.boards[name].address
    ours = _release(chain)

    def answer(pixels: Pixels) -> Answer:
        board = chain.world.board(name)
        picture = folder / "boards" / f"{name}.png"
        picture.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(picture)
        active = board.state().active
        [result] = board.classify([picture], picture.parent)
        if result.problem:
            raise Corrupt(f"board {name} cannot read the picture: {result.problem}")
        note = f"release {active}" + ("" if active == ours else ", which has another checkpoint")
        return Answer(result.top, result.milliseconds, note)

    return Predictor(f".om on {name} (stand-in)" if stand_in else f".om on {name}", answer, emulated=stand_in)


def _release(chain: Chain) -> str | None:
    """Return the id of the release that the chain's last deployment activated; None without a deployment."""
    deployed = chain.known.get("deploy")
    if deployed is None:
        return None
    return str(json.loads(chain.store.path(deployed.outputs["boards"]).read_text(encoding="utf-8"))["release"])


def provenance(chain: Chain, boards: Sequence[str]) -> list[tuple[str, str]]:
    """Return the model's origin and accuracy as (label, value), from receipts only."""
    train, evaluate = chain.known["train"], chain.known["evaluate"]
    metrics = Metrics.read(chain.store.path(evaluate.outputs["metrics"]))
    low, high = metrics.interval
    recipe, made_by = train.ingredients["settings"], train.ingredients["producer"]
    exported = chain.known["export"].outputs["onnx"]
    release = _release(chain)
    return [
        ("model", f"{recipe['network']}, {recipe['epochs']} epochs, batches of {recipe['batch_size']}"),
        ("trained", f"{_when(train)}, by {made_by['name']} {made_by['version']}{_stand_in(train)}"),
        ("checkpoint", f"SHA-256 {train.outputs['checkpoint'].sha256}"),
        ("ONNX", f"SHA-256 {exported.sha256}{_stand_in(chain.known['export'])}"),
        *([("release", f"{release}{_stand_in(chain.known['deploy'])}")] if release is not None and boards else []),
        (
            "accuracy",
            f"{metrics.accuracy:.4f} on {metrics.images:,} evaluation images "
            f"(95 % Wilson interval {low:.4f} to {high:.4f})",
        ),
        ("data", f"{shown(chain.settings.data.source)}, SHA-256 {train.ingredients['inputs']['data']}"),
    ]


def _when(receipt: Receipt) -> str:
    return datetime.fromtimestamp(receipt.finished, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _stand_in(receipt: Receipt) -> str:
    return " (a stand-in was involved)" if receipt.emulated else " (no stand-in was involved)"
