"""Try everything that a deployment needs, in order: network, host key, login, and the board's facts."""

import asyncio

from infra.board.connection import HostKeyRefused, LoginRefused, fingerprint, pinned_key
from infra.board.preflight import examine_facts
from infra.board.session import Session
from infra.errors import AtlasFlowError, UserError
from infra.ports.release import Release
from infra.ports.upkeep import BoardCheck, Finding, Level, Step

CONNECT_SECONDS = 10.0


async def examine(session: Session, release: Release | None) -> BoardCheck:
    """Try all steps, up to the first one without which the next cannot be tried."""
    settings = session.settings
    where = f"{settings.address}:{settings.port}"
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(settings.address, settings.port), CONNECT_SECONDS)
        writer.close()
    except OSError as error:
        reason = "it does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        hint = "is the board up and in the same network?"
        return BoardCheck((Finding(Step.REACHABLE, Level.WRONG, f"{where}: {reason}", hint),))
    reachable = Finding(Step.REACHABLE, Level.GOOD, where)
    try:
        async with session:
            facts = await session.facts()
            files = await _files(session)
    except HostKeyRefused as error:
        return BoardCheck((reachable, _failed(Step.HOST_KEY, error)))
    except UserError as error:
        return BoardCheck((reachable, _failed(Step.ENTRY, error)))
    except AtlasFlowError as error:
        step = Step.LOGIN if isinstance(error, LoginRefused) else Step.PYTHON
        return BoardCheck((reachable, _host_key(session), _failed(step, error)))
    return BoardCheck((reachable, _host_key(session), *examine_facts(facts, settings, release), files), facts.board)


async def _files(session: Session) -> Finding:
    try:
        await session.try_files()
    except AtlasFlowError as error:
        return _failed(Step.FILES, error)
    return Finding(Step.FILES, Level.GOOD, f"a probe was written to {session.settings.folder} by SFTP")


def _failed(step: Step, error: AtlasFlowError) -> Finding:
    return Finding(step, Level.WRONG, error.message, error.hint)


def _host_key(session: Session) -> Finding:
    key = pinned_key(session.name, session.settings)
    return Finding(Step.HOST_KEY, Level.GOOD, f"{fingerprint(key)}, as pinned" if key is not None else "")
