"""AIR without an Ascend device: the exported ONNX graph, written in AIR's format and proved against the checkpoint.

MindSpore writes AIR on Ascend alone (ascend-domain.md §3.6). This one was never read by Huawei's own ATC, and says so.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from infra.air.reader import to_onnx
from infra.air.writer import to_air
from models import preprocess

LABEL = "portable, not verified on Huawei's ATC"


def write(source: Path, target: Path, images: Any, expected: Any, preset: str) -> dict[str, Any]:
    """Write `target` from an ONNX file and execute what was written on the evaluation images.

    Args:
        source: the ONNX file.
        target: the AIR file.
        images: uint8 [n, h, w, 3], RGB.
        expected: the checkpoint's logits, float32 [n, classes].
        preset: name of the normalisation in `models/preprocess.py`.

    Returns:
        What is known of the file: images, max_difference (absolute, of logits), top1_agreement, label.

    Raises:
        UserError: the network has an operator that the writer does not know.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it is read once, at import; calls made later come too late
    import onnxruntime

    target.write_bytes(to_air(onnx.load(source)))
    session = onnxruntime.InferenceSession(
        to_onnx(target.read_bytes()).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    tensors = preprocess.normalise(images, preprocess.PRESETS[preset])
    logits = np.concatenate([session.run(None, {name: tensors[index : index + 1]})[0] for index in range(len(tensors))])
    return {
        "images": len(images),
        "max_difference": float(np.abs(logits - expected).max()),
        "top1_agreement": float((logits.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        "label": LABEL,
    }
