"""Portable AIR: translate the exported ONNX graph to AIR without an Ascend device, and compare it with the checkpoint.

MindSpore writes AIR only on Ascend (docs/reference/atc.md §3.6). This form was never tested with Huawei's ATC, and is
labelled so.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.air.reader import to_onnx
from infra.air.writer import LABEL, write_air
from models import parity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.data.images import Pixels
    from models.preprocess import Contract

_TIMED = 20  # calls whose median is the latency


def write(source: Path, target: Path, batch: int) -> dict[str, Any]:
    """Write `target` from an ONNX file; returns its entry for `checks.json`.

    Raises:
        UserError: the file cannot be read, or has an operator without a translation.
    """
    write_air(source, target, batch)
    return {"file": target.name, "batch": batch, "label": LABEL}


def check(
    path: Path, images: Pixels, expected: Any, labels: Sequence[int], names: Sequence[str], contract: Contract
) -> dict[str, Any]:
    """Execute an AIR file on the evaluation images, write `logits.npy` and `latency.json` beside it, and compare.

    Args:
        path: the AIR file.
        images: uint8 [n, side, side, 3], RGB.
        expected: the checkpoint's logits, float32 [n, classes].
        labels: the true classes, [n].
        names: of the classes.
        contract: the input contract of the network.

    Returns:
        The figures of `parity.compare`.

    Raises:
        UserError: the graph has an operator or an attribute without a translation.
        Corrupt: the file is not AIR.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it is read at import only
    import onnxruntime

    model = to_onnx(path.read_bytes()).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (end,) = session.get_inputs()
    batch = end.shape[0]
    found, times = [], []
    for start in range(0, len(images), batch):
        part = contract.tensor(images[start : start + batch])
        tensor = np.resize(part, (batch, *part.shape[1:]))  # an incomplete batch is padded with its own images
        began = time.perf_counter()
        found.append(session.run(None, {end.name: tensor})[0][: len(part)])
        times.append((time.perf_counter() - began) * 1000)
    logits = np.concatenate(found).astype(np.float32)
    np.save(path.with_name("logits.npy"), logits)
    latency = {"images": batch, "milliseconds": float(np.median(times[:_TIMED]))}
    path.with_name("latency.json").write_text(json.dumps(latency))
    return parity.compare(expected, logits, np.array(labels), names)
