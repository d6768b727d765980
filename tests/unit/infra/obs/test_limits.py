from collections.abc import Iterator

import pytest

from infra.obs.limits import LEAST_RATE, LEAST_SECONDS, LimitedBody, SlowAnswer


class Trickle:
    """A body that gives one byte in `pause` seconds."""

    decode_content = False

    def __init__(self, data: bytes, pause: float) -> None:
        self.data = data
        self.pause = pause
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def read1(self, amt: int | None = None) -> bytes:
        self.now += self.pause
        byte, self.data = self.data[:1], self.data[1:]
        return byte


def test_a_body_is_read_as_usual_in_time() -> None:
    trickle = Trickle(b"abcdefgh", 0.01)
    body = LimitedBody(trickle, 8, trickle.clock)
    assert body.read(3) == b"abc"
    assert list(body.stream(2)) == [b"de", b"fg", b"h"]
    assert body.read() == b""
    assert body.pause == 0.01


@pytest.mark.parametrize("length", [0, 10 * LEAST_RATE])
def test_a_trickle_ends_at_the_limit(length: int) -> None:
    trickle = Trickle(b"x" * 10_000, 1.0)
    body = LimitedBody(trickle, length, trickle.clock)

    def read() -> Iterator[bytes]:
        yield from iter(lambda: body.read(100), b"")

    with pytest.raises(SlowAnswer, match="longer than"):
        list(read())
    assert trickle.now == pytest.approx(LEAST_SECONDS + length / LEAST_RATE, abs=1.5)
