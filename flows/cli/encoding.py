"""Output on terminals that know only some letters, such as those of ASCII. Light: every command imports it."""

import codecs
import io

_PLAIN = {"→": "->", "·": "|", "…": "...", "×": "x", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"'}
_NAME = "atlasflow"


def make_printable(*streams: object) -> None:
    """Let text streams replace what their encoding does not know, instead of raising an error."""
    codecs.register_error(_NAME, _replacement)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_NAME)


def _replacement(error: UnicodeError) -> tuple[str, int]:
    """A sign of ASCII for a sign of ours; any other letter becomes its escape, as in Python."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in text)
    return plain, error.end
