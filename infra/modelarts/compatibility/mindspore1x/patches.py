"""Changes to MindSpore 2.x after its import: names and arguments of 1.x, and Ascend code where there is a CPU only."""

import functools
import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from .notice import say

_GONE_CONTEXT = {
    "check_bprop",
    "enable_dynamic_memory",
    "enable_hccl",
    "enable_loop_sink",
    "enable_mem_reuse",
    "enable_profiling",
    "enable_reduce_precision",
    "enable_task_sink",
    "graph_memory_max_size",
    "profiling_options",
    "save_ms_model",
    "save_ms_model_path",
    "variable_memory_max_size",
}
"""Keys of `set_context` that tuned or debugged, and have gone."""


_GONE_NAMES = {
    "mindspore.nn": {"ResizeBilinear": "mindspore.ops.interpolate(x, size=…, mode='bilinear')"},
    "mindspore.ops.operations": {
        "FusedBatchNorm": "mindspore.ops.BatchNorm",
        "FusedBatchNormEx": "mindspore.ops.BatchNorm",
        "FusedBatchNormGrad": "mindspore.grad of mindspore.ops.BatchNorm",
    },
    "mindspore": {"convert_model": "the MindSpore Lite converter"},
}
"""Module to names that have gone, each with its replacement."""


def _module(name: str) -> Any:
    return importlib.import_module(name)


def apply(mindspore: Any) -> None:
    """Patch MindSpore.

    Args:
        mindspore: the module, version 2; a version 1 needs nothing.
    """
    if int(mindspore.__version__.partition(".")[0]) < 2:
        return
    _patch_context(mindspore)
    _patch_datasets()
    _patch_names(mindspore)
    _patch_model()
    for name, gone in _GONE_NAMES.items():
        _explain(_module(name), gone)


def _patch_context(mindspore: Any) -> None:
    context = _module("mindspore.context")
    original = context.set_context

    @functools.wraps(original)
    def set_context(**values: Any) -> None:
        target = values.get("device_target")
        if target in ("Ascend", "GPU", "Davinci") and not _has(mindspore, target):
            say(f"this machine has no {target} device: the CPU takes its place")
            values["device_target"] = "CPU"
            values.pop("device_id", None)
        for name in sorted(_GONE_CONTEXT & values.keys()):
            say(f"set_context({name}=…) has no effect here")
            del values[name]
        if values:
            original(**values)

    context.set_context = set_context
    mindspore.set_context = set_context


def _has(mindspore: Any, target: str) -> bool:
    """True when MindSpore finds a device of this kind."""
    name = "GPU" if target == "GPU" else "Ascend"
    try:
        return bool(mindspore.hal.device_count(name))
    except (RuntimeError, ValueError):  # this build does not know the kind at all
        return False


def _patch_datasets() -> None:
    datasets = _module("mindspore.dataset.engine.datasets")
    iterators = _module("mindspore.dataset.engine.iterators")
    helpers = _module("mindspore.dataset.core.validator_helpers")
    processors = os.cpu_count() or 1
    original = datasets.Dataset.__init__

    def clamp(workers: int | None) -> int | None:
        if workers is None or workers <= processors:
            return workers
        say(f"num_parallel_workers={workers} is more than the {processors} processors here: {processors} work")
        return processors

    @functools.wraps(original)
    def initialise(self: Any, children: Any = None, num_parallel_workers: int | None = None, cache: Any = None) -> None:
        original(self, children, clamp(num_parallel_workers), cache)

    datasets.Dataset.__init__ = initialise
    helpers.cpu_count = lambda: max(processors, 1024)  # the check comes before `clamp`
    for iterator in (iterators.DictIterator, iterators.TupleIterator):
        iterator.get_next = lambda self: self.__next__()
    datasets.Dataset.map = _with_column_order(datasets.Dataset.map)
    configuration = _module("mindspore.dataset.core.config")
    set_workers = configuration.set_num_parallel_workers
    configuration.set_num_parallel_workers = lambda number: set_workers(clamp(number))


def _with_column_order(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let `map` take `column_order`, which is `project` now."""

    @functools.wraps(original)
    def mapped(self: Any, *arguments: Any, column_order: list[str] | None = None, **named: Any) -> Any:
        made = original(self, *arguments, **named)
        return made if column_order is None else made.project(column_order)

    return mapped


def _patch_names(mindspore: Any) -> None:
    nn, operations = mindspore.nn, _module("mindspore.ops.operations")
    api, loss = _module("mindspore.common.api"), _module("mindspore.nn.loss.loss")
    for module in (mindspore, api):
        if not hasattr(module, "ms_function"):
            module.ms_function = mindspore.jit
    for name, present in (("TensorAdd", "Add"), ("GatherV2", "Gather"), ("Gelu", "GeLU")):
        if not hasattr(operations, name):
            setattr(operations, name, getattr(operations, present))
            setattr(mindspore.ops, name, getattr(operations, present))
    for module in (loss, nn):
        if not hasattr(module, "_Loss"):
            module._Loss = loss.LossBase
    _ignore(nn.SoftmaxCrossEntropyWithLogits, "is_grad")
    if not hasattr(mindspore.Tensor, "to_tensor"):
        mindspore.Tensor.to_tensor = lambda self: self.init_data()


def _ignore(cell: Any, name: str) -> None:
    """Let the constructor of a class ignore an argument that has gone."""
    original = cell.__init__

    @functools.wraps(original)
    def initialise(self: Any, *arguments: Any, **named: Any) -> None:
        if named.pop(name, None) is not None:
            say(f"{cell.__name__}({name}=…) has no effect any more")
        original(self, *arguments, **named)

    cell.__init__ = initialise


def _patch_model() -> None:
    """Train in float32 where mixed precision is asked for and there is a CPU only."""
    model = _module("mindspore.train.model")
    original = model.Model.__init__

    @functools.wraps(original)
    def initialise(self: Any, *arguments: Any, **named: Any) -> None:
        if _module("mindspore.context").get_context("device_target") == "CPU":
            _without_mixed_precision(named)
        original(self, *arguments, **named)

    model.Model.__init__ = initialise


def _without_mixed_precision(named: dict[str, Any]) -> None:
    """Change the arguments of `Model` to float32.

    A fixed loss scale stays: the optimizer divides by it. One that watches for overflows needs none in float32.
    """
    if named.get("amp_level", "O0") != "O0":
        say(f"amp_level={named['amp_level']} on a CPU: float32 everywhere")
        named["amp_level"] = "O0"
        named.pop("keep_batchnorm_fp32", None)
    manager = named.get("loss_scale_manager")
    if manager is not None and manager.get_update_cell() is not None:
        say(f"{type(manager).__name__} on a CPU: no loss scale")
        del named["loss_scale_manager"]


def _explain(module: Any, gone: Mapping[str, str]) -> None:
    """Let a module answer for names that have gone."""
    present = getattr(module, "__getattr__", None)

    def look(name: str) -> Any:
        if name in gone:
            raise AttributeError(f"{module.__name__}.{name} was in MindSpore 1.x: use {gone[name]}")
        if present is not None:
            return present(name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = look
