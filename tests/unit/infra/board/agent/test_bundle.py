"""A bundle on a stick installs with the guarantees of a deployment over a network."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.board.agent.failure import CORRUPT, REFUSED
from infra.board.agent.releases import Releases
from infra.board.program import start_program
from infra.store.local_files import describe_folder
from infra.trust.bundle import write_bundle
from tests import boards

pytestmark = pytest.mark.program

Start = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Runs the program `start` of a board, as its user does."""
    boards.give_keyring(tmp_path / "board", chip="Ascend310")
    program = tmp_path / "board" / "start"
    program.write_bytes(start_program())
    program.chmod(0o755)
    toolkit = {"PYTHONPATH": str(boards.ACL), "ATLASFLOW_ACL_SOC": "Ascend310", "ATLASFLOW_ACL_RUN_MODE": "device"}
    environment = {"PATH": os.environ["PATH"], "ATLASFLOW_AS_ROOT": "1", **toolkit}

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(program), *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return run


def made(folder: Path, identifier: str, seed: int = 0) -> Path:
    release = boards.release(folder / identifier, identifier, seed=seed)
    (folder / identifier / "manifest.json").write_bytes(release.manifest)
    write_bundle(describe_folder(folder / identifier), "here", folder / f"{identifier}.atlas")
    return folder / f"{identifier}.atlas"


def state(folder: Path) -> tuple[str | None, list[str]]:
    found = Releases(str(folder / "board")).state()
    return found["active"], found["releases"]


def test_a_bundle_is_installed_started_and_leaves_its_receipt(start: Start, tmp_path: Path) -> None:
    first, second = made(tmp_path, "one"), made(tmp_path, "two", seed=7)
    done = start("install", first)
    assert done.returncode == 0, done.stderr
    receipt = json.loads(first.with_name("one.atlas.receipt.json").read_text())
    assert json.loads(done.stdout) == receipt
    assert (receipt["release"], receipt["changed"], receipt["smoke"]["images"]) == ("one", True, 8)
    assert json.loads(start("verify").stdout)["release"] == "one"
    assert json.loads(start("install", first).stdout)["changed"] is False
    assert start("install", second).returncode == 0
    assert state(tmp_path) == ("two", ["one", "two"])
    answer = start("classify", boards.picture(tmp_path / "p.png"))
    assert "confidence" in answer.stdout, answer.stderr
    third = made(tmp_path, "three", seed=9)
    assert start("install", third).returncode == 0
    old = start("install", first)
    assert (old.returncode, "older than this board accepts" in old.stderr) == (REFUSED, True)


def test_damaged_and_forged_bundles_change_nothing(start: Start, tmp_path: Path) -> None:
    assert start("install", made(tmp_path, "one")).returncode == 0
    good, bad = made(tmp_path, "two", seed=7), tmp_path / "bad.atlas"
    data = good.read_bytes()
    for length in (0, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:length])
        assert start("install", bad).returncode == CORRUPT
    changes = {"model.om": b"\0" * 10_000_000, "smoke/logits.npy": b"evil", "manifest.json": b"{}"}
    for name, content in changes.items():  # the first is endless data, packed small
        with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as target, zipfile.ZipFile(good) as source:
            for item in source.namelist():
                target.writestr(item, content if item.endswith(f"/{name}") else source.read(item))
        assert start("install", bad).returncode == CORRUPT
    assert state(tmp_path) == ("one", ["one"])
    assert not bad.with_name("bad.atlas.receipt.json").exists()


def test_a_damaged_release_is_not_started(start: Start, tmp_path: Path) -> None:
    for identifier, seed in (("one", 0), ("two", 7)):
        assert start("install", made(tmp_path, identifier, seed)).returncode == 0
    victim = tmp_path / "board" / "current" / "agent" / "cli.py"
    victim.unlink()  # the releases share the file
    victim.write_text("print('evil')\n")
    done = start("info")
    assert "evil" not in done.stdout
    assert "release one is back in service" in done.stderr
    assert "release: one" in done.stdout
