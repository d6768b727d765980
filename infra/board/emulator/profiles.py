"""The boards that a stand-in can imitate: users, paths, `npu-smi`, toolkit layouts (docs/reference/boards.md §5)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from infra.errors import UserError


class Layout(StrEnum):
    """Where a board has its toolkit or its libraries."""

    HOME = "home"
    """~/Ascend/ascend-toolkit"""
    SYSTEM = "system"
    """/usr/local/Ascend/ascend-toolkit"""
    CANN = "cann"
    """/usr/local/Ascend/cann, from 8.5 on"""
    NNRT = "nnrt"
    """/usr/local/Ascend/nnrt, the runtime alone"""
    MINID = "minid"
    """/home/data/miniD/driver/lib64, without any script"""
    MODULE = "module"
    """/usr/local/Ascend/pyACL and runtime, without any script"""


@dataclass(frozen=True)
class Profile:
    """A board to imitate.

    Attributes:
        title: what it is.
        soc_version: its chip.
        cann: version that its files name.
        layout: of the toolkit.
        user: of the login.
        devices: number of chips.
        host: True for a card in a host, False where the chip runs the system itself.
        health: as `npu-smi` reports it.
        buses: bus id of each chip; empty where `npu-smi` shows `NA`.
        memory: of a chip as `npu-smi` shows it, MB used and in total.
        driver: version of `npu-smi`.
        first_file: number of the first device file; 100 and up for a virtual NPU.
        sbin: True where `npu-smi` is only in /usr/local/sbin, which a login has not on its PATH.
    """

    title: str
    soc_version: str
    cann: str
    layout: Layout
    user: str = "HwHiAiUser"
    devices: int = 1
    host: bool = False
    health: str = "OK"
    buses: tuple[str, ...] = ()
    memory: tuple[int, int] = (0, 8192)
    driver: str = "23.0.rc3"
    first_file: int = 0
    sbin: bool = False


PLAIN = "stand-in"
"""Name of the version of a plain stand-in: it runs what any generation compiled."""

_PI = Profile(
    "OrangePi AIpro, 8 TOPS", "Ascend310B4", "7.0.RC1", Layout.SYSTEM, health="Alarm", memory=(2166, 3513), sbin=True
)
_DUO = Profile(
    "server with an Atlas 300I Duo, CANN 8.5",
    "Ascend310P3",
    "8.5.0",
    Layout.CANN,
    user="root",
    devices=2,
    host=True,
    buses=("0000:01:00.0", "0000:01:00.0"),
    memory=(1529, 44280),
    driver="25.5.0",
)

PROFILES: Mapping[str, Profile] = {
    "atlas-200-dk": Profile("Atlas 200 DK", "Ascend310", "5.0.4", Layout.HOME, driver="21.0.4"),
    "atlas-200-module": Profile("Atlas 200, image without a script", "Ascend310", "", Layout.MODULE, driver="21.0.4"),
    "atlas-500": Profile("Atlas 500", "Ascend310", "", Layout.MINID, driver="21.0.4"),
    "atlas-300i": Profile(
        "server with an Atlas 300I, four chips",
        "Ascend310",
        "7.0.0",
        Layout.SYSTEM,
        devices=4,
        host=True,
        buses=tuple(f"0000:0{number}:00.0" for number in (4, 5, 6, 7)),
        memory=(2621, 8192),
        driver="22.0.4",
    ),
    "atlas-300i-runtime": Profile(
        "server with an Atlas 300I and the runtime alone",
        "Ascend310",
        "6.3.RC2",
        Layout.NNRT,
        host=True,
        buses=("0000:04:00.0",),
        memory=(2621, 8192),
        driver="22.0.4",
    ),
    "atlas-200i-dk-a2": replace(_PI, title="Atlas 200I DK A2"),
    "orangepi-aipro": _PI,
    "orangepi-aipro-20t": replace(_PI, title="OrangePi AIpro, 20 TOPS", soc_version="Ascend310B1", cann="8.0.RC2"),
    "atlas-300i-duo": _DUO,
    "atlas-300i-vnpu": replace(
        _DUO, title="container with a virtual NPU of a 310P", devices=1, buses=("0000:01:00.0",), first_file=100
    ),
}


def profile(name: str, soc_version: str, *, host: bool = False) -> Profile:
    """A profile by its name; without one, a plain board with a chip.

    Raises:
        UserError: there is no such profile.
    """
    if not name:
        return Profile("a plain board", soc_version, PLAIN, Layout.HOME, host=host, driver="stand-in")
    if name not in PROFILES:
        raise UserError(f"no stand-in imitates '{name}'", hint=f"these are known: {', '.join(PROFILES)}")
    return PROFILES[name]


def npu_smi(board: Profile) -> str:
    """What `npu-smi info` prints, in the layout of the driver's own table."""
    wide, narrow, last = 31, 17, 54
    rule = f"+{'-' * wide}+{'-' * narrow}+{'-' * last}+"

    def row(first: str, second: str, third: str) -> str:
        return f"| {first:<{wide - 2}} | {second:<{narrow - 2}} | {third:<{last - 2}} |"

    title = f"npu-smi {board.driver:<41}Version: {board.driver}"
    lines = [f"+{'-' * (len(rule) - 2)}+", f"| {title:<{len(rule) - 4}} |", rule]
    lines.append(row("NPU     Name", "Health", "Power(W)     Temp(C)           Hugepages-Usage(page)"))
    lines.append(row("Chip    Device", "Bus-Id", "AICore(%)    Memory-Usage(MB)"))
    double = rule.replace("-", "=")
    used, total = board.memory
    for number in range(board.devices):
        lines.append(rule if number else double)
        name = board.soc_version.removeprefix("Ascend")
        card, chip = (0, number) if len(set(board.buses)) < 2 else (number, 0)
        lines.append(row(f"{card:<8}{name}", board.health, "0.0          45                0     / 0"))
        bus = board.buses[number] if board.buses else "NA"
        lines.append(row(f"{chip:<8}{number}", bus, f"0            {used} / {total}"))
    return "\n".join([*lines, double, ""])
