"""Say once what was translated."""

import sys

_said: set[str] = set()


def say(text: str) -> None:
    """Print a line to standard error, once in a process."""
    if text not in _said:
        _said.add(text)
        print(f"MindSpore 1.x: {text}", file=sys.stderr, flush=True)
