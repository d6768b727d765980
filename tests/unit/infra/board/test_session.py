import asyncio
import gc

import asyncssh
import pytest

from infra.board.session import pass_over_lost_connections


async def forgets_a_request(error):
    """Leave a request behind that failed, as asyncssh does with the others when one of several fails."""

    async def request():
        raise error

    asyncio.get_running_loop().set_exception_handler(pass_over_lost_connections)
    left = asyncio.ensure_future(request())
    await asyncio.wait([left])
    del left
    gc.collect()


@pytest.mark.parametrize(
    "error", [asyncssh.ConnectionLost("gone"), ConnectionResetError(), asyncssh.SFTPConnectionLost("")]
)
def test_a_lost_connection_is_told_once_and_not_by_every_request_on_its_way(caplog, error):
    asyncio.run(forgets_a_request(error))
    assert not caplog.records


def test_any_other_forgotten_error_is_told(caplog):
    asyncio.run(forgets_a_request(ValueError("a bug")))
    assert "a bug" in caplog.text
