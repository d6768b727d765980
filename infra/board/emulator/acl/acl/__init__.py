"""The stand-in for Huawei's pyACL: the names of the binding, each with its exact arguments and return shape.

Models run in ONNX Runtime on the CPU, and `EMULATED` is True. Handles are plain integers, memory is real and
addressable, every handle and address is checked, and errors give Huawei's code (docs/reference/pyacl.md §4.2) and a
message for `get_recent_err_msg`. What is not emulated returns 200001 (`_surface`).
"""

import importlib
import sys
from typing import Any

from . import _binding, _binding_media, _configs, _descriptions, _life, _singleop, _tensors, _waits, mdl, prof, rt, util
from ._surface import Surface, keep

EMULATED = True


class _Media(Surface):
    """`acl.media`, whose implementations need Pillow, so that they are imported on first use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in _binding_media.MEDIA_NAMES:
            raise AttributeError(f"module 'acl.media' has no attribute '{name}'")
        parts = [
            importlib.import_module(f".{part}", __name__) for part in ("_pictures", "_jpeg", "_regions", "_batches")
        ]
        self.fill(_binding_media.MEDIA, *parts)
        keep(__name__)
        return self.__dict__[name]

    def __dir__(self) -> list[str]:
        return sorted(_binding_media.MEDIA_NAMES)


_package = Surface("acl", _binding.ACL, _life, _tensors)
_package.__dict__.update(
    {name: value for name, value in globals().items() if name.startswith("__") and name != "__builtins__"}
)
for _name, _surface in {
    "rt": Surface("acl.rt", _binding.RT, rt, _waits),
    "mdl": Surface("acl.mdl", _binding.MDL, mdl, _descriptions, _configs),
    "op": Surface("acl.op", _binding.OP, _singleop),
    "prof": Surface("acl.prof", _binding.PROF, prof),
    "util": Surface("acl.util", _binding.UTIL, util),
    "blas": Surface("acl.blas", _binding.BLAS),
    "fv": Surface("acl.fv", _binding.FV),
    "himpi": Surface("acl.himpi", _binding_media.HIMPI),
    "media": _Media("acl.media", ""),
}.items():
    setattr(_package, _name, _surface)
    sys.modules[f"{__name__}.{_name}"] = _surface  # type: ignore[assignment]
_package.__dict__["EMULATED"] = EMULATED
sys.modules[__name__] = _package  # type: ignore[assignment]
keep(__name__)
