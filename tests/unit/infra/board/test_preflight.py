"""Every step of the preflight, from what a board says; and the same over a connection."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import SecretStr

from infra.board.answers import agent_facts
from infra.board.cann import older, order
from infra.board.client import SshBoard
from infra.board.preflight import examine_facts, refuse
from infra.errors import Refused
from infra.ports.release import Release
from infra.ports.values import LocalFile
from infra.settings import BoardSettings
from tests import boards

GOOD = {
    "soc_version": "Ascend310",
    "cann": "5.0.4",
    "architecture": "aarch64",
    "python": "3.6.9",
    "free_bytes": 1 << 30,
    "emulated": False,
    "npu": "310 OK",
    "devices": 1,
    "virtual": [],
    "modules": {"numpy": None, "PIL": None, "acl": None},
    "pillow": "8.4.0",
    "numpy": "1.19.5",
    "environment": "/home/HwHiAiUser/Ascend/ascend-toolkit/set_env.sh",
    "user": "HwHiAiUser",
    "groups": ["HwHiAiUser"],
    "closed_devices": [],
}
RELEASE = Release("r1", {"model.om": LocalFile(Path("x"), "0" * 64, 1000)}, "Ascend310", emulated=False, cann="5.0.2")
STEPS = ["login", "groups", "space", "Python", "toolkit", "npu-smi", "chip", "CANN", "stand-in"]


def levels(facts: Any, release: Any = RELEASE, settings: Any = None) -> Any:
    found = examine_facts(agent_facts("porch", {**GOOD, **facts}), settings or BoardSettings(), release)
    return {finding.step: finding.level for finding in found}


def test_a_board_that_is_ready() -> None:
    assert levels({}) == dict.fromkeys(STEPS, "good")
    refuse("porch", agent_facts("porch", GOOD), BoardSettings(), RELEASE)


@pytest.mark.parametrize(
    ("facts", "step", "words"),
    [
        ({"closed_devices": ["/dev/davinci0"]}, "groups", "usermod -aG HwHiAiUser HwHiAiUser"),
        ({"free_bytes": 1000}, "space", "0 MB free, 16 MB are needed"),
        ({"modules": {"numpy": "gone", "PIL": None, "acl": None}}, "Python", "Python 3.6.9 cannot import numpy: gone"),
        ({"modules": {"numpy": None, "PIL": "gone", "acl": None}}, "Python", "install pillow"),
        ({"pillow": "4.3.0"}, "Python", "5.1 is the oldest allowed"),
        ({"pillow": ""}, "Python", "install pillow>=5.1"),
        (
            {"modules": {"numpy": None, "PIL": None, "acl": "No module named 'acl'"}},
            "toolkit",
            "set_env.sh was sourced",
        ),
        (
            {"modules": {"numpy": None, "PIL": None, "acl": "No module named 'acl'"}, "environment": ""},
            "toolkit",
            ".bashrc is not read",
        ),
        ({"soc_version": "Ascend310B4"}, "chip", "has Ascend310B4, release r1 is for Ascend310"),
        ({"soc_version": ""}, "chip", "an unknown chip"),
        ({"cann": "5.0.1"}, "CANN", "has CANN 5.0.1, release r1 was compiled by CANN 5.0.2"),
        ({"emulated": True}, "stand-in", "compiled for hardware"),
    ],
)
def test_facts_that_refuse_a_release(facts: Any, step: str, words: str) -> None:
    assert levels(facts)[step] == "wrong"
    with pytest.raises(Refused) as caught:
        refuse("porch", agent_facts("porch", {**GOOD, **facts}), BoardSettings(), RELEASE)
    assert words in str(caught.value)
    assert "board porch: " in caught.value.message


def test_an_old_pillow_is_named_before_it_leaves_png_pictures_lying_on_their_side() -> None:
    assert levels({"pillow": "5.1.0"})["Python"] == "note"
    refuse("porch", agent_facts("porch", {**GOOD, "pillow": "5.1.0"}), BoardSettings(), RELEASE)


@pytest.mark.parametrize(
    ("here", "there", "level"),
    [("12.3.0", "9.0.1", "good"), ("12.3.0", "8.4.0", "note"), ("8.4.0", "7.2.0", "good"), ("", "8.4.0", "good")],
)
def test_a_pillow_that_decodes_jpeg_otherwise_is_named(here: str, there: str, level: str) -> None:
    assert levels({"pillow": there}, replace(RELEASE, pillow=here))["Python"] == level
    refuse("porch", agent_facts("porch", {**GOOD, "pillow": there}), BoardSettings(), replace(RELEASE, pillow=here))


def test_a_real_board_refuses_a_stand_ins_release() -> None:
    with pytest.raises(Refused, match="is a real board, and a stand-in compiler made release r1"):
        refuse("porch", agent_facts("porch", GOOD), BoardSettings(), replace(RELEASE, emulated=True))


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        ({"free_bytes": 100 << 20}, "space"),
        ({"npu": ""}, "npu-smi"),
        ({"npu": "310B4 Alarm"}, "npu-smi"),
        ({"cann": ""}, "CANN"),
        ({"cann": "unheard of"}, "CANN"),
    ],
)
def test_notes_refuse_nothing(facts: Any, step: str) -> None:
    assert levels(facts) == {**dict.fromkeys(STEPS, "good"), step: "note"}


def test_an_entry_with_another_chip_is_noted() -> None:
    assert levels({}, release=None, settings=BoardSettings(soc="Ascend310B4"))["chip"] == "note"
    assert levels({"soc_version": ""}, release=None)["chip"] == "wrong"


def test_passwords_are_discouraged_and_the_factory_s_is_called_out() -> None:
    def login(password: Any) -> Any:
        settings = BoardSettings(password=SecretStr(password))
        found = examine_facts(agent_facts("porch", GOOD), settings)[0]
        assert password not in f"{found}"
        return found

    assert login("Mind@123").level == login("mine").level == "note"
    assert "factory password" in login("Mind@123").found
    assert "ssh-copy-id" in login("mine").hint


def test_versions_sort_as_they_were_released() -> None:
    released = ["20.1.rc1", "3.3.0", "5.0.2", "5.0.4.alpha002", "5.0.4", "5.1.RC1.alpha003", "5.1.RC1", "5.1.RC2"]
    released += ["6.0.0", "6.2.RC1", "7.0.RC1.alpha001", "7.0.RC1", "7.0.0", "7.0.0.3", "8.0.RC3", "8.0.0", "8.1.RC1"]
    orders = [found for version in released if (found := order(version)) is not None]
    assert len(orders) == len(released)
    assert orders == sorted(orders)
    assert older("5.0.4", "7.0.RC1") is True
    assert older("7.0.RC1", "7.0.RC1") is False
    assert older("stand-in", "7.0.RC1") is None


def test_every_step_over_a_connection(stand_in: Any, tmp_path: Path) -> None:
    found = SshBoard("laptop", stand_in.settings).check(boards.release(tmp_path / "a")).findings
    assert [check.step for check in found] == ["reachable", "host key", *STEPS, "files"]
    assert {check.level for check in found} == {"good"}
    assert "as pinned" in found[1].found


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({"port": 1}, ["reachable"]),
        ({"host_key": ""}, ["reachable", "host key"]),
        ({"key": "/nowhere/key"}, ["reachable", "entry"]),
        ({"user": "root"}, ["reachable", "host key", "login"]),
        ({"python": "python9"}, ["reachable", "host key", "Python"]),
    ],
)
def test_the_first_step_that_fails_ends_the_check(stand_in: Any, change: Any, steps: Any) -> None:
    found = SshBoard("laptop", stand_in.settings.model_copy(update=change)).check().findings
    assert [check.step for check in found] == steps
    assert [check.level for check in found] == ["good"] * (len(steps) - 1) + ["wrong"]
    assert found[-1].hint


def test_a_changed_host_key(stand_in: Any) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    *_, last = SshBoard("laptop", stand_in.settings.model_copy(update={"host_key": other})).check().findings
    assert (last.step, last.level) == ("host key", "wrong")
    assert "has changed" in last.found


@pytest.mark.parametrize(
    ("facts", "cann", "step", "words"),
    [
        ({"cann": "8.5.0"}, "7.0.RC1", "CANN", "more than 4 cycles older"),
        ({"cann": "8.2.RC1", "numpy": "2.1.0"}, "8.0", "Python", "NumPy 2.1.0 breaks CANN up to 8.2"),
        ({"cann": "8.5.0", "python": "3.14.1"}, "8.5.0", "Python", "3.7 to 3.13"),
    ],
)
def test_boards_of_today_that_may_give_trouble(facts: Any, cann: str, step: str, words: str) -> None:
    found = examine_facts(agent_facts("porch", {**GOOD, **facts}), BoardSettings(), replace(RELEASE, cann=cann))
    (one,) = [finding for finding in found if finding.step == step]
    assert one.level == "note"
    assert words in one.found


def test_a_board_of_today_that_is_ready() -> None:
    today = {"cann": "8.5.0", "python": "3.13.9", "numpy": "2.2.0"}
    found = examine_facts(agent_facts("porch", {**GOOD, **today}), BoardSettings(), replace(RELEASE, cann="8.0.RC3"))
    assert {finding.level for finding in found} == {"good"}
