"""The errors that the stand-in answers with (docs/reference/modelarts.md §1.4)."""

from enum import StrEnum

from infra.modelarts.codes import CODES

_THROTTLED = 429


class ErrorCode(StrEnum):
    """The digits after `ModelArts.`."""

    INTERNAL = "0010"
    UNKNOWN_WORKSPACE = "0102"
    INVALID_PARAMETER = "0104"
    EXPIRED = "0202"
    NO_SIGNATURE = "0204"
    MALFORMED_SIGNATURE = "0205"
    WRONG_SIGNATURE = "0206"
    THROTTLED = "0429"
    OBS_FAILED = "1002"
    DUPLICATE_NAME = "2751"
    INVALID_CHANNEL = "2753"
    UNKNOWN_ALGORITHM = "2755"
    INVALID_CODE_DIR = "2757"
    INVALID_BOOT_FILE = "2758"
    INVALID_FLAVOR = "2763"
    INVALID_JOB_PARAMETER = "2765"
    REPEATED_PARAMETER = "2767"
    UNKNOWN_JOB = "2775"
    UNKNOWN_ENGINE = "2780"
    UNKNOWN_FLAVOR = "2781"
    NO_PERMISSION = "2784"
    WRONG_PROJECT = "2786"
    INVALID_JSON = "2787"
    INVALID_FIELD = "2788"
    INVALID_OBS_PATH = "2791"
    BOOT_FILE_OUTSIDE_CODE = "2792"
    TOO_MANY_NODES = "2793"
    METHOD_NOT_ALLOWED = "2803"
    IMAGE_WITHOUT_COMMAND = "2806"
    UNSUPPORTED_SEARCH_KEY = "2807"
    UNSUPPORTED_OPERATOR = "2808"
    INVALID_SEARCH_VALUE = "2809"

    @property
    def status(self) -> int:
        """The HTTP status; 429 for a throttled request, whose code the reference does not list."""
        return _THROTTLED if self is ErrorCode.THROTTLED else CODES[self].status


class ApiError(Exception):
    """An error response of the API."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
