"""A network of the user's own: a class in a Python file, `my_net.py:MyNet`.

The class is built with those of `classes`, `image_size` and `width` that its constructor names; `classes` it must name.
It maps float32 [n, 3, size, size] to logits [n, classes].
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np
from mindspore import nn

from ..failures import InputError, SpecError

if TYPE_CHECKING:
    from types import ModuleType

    from ..spec.train_spec import TrainSpec

VARIABLE = "ATLASFLOW_NETWORK_FILE"
"""Environment variable with the path of the file; without it, the file lies in the folder `own` next to this module."""
_ARGUMENTS = ("classes", "image_size", "width")
_checked: set[str] = set()


def build(spec: TrainSpec) -> nn.Cell:
    """Build the network of a specification, initialised from MindSpore's seed.

    Raises:
        InputError: the file is missing, has changed or cannot be imported, or its class is not such a network.
    """
    name = spec.network.rpartition(":")[2]
    path = _file(spec)
    kind = _class(_module(path), name, path)
    network = _instance(kind, spec, f"{path.name}:{name}")
    if spec.network_sha256 not in _checked:
        _check_output(network, spec, f"{path.name}:{name}")
        _checked.add(spec.network_sha256)
        return build(spec)  # the check has used this one's random numbers and state
    return network


def _file(spec: TrainSpec) -> Path:
    name = spec.network.rpartition(":")[0]
    path = Path(os.environ.get(VARIABLE) or Path(__file__).with_name("own") / name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"network: {path} cannot be read: {error.strerror}", "set train.network to its path"
        ) from error
    if hashlib.sha256(content).hexdigest() != spec.network_sha256:
        raise InputError(f"network: {path} is not the file that this specification is of", "start the run again")
    return path


@cache
def _module(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"own_network_{path.stem}", path)
    if found is None or found.loader is None:
        raise InputError(f"network: {path} is no Python file", "its name must end in .py")
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # MindSpore's compiler looks it up there
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"network: {path.name} cannot be imported: {type(error).__name__}: {error}",
            "it is imported alone: packages that training machines lack, and files next to it, are not there",
        ) from error
    return module


def _class(module: ModuleType, name: str, path: Path) -> type[nn.Cell]:
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Cell)):
        cells = [
            key for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, nn.Cell) and value.__module__ == module.__name__
        ]  # fmt: skip
        raise InputError(f"network: {path.name} has no nn.Cell '{name}'", f"it has {', '.join(cells) or 'none'}")
    return kind


def _instance(kind: type[nn.Cell], spec: TrainSpec, name: str) -> nn.Cell:
    named = inspect.signature(kind.__init__).parameters
    every = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in named.values())
    values: dict[str, Any] = {key: getattr(spec, key) for key in _ARGUMENTS if every or key in named}
    if "classes" not in values:
        raise InputError(f"network: the constructor of {name} has no argument 'classes'", "add one, and use it")
    try:
        return kind(**values)
    except Exception as error:
        raise InputError(
            f"network: {name}({', '.join(f'{key}={value}' for key, value in values.items())}) fails: "
            f"{type(error).__name__}: {error}",
            f"only {', '.join(_ARGUMENTS)} are given; all others need a default",
        ) from error


def _check_output(network: nn.Cell, spec: TrainSpec, name: str) -> None:
    """Run the network on two black images, and compare the shape of what it answers."""
    network.set_train(False)
    image = mindspore.Tensor(np.zeros((2, 3, spec.image_size, spec.image_size), np.float32))
    try:
        answer = network(image)
    except Exception as error:
        first = next((line for line in str(error).splitlines() if line.strip(" -\t")), type(error).__name__)
        raise InputError(
            f"network: {name} fails on images of [2, 3, {spec.image_size}, {spec.image_size}]: {first}",
            "train.mode=pynative runs it operator by operator, and breakpoints work",
        ) from error
    shape = tuple(answer.shape) if isinstance(answer, mindspore.Tensor) else type(answer).__name__
    if shape != (2, spec.classes):
        raise SpecError(
            f"network: {name} answers {shape} for two images, not (2, {spec.classes})",
            "a classifier gives a logit for each class",
        )
