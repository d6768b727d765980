"""Files that only save work or tell of the past: a damaged one is set aside, and work goes on without it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def read_json(path: Path, reader: Callable[[Any], T]) -> T | None:
    """Read such a file; None when there is none, or when it is damaged.

    A damaged file is renamed to `NAME.damaged`, with a warning; where that is impossible, it stays.

    Args:
        path: of the file.
        reader: makes a value of its JSON, and raises ValueError, KeyError, TypeError or AttributeError for a wrong one.
    """
    try:
        return reader(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        aside = path.with_name(f"{path.name}.damaged")
        try:
            path.replace(aside)
            kept = f"it is {aside.name} now"
        except OSError as problem:  # a home that cannot be written
            kept = f"it stays where it is ({problem.strerror})"
        sys.stderr.write(f"warning: {path} is damaged ({type(error).__name__}) and not used; {kept}\n")
        return None
