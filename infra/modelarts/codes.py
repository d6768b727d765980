"""ModelArts' error codes and job phases, for the client and the stand-in alike.

Source: docs/reference/modelarts.md §1.3 and §1.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.errors import AtlasFlowError, Refused, Transient, UserError

FINAL_PHASES = frozenset({"Completed", "Failed", "Terminated", "Abnormal"})
"""A job in one of these does not change any more (of Abnormal that is unconfirmed: `modelarts.abnormal_is_final`)."""


@dataclass(frozen=True)
class Code:
    """What one error code means: its HTTP status, the class of our error, and what to do."""

    status: int
    kind: type[AtlasFlowError]
    hint: str


_SETTING = "look at the settings under [modelarts]"
_UPLOAD = "run the upload stage again; `doctor` checks the bucket"
_KEYS = "check modelarts.access_key and modelarts.secret_key (empty: those of [obs])"
_RIGHTS = "give the account ModelArts and OBS rights, and ModelArts its agency, in the console"
_LATER = "run it again later"

_ROWS: tuple[tuple[tuple[str, ...], int, type[AtlasFlowError], str], ...] = (
    (("0101", "0104", "0107", "2787", "2788"), 400, UserError, _SETTING),
    (("0102",), 400, UserError, "check modelarts.workspace; 0 is the default workspace"),
    (("0118",), 400, Refused, "stop or delete other jobs, or ask for a larger quota in the console"),
    # OBS did not do what ModelArts asked of it, before anything is paid: it often passes. No right is 1003.
    (("1002",), 400, Transient, _LATER),
    (("1003",), 400, Refused, _RIGHTS),
    (("2751",), 400, Refused, "a job has this name already"),
    (("2753", "2791"), 400, UserError, "inputs and outputs must be folders in OBS; run the upload stage"),
    (("2755",), 400, UserError, _SETTING),
    (("2757", "2758", "2792", "2802"), 400, UserError, _UPLOAD),
    (("2759", "2760", "2761"), 400, UserError, "the code folder is too large for a job; keep data out of models/"),
    (("2763", "2781"), 400, UserError, "check modelarts.flavor"),
    (("2793",), 400, UserError, "this flavor does not take so many nodes: lower modelarts.node_count"),
    (("2765", "2766", "2767", "2768", "2769", "2770"), 400, UserError, _SETTING),
    (("2775",), 400, Refused, "the job was deleted; run again to start a new one"),
    (("2776", "2777"), 204, Transient, "it appears while the job runs"),
    (("2780",), 400, UserError, "check modelarts.engine"),
    (("2806",), 400, UserError, "an image of one's own needs both a command and an address"),
    (("2807", "2808", "2809"), 400, UserError, "this search is not supported"),
    (("4907",), 400, Transient, _LATER),
    # The documents give no cause that would pass by itself, and every attempt is paid for.
    (("4909",), 400, Refused, f"the words above say why; if they are about OBS: {_RIGHTS}"),
    (("4992",), 400, Transient, "this flavor is sold out at the moment: wait, or take another modelarts.flavor"),
    (("0201", "0203", "0204", "0205", "0207", "0212"), 401, Refused, _KEYS),
    (("0202",), 401, Refused, "temporary keys have expired: get new ones; or this machine's clock is wrong"),
    (("0108", "0112", "0206"), 403, Refused, _KEYS),
    (("0210",), 403, Refused, "check modelarts.project_id: the keys belong to another project"),
    (("2784", "2785"), 403, Refused, _RIGHTS),
    (("2786",), 404, Refused, "check modelarts.project_id: the keys belong to another project"),
    (("2803",), 405, AtlasFlowError, ""),
    (("0010",), 500, Transient, _LATER),
)

CODES = {code: Code(status, kind, hint) for codes, status, kind, hint in _ROWS for code in codes}
"""By the four digits after `ModelArts.`."""


def digits(code: str) -> str:
    """The four digits of a ModelArts code; empty for a code of another service, such as the API gateway's."""
    family, _, number = code.partition(".")
    return number if family == "ModelArts" else ""


def meaning(code: str, status: int) -> Code:
    """What an answer means; a code that the table lacks is judged by its HTTP status.

    Args:
        code: as it came, such as `ModelArts.2751`.
        status: HTTP status.
    """
    known = CODES.get(digits(code))
    if known is not None:
        return known
    if status in (401, 403):
        return Code(status, Refused, f"{_KEYS}; {_RIGHTS}")
    if status in (408, 425, 429) or status >= 500:
        return Code(status, Transient, _LATER)
    return Code(status, Refused, "")


class DuplicateName(Refused):
    """A job has this name already."""


class JobMissing(Refused):
    """There is no such job; the platform says so with HTTP 400 (docs/reference/pitfalls.md §8.24)."""


class UnknownEngine(UserError):
    """The region has no such engine."""


class UnknownFlavor(UserError):
    """The region has no such flavor."""


CLASSES: Mapping[str, type[AtlasFlowError]] = {
    "2751": DuplicateName,
    "2763": UnknownFlavor,
    "2775": JobMissing,
    "2780": UnknownEngine,
    "2781": UnknownFlavor,
}
"""Codes that callers tell apart; each is a subclass of what `CODES` says."""


class ApiError(Exception):
    """A no of the stand-in's API.

    Args:
        code: four digits (docs/reference/modelarts.md §1.4).
        message: what is wrong.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = f"ModelArts.{code}"
        self.status = CODES[code].status
