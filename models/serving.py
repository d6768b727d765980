"""Classify images one by one with a loaded checkpoint."""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING

import numpy as np

from .data.images import contract_of
from .evaluation.inference import network_forward
from .failures import InputError
from .protocol import event
from .training.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from mindspore import nn
    from numpy.typing import NDArray

    from .spec.train_spec import TrainSpec

_WARM = 5  # calls, as before a latency measurement (docs/reference/tutorials.md T4)


def answer(spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], checkpoint: Path, requests: Iterable[str]) -> None:
    """Write an event `ready` after the warm-up, then an event `answer` for each request.

    An answer has `logits`, and `milliseconds` for normalisation and network.

    Args:
        spec: specification of the training, whose normalisation is a preset or numbers.
        build: builds the network.
        checkpoint: path of the parameters.
        requests: one image per line, base64 of uint8 [image_size, image_size, 3], RGB.

    Raises:
        Failure: the checkpoint is missing or damaged, or a request has another format.
    """
    network = build(spec)
    load_checkpoint(checkpoint, network)
    forward, contract = network_forward(network), contract_of(None, spec)
    for _ in range(_WARM):
        forward(contract.tensor(np.zeros((1, spec.image_size, spec.image_size, 3), np.uint8)))
    event("ready")
    for request in requests:
        pixels = _pixels(request, spec.image_size)
        began = time.perf_counter()
        logits = forward(contract.tensor(pixels))[0]
        milliseconds = (time.perf_counter() - began) * 1000
        event("answer", logits=[float(value) for value in logits], milliseconds=milliseconds)


def _pixels(request: str, size: int) -> NDArray[np.uint8]:
    try:
        content = base64.b64decode(request.strip(), validate=True)
    except binascii.Error as error:
        raise InputError(f"a request is not base64: {error}") from error
    if len(content) != size * size * 3:
        raise InputError(f"a request has {len(content):,} bytes, not {size} × {size} × 3")
    return np.frombuffer(content, np.uint8).reshape(1, size, size, 3)
