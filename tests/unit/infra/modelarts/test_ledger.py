from pathlib import Path

import pytest

from infra.errors import Corrupt
from infra.modelarts.ledger import Intent, Ledger
from tests.unit.infra.modelarts.jobs import KEY

OTHER = "cd" * 32


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "intents")


def test_an_intent_is_read_as_it_was_written(ledger: Ledger) -> None:
    assert ledger.read(KEY) is None
    intents = [Intent(KEY, "atlasflow-ab-1"), Intent(OTHER, "atlasflow-cd-2", "id", settled=True)]
    for intent in intents:
        ledger.write(intent)
    assert list(ledger.all()) == intents
    assert ledger.read(OTHER) == intents[1]


@pytest.mark.parametrize("text", ["", "[]", '{"key": "ab"}', '{"key": "ab", "name": "n", "more": 1}'])
def test_a_damaged_intent_is_corrupt(ledger: Ledger, text: str) -> None:
    ledger.folder.mkdir()
    (ledger.folder / f"{KEY}.json").write_text(text)
    with pytest.raises(Corrupt, match="is damaged"):
        ledger.read(KEY)


def test_a_job_is_watched_while_its_lock_is_held(ledger: Ledger) -> None:
    assert not ledger.is_watched(KEY)
    with ledger.watch(KEY):
        assert ledger.is_watched(KEY)
        assert not ledger.is_watched(OTHER)
    assert not ledger.is_watched(KEY)
    assert list(ledger.folder.glob("*.lock")) == []


def test_an_installation_keeps_its_id(ledger: Ledger, tmp_path: Path) -> None:
    first = ledger.installation()
    assert len(first) == 16
    assert Ledger(ledger.folder).installation() == first
    assert Ledger(tmp_path / "other").installation() != first
