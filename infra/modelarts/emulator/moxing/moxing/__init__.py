"""The stand-in for Huawei's MoXing: `moxing.file`, over the project's own client (docs/reference/modelarts.md §1.7).

Never on the module path of real ModelArts, which has the real package. `EMULATED` is True.
"""

from . import file

__all__ = ["EMULATED", "file"]

EMULATED = True
