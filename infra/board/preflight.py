"""What is looked at before a byte goes to a board, one step after the other, each with its finding and a hint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infra.board.cann import older
from infra.errors import Refused
from infra.ports.board import Release
from infra.settings import BoardSettings

FACTORY_PASSWORDS = {"Mind@123"}  # docs/reference/boards.md §5
LITTLE_BYTES = 256 * 1024 * 1024
SPARE_BYTES = 16 * 1024 * 1024  # what a board needs beside the files of a release: journal, links, pictures


@dataclass(frozen=True)
class Check:
    """One step: `good`, `note` (it works, but is worth knowing) or `wrong` (a deployment is refused)."""

    step: str
    level: Literal["good", "note", "wrong"]
    found: str
    hint: str = ""


def checks(facts: Mapping[str, Any], settings: BoardSettings, release: Release | None = None) -> list[Check]:
    """Judge what a board says of itself.

    Args:
        facts: as the agent's `facts` tells them.
        settings: of the board.
        release: what is to go there; None looks at the board alone.
    """
    return [
        _login(facts, settings),
        _devices(facts),
        _space(facts, release),
        *_modules(facts),
        _toolkit(facts),
        _npu(facts),
        _chip(facts, settings, release),
        _cann(facts, release),
        _emulation(facts, release),
    ]


def refuse(name: str, facts: Mapping[str, Any], settings: BoardSettings, release: Release) -> None:
    """Decide whether a release may go to a board.

    Raises:
        Refused: it may not; the message tells the first reason.
    """
    for check in checks(facts, settings, release):
        if check.level == "wrong":
            raise Refused(f"board {name}: {check.found}", hint=check.hint)


def _login(facts: Mapping[str, Any], settings: BoardSettings) -> Check:
    password = settings.password.get_secret_value()
    user = str(facts["user"])
    if password in FACTORY_PASSWORDS:
        return Check(
            "login",
            "note",
            f"{user} still has the factory password, which everybody knows",
            "change it on the board (passwd), make a key (ssh-keygen -t ed25519) and log in with that",
        )
    if password:
        return Check("login", "note", f"{user}, with a password", "a key is safer: ssh-keygen -t ed25519, ssh-copy-id")
    return Check("login", "good", f"{user}, with a key")


def _devices(facts: Mapping[str, Any]) -> Check:
    groups = " ".join(facts["groups"])
    closed = ", ".join(facts["closed_devices"])
    if closed:
        return Check(
            "groups",
            "wrong",
            f"{facts['user']} ({groups}) may not open {closed}",
            f"sudo usermod -aG HwHiAiUser {facts['user']}, then log in again",
        )
    return Check("groups", "good", groups)


def _space(facts: Mapping[str, Any], release: Release | None) -> Check:
    free = facts["free_bytes"]
    needed = 0 if release is None else sum(file.size for file in release.files.values()) + SPARE_BYTES
    found = f"{free // 2**20} MB free"
    if free < needed:
        return Check(
            "space",
            "wrong",
            f"{found}, {needed // 2**20} MB are needed",
            "`atlasflow boards prune` removes old releases",
        )
    if free < LITTLE_BYTES:
        return Check("space", "note", f"only {found}", "`atlasflow boards prune` removes old releases")
    return Check("space", "good", found)


def _modules(facts: Mapping[str, Any]) -> Iterator[Check]:
    python = facts["python"]
    problems = {module: problem for module, problem in facts["modules"].items() if problem and module != "acl"}
    for module, problem in problems.items():
        yield Check(
            "Python",
            "wrong",
            f"Python {python} cannot use {module}: {problem}",
            f"install {'pillow' if module == 'PIL' else module} on the board for Python {python}, "
            "or name another Python in the board's `python`",
        )
    if not problems:
        yield Check("Python", "good", f"{python} with numpy and Pillow")


def _toolkit(facts: Mapping[str, Any]) -> Check:
    problem, script = facts["modules"]["acl"], facts["environment"]
    if problem and script:
        hint = f"is the toolkit whole, and installed for Python {facts['python']}?"
        return Check("toolkit", "wrong", f"{script} was sourced, and Python cannot use acl: {problem}", hint)
    if problem:
        return Check(
            "toolkit",
            "wrong",
            f"Python cannot use acl: {problem}; no set_env.sh was found in the usual places",
            "name the toolkit's script in the board's `environment`; .bashrc is not read here",
        )
    if not script:
        return Check("toolkit", "good", "acl can be imported without any script")
    return Check("toolkit", "good", f"{script} was sourced")


def _npu(facts: Mapping[str, Any]) -> Check:
    npu = facts["npu"]
    if not npu:
        return Check("npu-smi", "note", "npu-smi tells nothing", "log in and try `npu-smi info`")
    if not facts["emulated"] and " OK" not in npu:
        return Check("npu-smi", "note", npu, "some healthy boards report Alarm (docs/reference/boards.md §5)")
    return Check("npu-smi", "good", npu)


def _chip(facts: Mapping[str, Any], settings: BoardSettings, release: Release | None) -> Check:
    soc = facts["soc_version"]
    wanted = settings.soc if release is None else release.soc_version
    if release is not None and soc != wanted:
        return Check(
            "chip",
            "wrong",
            f"it has {soc or 'an unknown chip'}, release {release.id} is for {wanted}",
            f"compile for {soc or 'the name that npu-smi info shows'} (convert.soc_versions)",
        )
    if not soc:
        return Check("chip", "wrong", "neither npu-smi nor acl tells which chip it has", "look at `npu-smi info`")
    if soc != wanted:
        return Check("chip", "note", f"{soc}, and its entry says {wanted}", f'set the board\'s soc = "{soc}"')
    return Check("chip", "good", f"{soc}, {facts['architecture']}")


def _cann(facts: Mapping[str, Any], release: Release | None) -> Check:
    """A board's CANN must not be older than the compiler's (docs/reference/atc.md §3.3)."""
    board = facts["cann"]
    if release is None or not release.cann:
        return Check("CANN", "good", board) if board else Check("CANN", "note", "the version is unknown")
    if older(board, release.cann):
        return Check(
            "CANN",
            "wrong",
            f"it has CANN {board}, release {release.id} was compiled by CANN {release.cann}",
            "compile with a toolkit that is not newer than the board's, or update the board",
        )
    if older(board, release.cann) is None:
        return Check("CANN", "note", f"'{board}' cannot be compared with the compiler's {release.cann}")
    return Check("CANN", "good", f"{board}, not older than the compiler's {release.cann}")


def _emulation(facts: Mapping[str, Any], release: Release | None) -> Check:
    if release is not None and release.emulated and not facts["emulated"]:
        return Check(
            "stand-in",
            "wrong",
            f"it is no stand-in, and release {release.id} was made by a stand-in compiler",
            'compile the model with Huawei\'s atc (convert.compiler = "atc")',
        )
    if release is not None and facts["emulated"] and not release.emulated:
        return Check(
            "stand-in",
            "wrong",
            f"it is a stand-in and cannot run release {release.id}, which was compiled for hardware",
            "compile it with the stand-in compiler, or deploy to a real board",
        )
    return Check("stand-in", "good", "it is a stand-in" if facts["emulated"] else "it is real")
