"""The table of picture kinds and versions of Pillow: where the same file becomes the same image, bit for bit."""

import json
import subprocess
from pathlib import Path

import pytest

from models import preprocess
from tests.pillows import FOLDER, VERSIONS
from tests.unit.models import picture_kinds

# JPEG with colours at half the resolution, as most cameras write it: wheels before 9.0 bring another library.
JPEG = {"quality-60.jpg", "progressive.jpg", "turned.jpg"}
DIFFERENT = {"5.1.0": JPEG | {"turned.png"}, "6.2.2": JPEG, "7.2.0": JPEG, "8.0.1": JPEG, "8.4.0": JPEG}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    picture_kinds.make(folder)
    return folder


def test_every_kind_can_be_decoded(kinds: Path) -> None:
    found = picture_kinds.decode(kinds, preprocess)
    assert len(found) == 3 * 26
    assert {name: said for name, said in found.items() if len(said) != 64} == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_other_versions_of_pillow_compute_the_same_images(kinds: Path, version: str) -> None:
    python = FOLDER / version / "bin" / "python"
    if not python.exists():
        pytest.skip(f"there is no environment with Pillow {version}: `python -m tests.pillows` makes it")
    command = [str(python), picture_kinds.__file__, str(kinds), preprocess.__file__]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    there, here = json.loads(said.stdout), picture_kinds.decode(kinds, preprocess)
    assert {name.split()[0] for name in here if here[name] != there[name]} == DIFFERENT.get(version, set())
