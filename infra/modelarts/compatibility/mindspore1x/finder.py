"""The hook in Python's imports: patches MindSpore once it is imported, and makes the modules that have gone."""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from .notice import say

MADE = {
    "mindspore.dataset.vision.c_transforms": ("modules", "vision_c"),
    "mindspore.dataset.vision.py_transforms": ("modules", "vision_py"),
    "mindspore.dataset.transforms.c_transforms": ("modules", "transforms_c"),
    "mindspore.dataset.transforms.py_transforms": ("modules", "transforms_py"),
    "mindspore.dataset.transforms.vision": ("modules", "vision"),
    "mindspore.dataset.transforms.vision.c_transforms": ("modules", "vision_c"),
    "mindspore.dataset.transforms.vision.py_transforms": ("modules", "vision_py"),
    "mindspore.dataset.transforms.vision.utils": ("modules", "vision"),
}
"""Module of 1.x to the function that fills it with the present names."""

GONE = {
    "mindspore.model_zoo": "the networks of the model zoo are files of their own: copy the network beside your script",
    "mindspore.compression": "MindSpore 2 has no quantisation: use MindSpore Golden Stick",
    "mindspore.train.quant": "MindSpore 2 has no quantisation: use MindSpore Golden Stick",
    "mindspore.explainer": "MindSpore 2 has no explainer: use MindSpore XAI",
    "mindspore.nn.probability.bnn_layers": "MindSpore 2 has no Bayesian layers",
}


def install() -> None:
    """Put the hook in; a second call changes nothing.

    Raises:
        RuntimeError: MindSpore is imported already.
    """
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    if "mindspore" in sys.modules:
        raise RuntimeError("mindspore1x.install() must come before the first import of mindspore")
    sys.meta_path.insert(0, Finder())


class Finder(importlib.abc.MetaPathFinder):
    """Finds `mindspore` itself, and modules of 1.x that this version lacks."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import a module; None for all that are none of ours."""
        del target
        if fullname == "mindspore":
            return self._patched(fullname, path)
        if fullname not in MADE and fullname not in GONE:
            return None
        if importlib.machinery.PathFinder.find_spec(fullname, path) is not None:
            return None
        if fullname in GONE:
            raise ModuleNotFoundError(f"{fullname} was in MindSpore 1.x: {GONE[fullname]}", name=fullname)
        return ModuleSpec(fullname, _Made(), is_package=fullname == "mindspore.dataset.transforms.vision")

    def _patched(self, fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Patched(spec.loader)
        return spec


class _Made(importlib.abc.Loader):
    def exec_module(self, module: ModuleType) -> None:
        where, name = MADE[module.__name__]
        fill: Callable[[ModuleType], None] = getattr(importlib.import_module(f".{where}", __package__), name)
        fill(module)
        parent, _, child = module.__name__.rpartition(".")
        setattr(sys.modules[parent], child, module)
        say(f"{module.__name__} has gone; its names mean those of {module.__name__.rpartition('.')[0]}")


class _Patched(importlib.abc.Loader):
    """Loads MindSpore, then patches it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        importlib.import_module(".patches", __package__).apply(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)
