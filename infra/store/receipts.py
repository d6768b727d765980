"""Receipts: the record that a stage with this key produced these artifacts. One JSON file each, sealed by a digest.

A receipt names its schema. One of an older schema is converted by the steps in `infra/store/migrations.py`; one of a
newer schema is refused, since this code may not understand it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.errors import Corrupt, Refused
from infra.faults import NO_FAULTS, FaultPlan
from infra.store.artifacts import Artifact
from infra.store.atomic import write_text
from infra.store.digests import value_digest
from infra.store.migrations import INGREDIENTS, SCHEMA, CannotUpgrade, upgraded

__all__ = ["INGREDIENTS", "SCHEMA", "Receipt", "Receipts", "parse", "text_of"]

_HEAD = 1024  # characters
_TIMES = re.compile(r'^ "started": (?P<started>[-+.e0-9]+),\n "seconds": (?P<seconds>[-+.e0-9]+),$', re.MULTILINE)


@dataclass(frozen=True)
class Receipt:
    """What a stage made, from what, and when.

    Attributes:
        stage: the stage's name.
        key: SHA-256 over the ingredients.
        ingredients: everything that may change the outputs, as `why` shows it.
        outputs: artifacts by name.
        tools: versions of the tools that took part.
        emulated: True when a stand-in trainer or compiler took part in making the bytes.
        started: seconds since 1970.
        seconds: how long the stage took.
    """

    stage: str
    key: str
    ingredients: Mapping[str, Any]
    outputs: Mapping[str, Artifact]
    tools: Mapping[str, str] = field(default_factory=dict)
    emulated: bool = False
    started: float = 0.0
    seconds: float = 0.0

    @property
    def finished(self) -> float:
        """When the stage ended, in seconds since 1970."""
        return self.started + self.seconds


class Receipts:
    """All receipts of one home: `home/receipts/<stage>/<key>.json`."""

    def __init__(self, home: Path, faults: FaultPlan = NO_FAULTS) -> None:
        self.folder = home / "receipts"
        self._faults = faults

    def path(self, stage: str, key: str) -> Path:
        """Return the path of the receipt, which need not exist."""
        return self.folder / stage / f"{key}.json"

    def load(self, stage: str, key: str) -> Receipt | None:
        """Read one receipt; None when there is none.

        Raises:
            Corrupt: it is damaged. That is not a miss: it may stand for a paid training.
            Refused: its schema cannot be read here.
        """
        path = self.path(stage, key)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        return parse(text, path)

    def save(self, receipt: Receipt) -> None:
        """Write a receipt whole or not at all."""
        write_text(self.path(receipt.stage, receipt.key), text_of(receipt), faults=self._faults, point="receipt")

    def exist(self, stage: str) -> bool:
        """True when the stage has at least one receipt; none is read."""
        return next((self.folder / stage).glob("*.json"), None) is not None

    def all(self, stage: str | None = None) -> Iterator[Receipt]:
        """Read every receipt, of one stage or of all."""
        for path in sorted(self.folder.glob(f"{stage or '*'}/*.json")):
            yield parse(path.read_bytes(), path)

    def latest(self, stage: str) -> Receipt | None:
        """Return the receipt of this stage that was finished last; only that one is checked."""
        found = max((self.folder / stage).glob("*.json"), key=_finished, default=None)
        return None if found is None else parse(found.read_bytes(), found)


def _finished(path: Path) -> float:
    """Read when a stage was finished from the head of its receipt, where `text_of` writes it."""
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(_HEAD)
    match = _TIMES.search(head)
    if match is None:
        return parse(path.read_bytes(), path).finished
    return float(match["started"]) + float(match["seconds"])


def text_of(receipt: Receipt) -> str:
    """Return the text of a receipt's file, with its seal."""
    body = _body(receipt)
    return json.dumps({**body, "seal": value_digest(body)}, indent=1, ensure_ascii=False)


def parse(text: str | bytes, path: Path) -> Receipt:
    """Read a receipt from the text of its file.

    Raises:
        Corrupt: it is damaged.
        Refused: it is of a newer schema, or of one that cannot be read as the present one.
    """
    try:
        body = json.loads(text)
        # Before the seal, as a newer one may be sealed otherwise.
        if body["schema"] > SCHEMA:
            raise Refused(
                f"the receipt {path} was written by a newer AtlasFlow (schema {body['schema']}, here {SCHEMA})",
                hint="update this checkout, or take another ATLASFLOW_HOME; nothing was changed",
            )
        if body.pop("seal") != value_digest(body):
            raise ValueError("its seal does not fit")
        body = upgraded(body)
        del body["schema"]
        outputs = {name: Artifact(**entry) for name, entry in body.pop("outputs").items()}
        return Receipt(outputs=outputs, **body)
    except CannotUpgrade as error:
        hint = "`atlasflow upgrade` keeps it aside, so that its stage runs again; nothing is deleted"
        raise Refused(f"the receipt {path} is of an older AtlasFlow: {error}", hint=hint) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(
            f"the receipt {path} is damaged: {error}", hint="remove that file to have the stage run again"
        ) from error


def _body(receipt: Receipt) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "stage": receipt.stage,
        "key": receipt.key,
        "emulated": receipt.emulated,
        "started": receipt.started,
        "seconds": receipt.seconds,
        "outputs": {name: artifact.to_json() for name, artifact in receipt.outputs.items()},
        "tools": dict(receipt.tools),
        "ingredients": dict(receipt.ingredients),
    }
