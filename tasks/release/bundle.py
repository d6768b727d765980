"""Build a release: everything that a board needs to run and to check a model, with an id derived from the bytes.

It has a folder for each chip: `model.om`, `agent/` (the program), `smoke/` (images, their true classes and golden
logits), `reference.json` (counts of the evaluation images, for `tasks/retrain/drift.py`) and `release.json` (id, class
names, input contract, soc_version, emulated, tolerance, versions of CANN and Pillow).
All folders have the same id, so that a fleet with several chips runs one release.
"""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from infra.board.release_folder import DESCRIPTION, identifier_of
from infra.store.artifacts import folder_files
from tasks.class_names import labels
from tasks.evaluation_images import evaluation_images, expected_logits, input_contract
from tasks.release import agent_bundle, drift_baseline
from tasks.release.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.ports.values import LocalFile
    from infra.settings import Settings
    from tasks.engine.stage import StageContext

SMOKE_IMAGES_A_CLASS = 5
SMOKE_IMAGES = 100  # of all classes, so that a release with many classes stays small
# Half precision keeps 11 bits, a relative error of 2^-11 an operation (IEEE 754-2008, binary16). One percent
# of the largest logit allows some twenty roundings, and is far below the effect of a wrong pixel format. For a model
# that was executed and passed the parity gate, a board may differ by twice the largest difference there.
TOLERANCE = 0.01
SEEN_FACTOR = 2
MODEL = "model.om"

NEEDS = {
    "om": ("convert", "om"),
    "ledger": ("convert", "ledger"),
    "data": ("download", "data"),
    "predictions": ("evaluate", "predictions"),
}


def agent_files(_settings: Settings) -> dict[str, Path]:
    """The agent; an external input of the stages that build a release."""
    return {"agent": agent_bundle.AGENT, **agent_bundle.BESIDE}


def build(context: StageContext) -> Path:
    """Build a release in `context.folder/release`, a folder for each chip; returns that folder."""
    folder = context.folder / "release"
    ledger = Ledger.from_json(json.loads(context.input("ledger").read_text(encoding="utf-8")))
    facts: dict[str, dict[str, Any]] = {}
    for name, file in context.files["om"].items():
        soc = name.partition("/")[0]
        _lay_out(context, file.path, folder / soc)
        facts[soc] = _facts(context, ledger, soc, folder / soc)
        _describe(folder / soc, facts[soc])
    identifier = identifier_of(folder_files(folder)[1])
    for soc, said in facts.items():
        _describe(folder / soc, {"id": identifier, **said})
    return folder


def _describe(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / DESCRIPTION).write_text(json.dumps(facts, indent=1, sort_keys=True), encoding="utf-8")


def chips(files: Mapping[str, LocalFile]) -> dict[str, dict[str, LocalFile]]:
    """The files of a built release by chip: soc_version to path inside its folder to file."""
    found: dict[str, dict[str, LocalFile]] = {}
    for name, file in files.items():
        soc, _, rest = name.partition("/")
        found.setdefault(soc, {})[rest] = file
    return found


def identifier(files: Mapping[str, LocalFile]) -> str:
    """The id of a built release."""
    first = next(iter(chips(files).values()))
    return str(json.loads(first[DESCRIPTION].path.read_text(encoding="utf-8"))["id"])


def _lay_out(context: StageContext, om: Path, folder: Path) -> None:
    """Write agent, model, reference and smoke test; the latter has some images of each class."""
    import numpy as np

    agent = {name: file.path for name, file in context.files["agent"].items()}
    beside = {source.name: context.input(name) for name, source in agent_bundle.BESIDE.items()}
    agent_bundle.lay_out(folder, {**agent, **beside})
    shutil.copyfile(om, folder / MODEL)
    images, numbers = evaluation_images(context)
    classes = np.array(numbers, np.int64)
    present = np.unique(classes)
    each = max(1, min(SMOKE_IMAGES_A_CLASS, SMOKE_IMAGES // len(present)))
    places = [np.flatnonzero(classes == number)[:each] for number in present[:SMOKE_IMAGES]]
    chosen = np.sort(np.concatenate(places))
    contract = input_contract(context.settings, context.files["data"])
    looks = drift_baseline.reference(images, expected_logits(context), contract)
    (folder / drift_baseline.FILE).write_text(json.dumps(looks, sort_keys=True), encoding="utf-8")
    (folder / "smoke").mkdir()
    np.save(folder / "smoke" / "images.npy", images[chosen])
    np.save(folder / "smoke" / "logits.npy", expected_logits(context)[chosen])
    np.save(folder / "smoke" / "labels.npy", classes[chosen])


def _facts(context: StageContext, ledger: Ledger, soc: str, folder: Path) -> dict[str, Any]:
    import numpy as np

    chosen = ledger.chosen_hop(soc)
    largest = float(np.abs(np.load(folder / "smoke" / "logits.npy", allow_pickle=False)).max())
    seen = chosen.whole.max_difference or 0.0 if chosen.whole else 0.0
    return {
        **agent_bundle.contract(
            input_contract(context.settings, context.files["data"]), labels(context), soc, context.emulated
        ),
        "precision_mode": chosen.precision,
        "cann": ledger.compiler.cann,  # a board's must not be older
        "pillow": version("pillow"),  # of the data set, too: it is an ingredient of its stage
        "tolerance": max(TOLERANCE * largest, SEEN_FACTOR * seen),
    }
