"""A release: what a board needs to run a model and to check that it runs it right, under an id that names its bytes.

A release is a folder: `model.om`, `agent/` (the program), `smoke/` (images, their true classes, and the logits that they
must give) and `release.json` (id, class names, image size, normalisation, soc_version, emulated, tolerance).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.store.digests import file_digest, value_digest
from tasks.recipe import network_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from infra.settings import Settings
    from tasks.base import Work

CHECKOUT = Path(__file__).resolve().parent.parent
AGENT = CHECKOUT / "infra" / "board" / "agent"
BESIDE = {"preprocess": CHECKOUT / "models" / "preprocess.py", "parity": CHECKOUT / "models" / "parity.py"}
RECORD_BYTES = 3073  # ascend-domain.md §7.4
SMOKE_IMAGES = 16
# Half precision keeps 11 bits, a relative error of 2^-11 an operation (IEEE 754-2008, binary16). A percent of the
# largest logit leaves room for some twenty roundings, and is far below what a wrong pixel format does.
TOLERANCE = 0.01
DESCRIPTION = "release.json"

NEEDS = {
    "om": ("convert", "om"),
    "data": ("download", "data"),
    "predictions": ("evaluate", "predictions"),
}


def agent_files(_settings: Settings) -> dict[str, Path]:
    """The program that goes with the model; an outside input of the stages that make a release."""
    return {"agent": AGENT, **BESIDE}


def build(work: Work) -> Path:
    """Lay a release out in `work.folder/release` from the inputs in `NEEDS` and `agent_files`; returns the folder."""
    import numpy as np

    folder = work.folder / "release"
    for name, file in work.files["agent"].items():
        _place(file.path, folder / "agent" / name)
    for name, source in BESIDE.items():
        _place(work.input(name), folder / "agent" / source.name)
    _place(work.input("om"), folder / "model.om")
    images, classes = evaluation_images(work)
    with np.load(work.input("predictions"), allow_pickle=False) as predictions:
        golden = predictions["logits"][:SMOKE_IMAGES].astype(np.float32)
    (folder / "smoke").mkdir()
    np.save(folder / "smoke" / "images.npy", images[:SMOKE_IMAGES])
    np.save(folder / "smoke" / "logits.npy", golden)
    np.save(folder / "smoke" / "labels.npy", np.array(classes[:SMOKE_IMAGES], np.int64))
    facts = _facts(work, float(np.abs(golden).max()))
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in folder.rglob("*") if path.is_file()}
    text = json.dumps({"id": value_digest({**facts, "files": digests})[:16], **facts}, indent=1, sort_keys=True)
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    return folder


def evaluation_images(work: Work) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]:
    """The evaluation images (uint8, [n, 32, 32, 3], RGB) and their labels."""
    import numpy as np

    records = np.fromfile(work.files["data"]["eval/test_batch.bin"].path, np.uint8).reshape(-1, RECORD_BYTES)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].tolist()


def labels(work: Work) -> list[str]:
    """The class names, in the order of their numbers."""
    text = work.files["data"]["batches.meta.txt"].path.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _facts(work: Work, largest: float) -> Mapping[str, Any]:
    from models import preprocess

    network = network_settings(work.settings)
    normalisation = preprocess.PRESETS[network["normalisation"]]
    return {
        "labels": labels(work),
        "image_size": network["image_size"],
        "normalisation": {
            "mean": list(normalisation.mean),
            "std": list(normalisation.std),
            "order": normalisation.order,
        },
        "soc_version": work.settings.convert.soc_version,
        "emulated": work.emulated,
        "tolerance": TOLERANCE * largest,
    }


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
