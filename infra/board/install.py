"""Install a release over a session: look first, copy what is missing, verify, test, switch."""

import asyncio
import getpass
import platform
from collections.abc import Mapping
from typing import Any

from infra.board.preflight import refuse
from infra.board.release_folder import IDENTIFIER
from infra.board.session import Session
from infra.errors import AtlasFlowError, Corrupt, GateFailed, Refused, Transient, UserError
from infra.ports.board import Installed, Release
from infra.ports.values import Bytes, LocalFile
from infra.store.digests import file_digest

LOCK_SECONDS = 120.0
FILES_AT_ONCE = 8
SMOKE_SECONDS = 300.0


def check_release(release: Release) -> None:
    """Refuse a release that could not be installed anywhere.

    Raises:
        UserError: a bad id, an unsafe path, or no agent or model in it.
    """
    if not IDENTIFIER.fullmatch(release.id):
        raise UserError(f"'{release.id}' cannot name a release", hint="use letters, digits and -")
    for name in release.files:
        if name == "manifest.json" or any(part in {"", ".", ".."} for part in name.split("/")) or "\\" in name:
            raise UserError(f"'{name}' cannot be a file of a release")
    missing = {"agent/main.py", "model.om", "release.json"} - set(release.files)
    if missing:
        raise UserError(f"release {release.id} lacks {', '.join(sorted(missing))}")


async def install(session: Session, release: Release, progress: Bytes | None, lock_seconds: float) -> Installed:
    """The whole installation; see `infra.ports.Board.install`."""
    check_release(release)
    refuse(session.name, await session.ask("facts"), session.settings, release)
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
    at_once = asyncio.Semaphore(FILES_AT_ONCE)  # many are small, and each costs three round trips

    async def send(name: str) -> None:
        async with at_once:
            session.step("copy")
            if not files[name].path.is_file():
                raise UserError(f"there is no file {files[name].path}, which release file '{name}' comes from")
            await session.send(files[name].path, f"{plan['folder']}/{name}{plan['part']}", progress)

    try:
        async with asyncio.TaskGroup() as group:
            for name in plan["missing"]:
                group.create_task(send(name))
    except* AtlasFlowError as errors:
        raise errors.exceptions[0] from None
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
