"""A check of weights from outside, before a training gets them; apart from the training, so that no key holds it."""

from pathlib import Path

from infra.errors import Corrupt, UserError

# What MindSpore reads; the format has more, such as F8_E4M3.
_KINDS = {"BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64", "F16", "BF16", "F32", "F64"}


def check_weights(path: Path) -> None:
    """Check the header of a `.safetensors` file; other files are checked by who reads them.

    Raises:
        Corrupt: its header is damaged, or does not fit its bytes.
        UserError: a parameter has a type that MindSpore does not have.
    """
    if path.suffix.lower() != ".safetensors":
        return
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - only for who names such a file

    try:
        with safe_open(path, framework="numpy") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        hint = "create or fetch it again"
        raise Corrupt(f"{path} cannot be read as a safetensors file: {error}", hint=hint) from error
    others = [name for name, kind in kinds.items() if kind not in _KINDS]
    if others:
        hint = "save it as F32, F16 or BF16"
        raise UserError(f"{path}: parameter {others[0][:80]!a} has the type {kinds[others[0]]}", hint=hint)
