"""The command line: flags to name and value, in the manner of the generation that the stand-in plays."""

import os
import re
from collections.abc import Sequence

from infra.atc.generations import DEFAULT, FLAGS, GENERATIONS, Generation, generation, has_flag

VARIABLE = "ATLASFLOW_STAND_IN_CANN"


class UnknownFlagError(Exception):
    """The command line has an unknown flag; the parser stops before ATC prints any code."""


def played() -> Generation:
    """The generation that the environment names; raises UserError for an unknown one."""
    return generation(os.environ.get(VARIABLE) or DEFAULT)


def parse(arguments: Sequence[str], cann: Generation = GENERATIONS[DEFAULT]) -> dict[str, str]:
    """Parse `--name=value` and `--name value` to name and value; the last one wins. `--help` and `-h` give `help`.

    Args:
        arguments: the command line.
        cann: the generation, whose flags these are.

    Raises:
        UnknownFlagError: anything else.
    """
    values: dict[str, str] = {}
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word in ("-h", "--help", "-help"):
            return {"help": "true"}
        match = re.fullmatch(r"--?([a-z_0-9]+)(?:=(.*))?", word, re.DOTALL)
        name = _known(match[1], cann) if match is not None else ""
        if match is None or not name:
            raise UnknownFlagError(f"ERROR: unknown command line flag '{match[1] if match else word}'{_since(match)}")
        if match[2] is None and not waiting:
            raise UnknownFlagError(f"ERROR: flag '--{name}' is missing its argument")
        values[name] = match[2] if match[2] is not None else waiting.pop(0)
    return values


def _known(name: str, cann: Generation) -> str:
    """The whole name of a flag, or nothing; getopt takes an unambiguous beginning of one."""
    if has_flag(cann.name, name):
        return name
    longer = [flag for flag in FLAGS if flag.startswith(name) and has_flag(cann.name, flag)]
    return longer[0] if cann.abbreviations and len(longer) == 1 else ""


def _since(match: re.Match[str] | None) -> str:
    """Which CANN has the flag, when another one has."""
    first = FLAGS.get(match[1], "") if match is not None else ""
    return f" (CANN {first} and later have it; the stand-in plays another)" if first else ""
