"""A home with something of everything, and what a backup keeps of it."""

import json
from typing import Any

from infra.store.artifacts import ArtifactStore
from infra.store.digests import value_digest
from infra.store.receipts import Receipt, Receipts

LEFT_OUT = {
    "locks/train-1.lock": "",
    "work/train-1/half": "half",
    "statcache.json": "{}",
    "verdict.json": "{}",
    "services/prefect.log": "up",
    "objectstore/blob": "theirs",
    "fleet/wanted.lock": "",
    "runs/.1.json.ab12.tmp": "{",
    "tuning/a/study.db-wal": "wal",
}


SECRETS = {"secrets/board-laptop": "private", "services/obs.secret": "private"}


KEPT = {
    "registry.json": '{"revision": 3}',
    "proofs.json": "{}",
    "runs/1.json": "{}",
    "fleet/wanted.jsonl": "{}\n",
    "fleet/releases/first/Ascend310/release.json": "{}",
    "modelarts/intents/1.json": "{}",
    "notify/waiting/1.json": "{}",
    "tracking/1.json": "{}",
    "aside/schema-0/train/1.json": json.dumps({"schema": 0, "seal": value_digest({"schema": 0})}),
    "trust/keyring.json": "{}",
    "tuning/a/summary.md": "# A",
}


def make(home: Any, number: Any, stage: str = "train") -> Any:
    """A receipt with a file and a folder."""
    store, folder = ArtifactStore(home), home.parent / f"made-{number}"
    (folder / "tree").mkdir(parents=True)
    (folder / "file").write_text(f"file {number}" * 100)
    (folder / "tree" / "part").write_text(f"part {number}")
    outputs = {
        "file": store.put_file("file", folder / "file", "text/plain"),
        "tree": store.put_tree("t", folder / "tree"),
    }
    receipt = Receipt(stage, f"{number:064x}", {"inputs": {}}, outputs, started=float(number))
    Receipts(home).save(receipt)
    return receipt


def contents(home: Any) -> Any:
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file() and not path.is_symlink()}
