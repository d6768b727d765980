"""Each board that a stand-in imitates: what its helper finds, and what the preflight makes of it."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.board.agent.facts import parse_npu_smi
from infra.board.answers import AgentFacts, agent_facts
from infra.board.emulator.furniture import furnish
from infra.board.emulator.profiles import PROFILES, npu_smi, profile
from infra.board.emulator.sshd import Board
from infra.board.helper import helper_script
from infra.board.preflight import examine_facts
from infra.errors import UserError
from infra.faults import NO_FAULTS
from infra.ports.release import Release
from infra.ports.upkeep import Level, Step
from infra.settings import BoardSettings
from tests import boards

ASK = "import json,os,sys;sys.path.insert(0,{agent!r});from agent.facts import facts;print(json.dumps(facts({home!r})))"


def ask(folder: Path, name: str) -> AgentFacts:
    """What a login's shell and Python find there, by the helper's own script with another program behind it."""
    (folder / "home").mkdir(exist_ok=True)
    furnish(folder, PROFILES[name])
    program = ASK.format(agent=str(boards.AGENT.parent), home=str(folder / "home"))
    (folder / "asker").write_text(f"#!/bin/sh\nexec python3 -c {shlex.quote(program)}\n")
    (folder / "asker").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh"],
        input=helper_script(BoardSettings(python=str(folder / "asker"))),
        env=Board(folder, "anyone", NO_FAULTS).environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return agent_facts(name, json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("name", "chip", "devices", "cann", "script"),
    [
        ("orangepi-aipro", "Ascend310B4", 1, "7.0.RC1", "/usr/local/Ascend/ascend-toolkit/set_env.sh"),
        ("atlas-500", "Ascend310", 1, "", ""),
        ("atlas-200-module", "Ascend310", 1, "", ""),
        ("atlas-300i", "Ascend310", 4, "7.0.0", "/usr/local/Ascend/ascend-toolkit/set_env.sh"),
        ("atlas-300i-runtime", "Ascend310", 1, "6.3.RC2", "/usr/local/Ascend/nnrt/set_env.sh"),
        ("atlas-300i-duo", "Ascend310P3", 2, "8.5.0", "/usr/local/Ascend/cann/set_env.sh"),
        ("atlas-300i-vnpu", "Ascend310P3", 1, "8.5.0", "/usr/local/Ascend/cann/set_env.sh"),
    ],
)
def test_the_preflight_gets_each_right(
    tmp_path: Path, name: str, chip: str, devices: int, cann: str, script: str
) -> None:
    facts = ask(tmp_path, name)
    assert (facts.board.soc_version, facts.board.devices, facts.board.cann) == (chip, devices, cann)
    assert facts.environment == (f"{tmp_path}/root{script}" if script else "")
    assert facts.problems == {}
    assert facts.board.emulated
    found = {finding.step: finding for finding in examine_facts(facts, BoardSettings(soc=chip))}
    assert found[Step.TOOLKIT].level is Level.GOOD
    assert found[Step.CHIP].level is Level.GOOD
    virtual = name == "atlas-300i-vnpu"
    noted = virtual or name == "orangepi-aipro"
    assert found[Step.NPU].level is (Level.NOTE if noted else Level.GOOD)
    assert ("virtual_type=1" in found[Step.NPU].hint) is virtual


def test_a_release_of_a_newer_compiler_is_refused_there(tmp_path: Path) -> None:
    facts = ask(tmp_path, "orangepi-aipro")

    def cann(version: str) -> Any:
        release = Release("r1", {}, "Ascend310B4", emulated=True, cann=version)
        return next(found for found in examine_facts(facts, BoardSettings(), release) if found.step is Step.CANN)

    assert cann("8.0").level is Level.WRONG
    assert cann("7.0").level is Level.GOOD
    assert cann("5.0").level is Level.GOOD


@pytest.mark.parametrize("name", PROFILES)
def test_each_table_can_be_read(name: str) -> None:
    board = PROFILES[name]
    table = npu_smi(board)
    chips = parse_npu_smi(table)
    assert [f"Ascend{chip['name']}" for chip in chips] == [board.soc_version] * board.devices
    assert {len(line) for line in table.splitlines()} == {106}


def test_another_profile_leaves_nothing_of_the_former(tmp_path: Path) -> None:
    ask(tmp_path, "orangepi-aipro")
    facts = ask(tmp_path, "atlas-500")
    assert facts.environment == ""
    assert not list((tmp_path / "root").rglob("ascend-toolkit"))


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="no stand-in imitates 'raspberry'") as caught:
        profile("raspberry", "Ascend310")
    assert "orangepi-aipro" in caught.value.hint
