"""Errors on a board, and texts and remedies for the codes of AscendCL.

Source: docs/reference/pyacl.md §4.2.
"""

from typing import Dict, Sequence, Tuple

USER, GATE, REFUSED, TRANSIENT, CORRUPT = 2, 3, 4, 5, 6  # exit codes, as those of the `atlasflow` command

_SOURCE = "source the toolkit's set_env.sh in the same command: a non-interactive shell does not read .bashrc"

CODES: Dict[int, Tuple[int, str, str]] = {
    100000: (REFUSED, "a parameter is invalid", ""),
    100001: (REFUSED, "AscendCL is not initialised", ""),
    100002: (REFUSED, "AscendCL is initialised already", ""),
    100003: (REFUSED, "a file is invalid", ""),
    100039: (REFUSED, "the program runs against stub libraries", "take the stub folder out of LD_LIBRARY_PATH"),
    107001: (REFUSED, "there is no such device", "look at `npu-smi info`"),
    107002: (REFUSED, "the thread has no context", ""),
    107019: (TRANSIENT, "waiting took too long", "try again"),
    107020: (TRANSIENT, "the task took too long", "try again"),
    145002: (CORRUPT, "the model file is missing or empty", "deploy the release again"),
    145003: (REFUSED, "no such model is loaded", ""),
    145006: (CORRUPT, "the model file is damaged", "deploy the release again"),
    145009: (TRANSIENT, "the model is being loaded already", "try again"),
    145013: (REFUSED, "the model was not compiled for this batch size", "compile it with --dynamic_batch_size"),
    148049: (REFUSED, "ASCEND_OPP_PATH is wrong", _SOURCE),
    207000: (REFUSED, "the chip cannot do this", ""),
    207001: (TRANSIENT, "the device has no memory left", "end other programs that use it (`npu-smi info` lists them)"),
    207004: (REFUSED, "there is no device", "look at `npu-smi info`"),
    207005: (TRANSIENT, "the device has no resources left", "end other programs that use it"),
    207006: (REFUSED, "the user may not use the device", "add the user to the group HwHiAiUser and log in again"),
    207018: (TRANSIENT, "the device is out of memory", "end other programs that use it"),
    500002: (REFUSED, "the graph engine failed", "look into the board's log under ~/ascend/log"),
    500003: (REFUSED, "the runtime failed", "look into the board's log under ~/ascend/log"),
    507008: (REFUSED, "the model was compiled for another chip", "compile it with the board's own --soc_version"),
    507010: (TRANSIENT, "the device's heartbeat was lost", "restart the board if it stays so"),
    507011: (REFUSED, "the model's execution failed", "look into the board's log under ~/ascend/log"),
    507014: (TRANSIENT, "the AI core took too long", "try again"),
    507015: (TRANSIENT, "the AI core had an exception", "try again; restart the board if it stays so"),
    507033: (TRANSIENT, "the device could not be set up", "restart the board if it stays so"),
    507046: (TRANSIENT, "the stream took too long", "try again"),
    507899: (TRANSIENT, "the driver had an error", "restart the board if it stays so"),
    507901: (TRANSIENT, "the connection to the device was lost", "restart the board if it stays so"),
}

# Ranges, for codes that are not listed: model loading, the rest of the runtime.
RANGES = (
    (107000, 107999, REFUSED, "the runtime refused a parameter"),
    (145000, 145999, REFUSED, "the graph engine refused the model or its data"),
    (207000, 207999, TRANSIENT, "the device lacks a resource"),
    (507000, 507999, TRANSIENT, "the device failed"),
    (545000, 545999, CORRUPT, "the model cannot be loaded"),
)


class Failure(Exception):
    """An error that ends the command.

    Args:
        exit_code: of the program.
        message: what happened.
        hint: what to do next.
        code: AscendCL's code; 0 for another error.
        files: the damaged files of a release.
    """

    def __init__(self, exit_code: int, message: str, hint: str = "", code: int = 0, files: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message
        self.hint = hint
        self.code = code
        self.files = list(files)


def explain(function: str, code: int, detail: str = "") -> Failure:
    """Turn a return code into a failure.

    Args:
        function: the AscendCL function that returned it.
        code: not 0.
        detail: AscendCL's own message; may be empty.
    """
    exit_code, meaning, hint = REFUSED, "unknown error", "look the code up in the CANN documentation"
    for first, last, kind, text in RANGES:
        if first <= code <= last:
            exit_code, meaning, hint = kind, text, "look into the board's log under ~/ascend/log"
    exit_code, meaning, hint = CODES.get(code, (exit_code, meaning, hint))
    message = f"{function} answered {code}: {meaning}"
    return Failure(exit_code, f"{message} ({detail})" if detail else message, hint, code)
