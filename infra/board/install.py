"""Install a release over a session: preflight, copy what is missing, verify, smoke test, switch."""

import asyncio
import base64
import getpass
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.board import answers
from infra.board.bench import device_words
from infra.board.preflight import refuse
from infra.board.program import start_program
from infra.board.release_folder import IDENTIFIER
from infra.board.session import Session
from infra.errors import AtlasFlowError, Corrupt, GateFailed, Refused, Transient, UserError
from infra.names import check_name
from infra.ports.board import BoardState, Installed, SmokeResult
from infra.ports.release import Release
from infra.ports.upkeep import RollbackCause
from infra.ports.values import LocalFile, OnBytes
from infra.store.digests import file_digest
from infra.trust.verify import manifest_of

LOCK_SECONDS = 120.0
FILES_AT_ONCE = 8
SMOKE_SECONDS = 300.0


@dataclass(frozen=True)
class CopyPlan:
    """The board's answer to `plan`.

    Attributes:
        folder: for the release.
        missing: the files to send.
        part: suffix of a partial file.
        active: True when the release is complete, signed like this, and in service.
    """

    folder: str
    missing: tuple[str, ...]
    part: str
    active: bool


def check_release(release: Release) -> None:
    """Check that a release can be installed at all.

    Raises:
        UserError: a bad id, an unsafe path, or no agent or model in it.
    """
    if not IDENTIFIER.fullmatch(release.id):
        raise UserError(f"'{release.id}' cannot name a release", hint="use letters, digits and -")
    for name in release.files:
        check_name(name, f"release {release.id}", UserError)
        if name == "manifest.json":
            raise UserError(f"'{name}' cannot be a file of a release")
    missing = {"agent/main.py", "model.om", "release.json"} - set(release.files)
    if missing:
        raise UserError(f"release {release.id} lacks {', '.join(sorted(missing))}")


async def install(
    session: Session,
    release: Release,
    progress: OnBytes | None,
    lock_seconds: float,
    *,
    downgrade: bool = False,
    devices: str = "0",
) -> Installed:
    """Do the whole installation; see `infra.ports.board.Board.install`."""
    check_release(release)
    manifest_of(release)
    refuse(session.name, await session.facts(), session.settings, release)
    session.step("preflight")
    await lock(session, lock_seconds)
    await session.ask("equip", answers.nothing, program=base64.b64encode(start_program()).decode())
    plan = await session.ask(
        "plan", lambda answer: _plan(answer, release), manifest=release.manifest.decode(), downgrade=downgrade
    )
    session.step("plan")
    before = await session.ask("state", answers.state)
    if plan.active:
        return Installed(False, 0, 0, await session.ask("last_smoke", _optional_smoke, release=release.id))
    await _copy(session, plan, release.files, progress)
    try:
        await session.ask("settle", answers.nothing)
    except Corrupt as error:
        _check_own_copy(release.files, error)
        raise
    session.step("settled")
    smoke = await _smoke(session, release.id, before, devices)
    session.step("switch")
    await session.ask("switch", answers.nothing, smoke=smoke.to_json())
    session.step("switched")
    sent = [release.files[name].size for name in plan.missing]
    return Installed(True, len(sent), sum(sent), smoke)


async def lock(session: Session, seconds: float) -> None:
    """Take the board's lock until the session ends."""
    owner = f"{getpass.getuser()} on {platform.node()}"
    await session.ask("lock", answers.nothing, timeout=seconds + 30, seconds=seconds, owner=owner)
    session.step("lock")


async def rollback(session: Session, reason: str, cause: RollbackCause) -> BoardState:
    """Activate the previous release; the session holds the lock."""
    return await session.ask("rollback", answers.state, reason=reason, cause=cause.value)


def _plan(answer: Any, release: Release) -> CopyPlan:
    missing = tuple(answers.text(name) for name in answers.items(answer["missing"]))
    if not set(missing) <= release.files.keys() or len(set(missing)) != len(missing):
        raise ValueError("it asks for files that the release does not have")
    return CopyPlan(
        answers.text(answer["folder"]),
        missing,
        answers.text(answer["part"], answers.MAX_WORD),
        answer["active"] is True,
    )


async def _copy(session: Session, plan: CopyPlan, files: Mapping[str, LocalFile], progress: OnBytes | None) -> None:
    at_once = asyncio.Semaphore(FILES_AT_ONCE)  # many are small, and each costs three round trips

    async def send(name: str) -> None:
        async with at_once:
            session.step("copy")
            if not files[name].path.is_file():
                raise UserError(f"there is no file {files[name].path}, the source of release file '{name}'")
            await session.files.send(files[name].path, f"{plan.folder}/{name}{plan.part}", progress)

    try:
        async with asyncio.TaskGroup() as group:
            for name in plan.missing:
                group.create_task(send(name))
    except* AtlasFlowError as errors:
        raise errors.exceptions[0] from None
    session.step("copied")


async def _smoke(session: Session, release: str, before: BoardState, devices: str) -> SmokeResult:
    """Run the golden images on the board; a release that fails is not active afterwards."""
    session.step("smoke")
    try:
        return await session.ask(
            "agent",
            answers.smoke,
            timeout=SMOKE_SECONDS + 30,
            release=release,
            arguments=["smoke", "--json", *device_words(devices)],
            seconds=SMOKE_SECONDS,
        )
    except (GateFailed, Refused, Corrupt, Transient) as error:
        outcome = "nothing was in service before"
        if before.active is not None:
            outcome = f"release {before.active} stays in service"
        error.hint = f"{outcome}. {error.hint}".strip()
        raise


def _optional_smoke(answer: Any) -> SmokeResult | None:
    return None if answer is None else answers.smoke(answer)


def _check_own_copy(files: Mapping[str, LocalFile], error: Corrupt) -> None:
    """Find out whether a damaged file is damaged on this machine, and say so in the hint."""
    for file in (files[name] for name in error.files if name in files):
        if file_digest(file.path) != file.sha256:
            error.hint = f"{file.path} on this machine is not what its digest says; run `atlasflow verify --deep`"
