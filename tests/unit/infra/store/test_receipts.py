import dataclasses
import json

import pytest

from infra.errors import Corrupt
from infra.store.artifacts import Artifact
from infra.store.receipts import Receipt, Receipts

RECEIPT = Receipt(
    "train",
    "k" * 64,
    {"inputs": {"data": "d" * 64}, "settings": {"epochs": 3}},
    {"checkpoint": Artifact("checkpoint.ckpt", "c" * 64, 7, "file", "application/octet-stream")},
    tools={"mindspore": "2.10.0"},
    emulated=True,
    started=100.0,
    seconds=5.0,
)


def test_a_receipt_comes_back_as_it_was(tmp_path):
    Receipts(tmp_path).save(RECEIPT)
    assert Receipts(tmp_path).load("train", RECEIPT.key) == RECEIPT
    assert Receipts(tmp_path).load("train", "z" * 64) is None


def test_any_change_in_the_file_is_damage_and_no_miss(tmp_path):
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    path = receipts.path("train", RECEIPT.key)
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(Corrupt, match="seal does not fit"):
        receipts.load("train", RECEIPT.key)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"seal": 1}', json.dumps({"no": "seal"})])
def test_other_damage_names_the_file(tmp_path, text):
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    path = receipts.path("train", RECEIPT.key)
    path.write_text(text)
    with pytest.raises(Corrupt, match=str(path)):
        receipts.load("train", RECEIPT.key)


def test_the_latest_is_the_one_finished_last(tmp_path):
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    later = dataclasses.replace(RECEIPT, key="a" * 64, started=200.0)
    receipts.save(later)
    assert receipts.latest("train") == later
    assert receipts.latest("export") is None
