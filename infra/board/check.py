"""Try everything that a deployment rests on, in order: network, host key, login, and what the board then says."""

import asyncio

from infra.board.connection import HostKeyRefused, LoginRefused, fingerprint, pinned_key
from infra.board.preflight import Check, checks
from infra.board.session import Session
from infra.errors import AtlasFlowError, UserError
from infra.ports.board import Release

CONNECT_SECONDS = 10.0


async def examine(session: Session, release: Release | None) -> list[Check]:
    """All steps, up to the first one without which the next cannot be tried."""
    settings = session.settings
    where = f"{settings.address}:{settings.port}"
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(settings.address, settings.port), CONNECT_SECONDS)
        writer.close()
    except OSError as error:
        reason = "it does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        return [Check("reachable", "wrong", f"{where}: {reason}", "is the board up and in the same network?")]
    found = [Check("reachable", "good", where)]
    try:
        async with session:
            facts = await session.ask("facts")
    except HostKeyRefused as error:
        return [*found, Check("host key", "wrong", error.message, error.hint)]
    except UserError as error:
        return [*found, Check("entry", "wrong", error.message, error.hint)]
    except AtlasFlowError as error:
        found.append(_host_key(session))
        step = "login" if isinstance(error, LoginRefused) else "Python"
        return [*found, Check(step, "wrong", error.message, error.hint)]
    return [*found, _host_key(session), *checks(facts, settings, release)]


def _host_key(session: Session) -> Check:
    key = pinned_key(session.name, session.settings)
    return Check("host key", "good", f"{fingerprint(key)}, as pinned" if key is not None else "")
