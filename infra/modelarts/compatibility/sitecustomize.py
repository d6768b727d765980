"""Python imports this at its start when the folder is on its module path; the next one on the path follows."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import mindspore1x

mindspore1x.install()

_here = str(Path(__file__).parent)
_next = importlib.machinery.PathFinder.find_spec(__name__, [path for path in sys.path if path != _here])
if _next is not None and _next.loader is not None:
    _next.loader.exec_module(importlib.util.module_from_spec(_next))
