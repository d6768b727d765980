"""The evidence in a release: how it was made (in-toto, SLSA) and with which packages (CycloneDX).

Both files are signed with the release and are no part of what its id is made of. They hold no time and no host name, so
that the same chain gives the same files.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from infra.board.release_folder import EVIDENCE, MANIFEST
from infra.store.artifacts import folder_files
from infra.store.digests import text_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from infra.store.receipts import Receipt
    from tasks.engine.stage import StageContext

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://atlasflow.invalid/chain/v1"  # a name, not an address (RFC 2606)
PROVENANCE, SBOM = EVIDENCE


def write(context: StageContext, folder: Path, needs: Mapping[str, tuple[str, str]], recipe: Mapping[str, Any]) -> None:
    """Write both files into the folder of each chip.

    Args:
        context: of the stage `publish`.
        folder: of the built release.
        needs: input name to (stage, output), as the stage declares them.
        recipe: of the training.
    """
    sbom = json.dumps(bill_of_materials(), indent=1, sort_keys=True)
    receipts = list(_receipts(context, needs))
    for chip in sorted(path for path in folder.iterdir() if path.is_dir()):
        subjects = {
            name: file.sha256 for name, file in folder_files(chip)[1].items() if name not in (*EVIDENCE, MANIFEST)
        }
        text = json.dumps(statement(context, subjects, receipts, recipe), indent=1, sort_keys=True)
        (chip / PROVENANCE).write_text(text, encoding="utf-8")
        (chip / SBOM).write_text(sbom, encoding="utf-8")


def statement(
    context: StageContext, subjects: Mapping[str, str], receipts: Iterable[Receipt], recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """The in-toto statement with the SLSA provenance of these files, which are path to SHA-256."""
    inputs = {name: artifact.sha256 for name, artifact in context.inputs.items()}
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"recipe": dict(recipe)},
                "internalParameters": {"key": context.key, "emulated": context.emulated},
                "resolvedDependencies": [
                    {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(inputs.items())
                ],
            },
            "runDetails": {
                "builder": {"id": BUILD_TYPE, "version": {"python": platform.python_version()}},
                "byproducts": [_link(receipt) for receipt in receipts],
            },
        },
    }


def bill_of_materials() -> dict[str, Any]:
    """The packages of this environment as CycloneDX 1.5."""
    found = {(item.metadata["Name"], item.version) for item in distributions() if item.metadata["Name"]}
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        for name, version in sorted(found)
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "platform", "name": "python", "version": platform.python_version()}},
        "components": components,
    }


def _receipts(context: StageContext, needs: Mapping[str, tuple[str, str]]) -> Iterable[Receipt]:
    """The receipts that the inputs came with, one a stage."""
    known = context.world.receipts()
    for stage in sorted({stage for stage, _ in needs.values()}):
        outputs = {
            (needs[name][1], item.sha256) for name, item in context.inputs.items() if needs.get(name, ("",))[0] == stage
        }
        for receipt in known.all(stage):
            if outputs and outputs <= {(name, artifact.sha256) for name, artifact in receipt.outputs.items()}:
                yield receipt
                break


def _link(receipt: Receipt) -> dict[str, Any]:
    """A receipt, without what differs between two equal runs."""
    outputs = {name: artifact.sha256 for name, artifact in receipt.outputs.items()}
    said = {"key": receipt.key, "emulated": receipt.emulated, "outputs": outputs, "tools": dict(receipt.tools)}
    ingredients = json.dumps(dict(receipt.ingredients), sort_keys=True)
    code = receipt.ingredients.get("code")
    return {
        "name": f"receipt of {receipt.stage}",
        "digest": {"sha256": text_digest(ingredients)},
        "annotations": {**said, "code": code, "producer": receipt.ingredients.get("producer")},
    }
