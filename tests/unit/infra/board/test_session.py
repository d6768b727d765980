import asyncio
import gc

import asyncssh
import pytest

from infra.board.session import ignore_lost_connections


async def abandon_request(error: Exception) -> None:
    """Abandon a failed request, as asyncssh does with the others when one of several fails."""

    async def request() -> None:
        raise error

    asyncio.get_running_loop().set_exception_handler(ignore_lost_connections)
    left = asyncio.ensure_future(request())
    await asyncio.wait([left])
    del left
    gc.collect()


@pytest.mark.parametrize(
    "error", [asyncssh.ConnectionLost("gone"), ConnectionResetError(), asyncssh.SFTPConnectionLost("")]
)
def test_abandoned_requests_of_a_lost_connection_are_not_logged(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    asyncio.run(abandon_request(error))
    assert not caplog.records


def test_other_abandoned_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(abandon_request(ValueError("a bug")))
    assert "a bug" in caplog.text
