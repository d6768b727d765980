"""Names of MindSpore 1.x for MindSpore 2.x: modules that have gone, arguments that have gone, Ascend code on a CPU.

`install` must run before the first import of MindSpore. What is translated is said once each on standard error; what
cannot be translated raises with its replacement. Needs nothing but Python and MindSpore, so the folder can be copied
beside a script: `import mindspore1x; mindspore1x.install()`.

Sources: docs/reference/mindspore.md §6.1.
"""

from .finder import install

__all__ = ["install"]
