import itertools
from itertools import pairwise

import pytest

from infra.errors import UserError
from tasks.fleet.waves import cut_waves, share

FLEET = tuple(f"board-{number:05}" for number in range(10_000))


def test_waves_cover_every_board_once() -> None:
    assert cut_waves(FLEET[:10], ["1", "25%", "25%", "99"]) == (FLEET[:1], FLEET[1:3], FLEET[3:10])
    assert cut_waves(FLEET[:1], ["1", "50%"]) == (FLEET[:1],)
    assert cut_waves(FLEET[:5], []) == (FLEET[:5],)
    assert tuple(itertools.chain(*cut_waves(FLEET, ["0.01%", "33.3%"]))) == FLEET


@pytest.mark.parametrize("size", ["", "x", "0", "-1", "1.5", "0%", "101%", "10%x", "nan%", "inf"])
def test_a_wrong_size_is_refused(size: str) -> None:
    with pytest.raises(UserError, match="not the size of a wave"):
        cut_waves(FLEET, [size])


def test_no_board_is_an_error() -> None:
    with pytest.raises(UserError, match="no board is selected"):
        cut_waves([], ["1"])


def test_shares_grow_by_adding() -> None:
    shares = [share(FLEET, percent) for percent in (0.01, 1, 10, 50, 100)]
    assert [len(found) for found in shares] == [1, 100, 1000, 5000, 10_000]
    for smaller, larger in pairwise(shares):
        assert set(smaller) < set(larger)
    assert shares[1] == tuple(sorted(shares[1]))
    assert not set(shares[1]) <= set(FLEET[:5000])  # spread over the fleet
