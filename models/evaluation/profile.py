"""Cost of a network: parameters, multiply-adds, size, latency, and the tuning tutorial's score.

Source: docs/reference/tutorials.md T4.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import mindspore
import numpy as np
from mindspore import nn

from ..data.images import read_contract, read_images
from ..failures import InputError
from ..files import write_json
from ..protocol import log
from ..training import scoring
from ..training.checkpoint import load_checkpoint
from ..training.runtime import layout
from ..training.tracing import on_layer_output
from .inference import logits, network_forward
from .objective import score, size_mb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec

_WARM, _TIMED = 5, 100  # docs/reference/tutorials.md T4
_SETTLE = 25  # calls; more than `Layout` needs for its choice


def profile(
    spec: TrainSpec,
    build: Callable[[TrainSpec], nn.Cell],
    data: Path,
    checkpoint: Path | None,
    model: Path | None,
    output: Path,
) -> None:
    """Write `profile.json` into `output`.

    Without a checkpoint, accuracy and score are left out; the cost is the same.

    Args:
        spec: specification of the training.
        build: builds the network.
        data: data set; its evaluation images give the accuracy.
        checkpoint: path of the parameters; None for an untrained network.
        model: exported ONNX file to measure as well, or None.
        output: folder for the results.

    Raises:
        Failure: an input is missing or damaged.
    """
    if model is not None and not model.is_file():
        raise InputError(f"model {model} does not exist", "export first")
    images = read_images(data, "eval", spec.classes)
    network = build(spec)
    if checkpoint is not None:
        load_checkpoint(checkpoint, network)
    contract = read_contract(data, spec)
    rows = layers(network, spec.image_size)
    image = contract.tensor(images.pixels[:1])
    speed = latency(network_forward(network), image)
    parameters = sum(parameter.size for parameter in network.trainable_params())
    size = size_mb(parameters)
    result: dict[str, object] = {**_sums(rows), "parameters": parameters, "size_mb": size, "latency_ms": speed}
    text = f"{parameters:,} parameters, {size:.3f} MB, {speed['mean']:.3f} ms"
    if checkpoint is not None:
        found = logits(network_forward(network), images.pixels, contract)
        accuracy = scoring.accuracy(found, images.labels)
        points = score(accuracy, size, speed["mean"])
        result |= {"accuracy": accuracy, "images": len(images), "score": points}
        text += f", accuracy {accuracy:.4f} on {len(images):,} images: score {points:.2f}"
    if model is not None:
        from ..export import onnx_forward  # noqa: PLC0415 - not needed without a file

        result["onnx"] = {"size_mb": model.stat().st_size / 1e6, "latency_ms": latency(onnx_forward(model), image)}
    log(text)
    write_json(output / "profile.json", result)


def describe(spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], output: Path) -> None:
    """Write `network.json` into `output`: layers and trainable parameters of the network, which need not be trained."""
    network = build(spec)
    arrays = [
        {"name": parameter.name, "shape": list(parameter.shape), "size": parameter.size}
        for parameter in network.trainable_params()
    ]
    found = {"network": spec.network, "arrays": arrays, **_sums(layers(network, spec.image_size))}
    write_json(output / "network.json", found)


def _sums(rows: list[dict[str, object]]) -> dict[str, object]:
    """Sum up the rows; the parameters of a layer that runs twice count once."""
    parameters = {str(row["name"]): int(str(row["parameters"])) for row in rows}
    return {
        "layers": rows,
        "parameters": sum(parameters.values()),
        "multiply_adds": sum(int(str(row["multiply_adds"])) for row in rows),
    }


def latency(
    forward: Callable[[NDArray[np.float32]], NDArray[np.float32]], image: NDArray[np.float32]
) -> dict[str, float]:
    """Return milliseconds for one image: mean, median and percentiles of 100 calls after 5 warm-up calls.

    `pinned` is True when threads were pinned, which changes the latency; they are not while a training runs.
    """
    with layout() as cores:
        for _ in range(_SETTLE):
            cores.on_step(_time(forward, image))
        for _ in range(_WARM):
            forward(image)
        times = np.array([_time(forward, image) for _ in range(_TIMED)]) * 1e3
        pinned = cores.pinned
    low, median, high, highest = np.percentile(times, [10, 50, 90, 99])
    return {
        "mean": round(float(times.mean()), 4),
        "p10": round(float(low), 4),
        "median": round(float(median), 4),
        "p90": round(float(high), 4),
        "p99": round(float(highest), 4),
        "pinned": pinned,
    }


def _time(forward: Callable[[NDArray[np.float32]], NDArray[np.float32]], image: NDArray[np.float32]) -> float:
    began = time.perf_counter()
    forward(image)
    return time.perf_counter() - began


def layers(network: nn.Cell, size: int) -> list[dict[str, object]]:
    """Return shape, parameters and multiply-adds of each leaf layer, in execution order.

    Multiply-adds are those of convolutions and dense layers, nearly all of a network.

    Args:
        network: the network; set to inference mode.
        size: height and width of the image in pixels.
    """
    rows: list[dict[str, object]] = []

    def record(name: str, cell: nn.Cell, output: mindspore.Tensor) -> None:
        rows.append(
            {
                "name": name,
                "kind": type(cell).__name__,
                "shape": list(output.shape),
                "parameters": sum(parameter.size for parameter in cell.trainable_params()),
                "multiply_adds": _multiply_adds(cell, output.shape),
            }
        )

    network.set_train(False)
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    try:
        with on_layer_output(network, record):
            network(mindspore.Tensor(np.zeros((1, 3, size, size), np.float32)))
    finally:
        mindspore.set_context(mode=mindspore.GRAPH_MODE)
    return rows


def _multiply_adds(cell: nn.Cell, shape: tuple[int, ...]) -> int:
    if isinstance(cell, nn.Conv2d):
        outputs, inputs, height, width = cell.weight.shape
        return int(outputs * inputs * height * width * shape[2] * shape[3])
    return int(cell.weight.size) if isinstance(cell, nn.Dense) else 0
