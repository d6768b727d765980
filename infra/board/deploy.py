"""Install a release over a session: look first, copy what is missing, verify, test, switch."""

import getpass
import platform
import re
from collections.abc import Mapping
from typing import Any

from infra.board.session import Session
from infra.errors import Corrupt, GateFailed, Refused, Transient, UserError
from infra.ports import Bytes, Installed, LocalFile, Release
from infra.settings import BoardSettings
from infra.store.digests import file_digest

LOCK_SECONDS = 120.0
LITTLE_BYTES = 256 * 1024 * 1024
FACTORY_PASSWORDS = {"Mind@123"}  # ascend-domain.md §5
SMOKE_SECONDS = 300.0
SPARE_BYTES = 16 * 1024 * 1024  # what a board needs beside the files: journal, links, pictures


def check_release(release: Release) -> None:
    """Refuse a release that could not be installed anywhere.

    Raises:
        UserError: a bad id, an unsafe path, or no agent or model in it.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", release.id):
        raise UserError(f"'{release.id}' cannot name a release", hint="use letters, digits and -")
    for name in release.files:
        if name == "manifest.json" or any(part in {"", ".", ".."} for part in name.split("/")) or "\\" in name:
            raise UserError(f"'{name}' cannot be a file of a release")
    missing = {"agent/main.py", "model.om", "release.json"} - set(release.files)
    if missing:
        raise UserError(f"release {release.id} lacks {', '.join(sorted(missing))}")


def preflight(name: str, facts: Mapping[str, Any], release: Release) -> None:
    """Decide from a board's facts whether a release may go there, before any byte is copied.

    Raises:
        Refused: it may not.
    """
    where = f"board {name}"
    if release.emulated and not facts["emulated"]:
        raise Refused(
            f"{where} is no stand-in, and release {release.id} was made by a stand-in compiler",
            hint='compile the model with Huawei\'s atc (convert.compiler = "atc")',
        )
    if facts["emulated"] and not release.emulated:
        raise Refused(
            f"{where} is a stand-in and cannot run release {release.id}, which was compiled for hardware",
            hint="compile it with the stand-in compiler, or deploy to a real board",
        )
    if facts["closed_devices"]:
        raise Refused(
            f"{facts['user']} may not open {', '.join(facts['closed_devices'])} on {where}",
            hint=f"add {facts['user']} to the group HwHiAiUser and log in again",
        )
    for module, problem in facts["modules"].items():
        if problem:
            raise Refused(f"{where}: Python's {module} cannot be used: {problem}", hint=_module_hint(module, facts))
    soc = facts["soc_version"]
    if soc != release.soc_version:
        raise Refused(
            f"{where} has {soc or 'an unknown chip'}, release {release.id} is for {release.soc_version}",
            hint=f"compile with convert.soc_version={soc or 'the name that npu-smi info shows'}",
        )
    needed = sum(file.size for file in release.files.values()) + SPARE_BYTES
    if facts["free_bytes"] < needed:
        raise Refused(
            f"{where} has {facts['free_bytes'] // 2**20} MB free, {needed // 2**20} MB are needed",
            hint=f"remove old releases with `atlasflow boards prune {name}`",
        )


def findings(facts: Mapping[str, Any], settings: BoardSettings) -> list[str]:
    """What an operator should know of a board; empty when all is well."""
    found = [
        f"Python's {module} cannot be used: {problem} ({_module_hint(module, facts)})"
        for module, problem in facts["modules"].items()
        if problem
    ]
    password = settings.password.get_secret_value()
    if password in FACTORY_PASSWORDS:
        found.append(f"{settings.user} still has the factory password, which is published; change it (passwd)")
    elif password:
        found.append("the login uses a password; make a key and put its public half into ~/.ssh/authorized_keys")
    if facts["closed_devices"]:
        found.append(f"{facts['user']} may not open {', '.join(facts['closed_devices'])}; the group is HwHiAiUser")
    if not facts["soc_version"]:
        found.append("neither npu-smi nor acl tells which chip the board has")
    if facts["npu"] and not facts["emulated"] and " OK" not in facts["npu"]:
        found.append(f"npu-smi reports {facts['npu']} (some healthy boards report Alarm)")
    if facts["free_bytes"] < LITTLE_BYTES:
        found.append(f"only {facts['free_bytes'] // 2**20} MB are free")
    return found


async def install(session: Session, release: Release, progress: Bytes | None, lock_seconds: float) -> Installed:
    """The whole installation; see `infra.ports.Board.install`."""
    check_release(release)
    preflight(session.name, await session.ask("facts"), release)
    session.step("preflight")
    files = {name: {"sha256": file.sha256, "size": file.size} for name, file in release.files.items()}
    await lock(session, lock_seconds)
    plan = await session.ask("plan", release=release.id, files=files)
    session.step("plan")
    before = await session.ask("state")
    if not plan["missing"] and before["active"] == release.id:
        return Installed(False, 0, 0, await _last_smoke(session, release.id))
    await _copy(session, plan, release.files, progress)
    try:
        await session.ask("settle", release=release.id, files=files)
    except Corrupt as error:
        _blame(release.files, error)
        raise
    session.step("settled")
    smoke = await _smoke(session, release.id, before)
    session.step("switch")
    await session.ask("switch", release=release.id, smoke=smoke)
    session.step("switched")
    sent = [release.files[name].size for name in plan["missing"]]
    return Installed(True, len(sent), sum(sent), smoke)


async def lock(session: Session, seconds: float) -> None:
    """Become the one who changes this board, until the session ends."""
    owner = f"{getpass.getuser()} on {platform.node()}"
    await session.ask("lock", timeout=seconds + 30, seconds=seconds, owner=owner)
    session.step("lock")


async def _copy(
    session: Session, plan: Mapping[str, Any], files: Mapping[str, LocalFile], progress: Bytes | None
) -> None:
    for name in plan["missing"]:
        session.step("copy")
        if not files[name].path.is_file():
            raise UserError(f"there is no file {files[name].path}, which release file '{name}' comes from")
        await session.send(files[name].path, f"{plan['folder']}/{name}{plan['part']}", progress)
    session.step("copied")


async def _smoke(session: Session, release: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """Run the golden images on the board; a release that fails them does not stay in service."""
    session.step("smoke")
    try:
        result: dict[str, Any] = await session.ask(
            "agent",
            timeout=SMOKE_SECONDS + 30,
            release=release,
            arguments=["smoke", "--json"],
            seconds=SMOKE_SECONDS,
        )
    except (GateFailed, Refused, Corrupt, Transient) as error:
        back = "nothing was in service before"
        if before["active"] not in {None, release}:
            back = f"release {before['active']} stays in service"
        elif before["active"] == release and before["previous"] is not None:
            await session.ask("rollback", reason=error.message)
            back = f"release {before['previous']} is back in service"
        error.hint = f"{back}. {error.hint}".strip()
        raise
    return result


async def _last_smoke(session: Session, release: str) -> dict[str, Any]:
    """What the smoke test said when the release went into service."""
    for entry in reversed(await session.ask("journal")):
        if entry["event"] == "switch" and entry["release"] == release:
            smoke: dict[str, Any] = entry["smoke"]
            return smoke
    return {}


def _blame(files: Mapping[str, LocalFile], error: Corrupt) -> None:
    """Look whether our own copy is what was damaged, and say so."""
    for name, file in files.items():
        if f"'{name}'" in error.message and file_digest(file.path) != file.sha256:
            error.hint = f"{file.path} on this machine is not what its digest says; run `atlasflow verify --deep`"


def _module_hint(module: str, facts: Mapping[str, Any]) -> str:
    if module != "acl":
        return f"install it on the board for Python {facts['python']}"
    if facts["environment"]:
        return f"{facts['environment']} was sourced; is the toolkit installed for Python {facts['python']}?"
    return "no set_env.sh was found; name the toolkit's script in the board's `environment`"
