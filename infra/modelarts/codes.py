"""ModelArts' error codes (docs/reference/modelarts.md §1.4), for the client and the stand-in alike."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.errors import AtlasFlowError, Refused, Transient, UserError

STAND_IN_HEADER = "X-AtlasFlow-Stand-In"
"""A header in every response of the stand-in, which tells it from the real platform."""


@dataclass(frozen=True)
class Code:
    """The meaning of one error code: its HTTP status, our error class, and what to do."""

    status: int
    error_class: type[AtlasFlowError]
    hint: str


class DuplicateName(Refused):
    """A job has this name already."""


class JobMissing(Refused):
    """There is no such job; the platform reports it with HTTP 400 (docs/reference/pitfalls.md §8.24)."""


class Unauthorised(Refused):
    """The keys are wrong, or temporary ones have expired."""


class UnknownEngine(UserError):
    """The region has no such engine."""


class UnknownFlavor(UserError):
    """The region has no such flavor."""


_SETTING = "check the settings under [modelarts]"
_UPLOAD = "run the upload stage again; `doctor` checks the bucket"
_KEYS = "check modelarts.access_key and modelarts.secret_key (empty: those of [obs])"
_RIGHTS = "give the account ModelArts and OBS rights, and ModelArts its agency, in the console"
_LATER = "run it again later"

_ROWS: tuple[tuple[tuple[str, ...], int, type[AtlasFlowError], str], ...] = (
    (("0101", "0104", "0107", "2787", "2788"), 400, UserError, _SETTING),
    (("0102",), 400, UserError, "check modelarts.workspace; 0 is the default workspace"),
    (("0118",), 400, Refused, "stop or delete other jobs, or ask for a larger quota in the console"),
    # OBS failed a request of ModelArts before anything was paid: it often passes. A missing right is 1003.
    (("1002",), 400, Transient, _LATER),
    (("1003",), 400, Refused, _RIGHTS),
    (("2751",), 400, DuplicateName, "a job has this name already"),
    (("2753", "2791"), 400, UserError, "inputs and outputs must be folders in OBS; run the upload stage"),
    (("2755",), 400, UserError, _SETTING),
    (("2757", "2758", "2792", "2802"), 400, UserError, _UPLOAD),
    (("2759", "2760", "2761"), 400, UserError, "the code folder is too large for a job; keep data out of models/"),
    (("2763", "2781"), 400, UnknownFlavor, "check modelarts.flavor"),
    (("2793",), 400, UserError, "this flavor does not allow so many nodes: lower modelarts.node_count"),
    (("2765", "2766", "2767", "2768", "2769", "2770"), 400, UserError, _SETTING),
    (("2775",), 400, JobMissing, "the job was deleted; run again to start a new one"),
    (("2776", "2777"), 204, Transient, "it appears while the job runs"),
    (("2780",), 400, UnknownEngine, "check modelarts.engine"),
    (("2806",), 400, UserError, "a custom image needs both a command and an address"),
    (("2807", "2808", "2809"), 400, UserError, "this search is not supported"),
    (("4907",), 400, Transient, _LATER),
    # The documents name no cause that passes by itself, and every attempt is paid for.
    (("4909",), 400, Refused, f"the message above names the cause; if it is about OBS: {_RIGHTS}"),
    (("4992",), 400, Transient, "this flavor is sold out at the moment: wait, or use another modelarts.flavor"),
    (("0201", "0203", "0204", "0205", "0207", "0212"), 401, Unauthorised, _KEYS),
    (("0202",), 401, Unauthorised, "temporary keys have expired: get new ones; or this machine's clock is wrong"),
    (("0108", "0112"), 403, Refused, _KEYS),
    (("0206",), 403, Unauthorised, _KEYS),
    (("0210",), 403, Refused, "check modelarts.project_id: the keys belong to another project"),
    (("2784", "2785"), 403, Refused, _RIGHTS),
    (("2786",), 404, Refused, "check modelarts.project_id: the keys belong to another project"),
    (("2803",), 405, AtlasFlowError, ""),
    (("0010",), 500, Transient, _LATER),
)

CODES: Mapping[str, Code] = {
    code: Code(status, error_class, hint) for codes, status, error_class, hint in _ROWS for code in codes
}
"""By the four digits after `ModelArts.`."""


def meaning(code: str, status: int) -> Code:
    """Look up an error code; an unknown code, or one of another service, is classified by its HTTP status.

    Args:
        code: as received, such as `ModelArts.2751` or `APIG.0101`.
        status: HTTP status.
    """
    family, _, digits = code.partition(".")
    if family == "ModelArts" and digits in CODES:
        return CODES[digits]
    if status == 401:
        return Code(status, Unauthorised, f"{_KEYS}; {_RIGHTS}")
    if status == 403:
        return Code(status, Refused, f"{_KEYS}; {_RIGHTS}")
    if status in (408, 425, 429) or status >= 500:
        return Code(status, Transient, _LATER)
    return Code(status, Refused, "")
