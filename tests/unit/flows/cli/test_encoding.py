import io

import pytest

from flows.cli.encoding import make_printable


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("ascii", "a → b · 3 × 4 …", "a -> b | 3 x 4 ..."),
        ("ascii", "红色", "\\u7ea2\\u8272"),
        ("latin-1", "größer →", "größer ->"),
        ("utf-8", "größer → 红", "größer → 红"),
        ("ascii", "\udc80", "\\udc80"),
    ],
)
def test_a_terminal_gets_what_it_can_show(encoding: str, text: str, shown: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    make_printable(stream, None)
    stream.write(text)
    stream.flush()
    assert raw.getvalue().decode(encoding) == shown
