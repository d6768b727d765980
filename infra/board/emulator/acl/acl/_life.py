"""The life of a program: initialise, finalise, who and what is here (docs/reference/pyacl.md §4.1)."""

import json
import sys
from pathlib import Path

from . import _codes
from ._shapes import AclError, code, recent_message, value_and_code
from ._streams import close_all
from ._world import WORLD, soc_version

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@code
def init(config_path: str = "") -> None:
    """Initialise; the optional configuration is a JSON file."""
    if WORLD.initialised:
        raise AclError(_codes.REPEAT_INITIALIZE, "acl.init was called before")
    if config_path:
        path = Path(config_path)
        if not path.is_file():
            raise AclError(_codes.INVALID_FILE, f"{path} is not a file")
        try:
            json.loads(path.read_bytes() or b"{}")
        except ValueError as error:
            raise AclError(_codes.PARSE_FILE, f"{path} is not valid JSON: {error}") from None
    WORLD.initialised, WORLD.finalised = True, False


@code
def finalize() -> None:
    """Finalise."""
    if not WORLD.initialised:
        wrong = _codes.REPEAT_FINALIZE if WORLD.finalised else _codes.UNINITIALIZE
        raise AclError(wrong, "acl is not initialised")
    close_all()
    WORLD.initialised, WORLD.finalised = False, True


def get_soc_name() -> str:
    """The chip's name, such as Ascend310."""
    return soc_version()


@value_and_code(0, 0, 0)
def get_version() -> tuple[int, int, int]:
    """The version of the interface: major, minor, patch."""
    return 1, 1, 0


def app_log(level: int, text: str) -> None:
    """Write to the log, which is standard error here."""
    name = _LEVELS[level] if 0 <= level < len(_LEVELS) else "INFO"
    sys.stderr.write(f"[{name}] {text}\n")


def get_recent_err_msg() -> str:
    """The message of the last error in this thread."""
    return recent_message()
