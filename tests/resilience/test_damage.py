"""One byte of one object of a stage flips: the next run says which, and makes it again, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipts
from tasks.pipeline import NAMES
from tests.resilience.places import UNEQUAL, check_healed, check_home, copy_home


@pytest.mark.parametrize("stage", NAMES)
def test_a_flipped_byte(driver: Any, reference: Any, tmp_path: Path, stage: Any) -> None:
    home = tmp_path / "home"
    copy_home(reference.home, home, NAMES)
    name, path = _object_of(home, stage)
    _flip(path)
    [found] = driver.run({"home": home, "stage": NAMES[-1], "real_board": False})
    assert found["error"] is None
    assert list(found["ran"]) == [stage]
    assert name in found["ran"][stage]
    assert "was changed on disk" in found["ran"][stage]
    check_home(home)
    check_healed(home, reference.home)


def _object_of(home: Any, stage: Any) -> Any:
    """The name and the place of the largest file that a stage made, and makes the same each time, and no other has."""
    store = ArtifactStore(home)
    files: dict[Path, list[tuple[str, str, int]]] = {}
    for receipt in Receipts(home).all():
        for output, artifact in receipt.outputs.items():
            if (receipt.stage, output) in UNEQUAL:
                continue
            for name, file in store.files(artifact).items():
                files.setdefault(file.path, []).append((receipt.stage, name, file.size))
    alone = {path: known[0] for path, known in files.items() if [maker for maker, _, _ in known] == [stage]}
    path = max(alone, key=lambda path: alone[path][2])
    return alone[path][1], path


def _flip(path: Any) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
