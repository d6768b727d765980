"""`acl.mdl`: load and execute with a configuration, and what a model file says (docs/reference/pyacl.md §4.1)."""

from dataclasses import dataclass, field
from typing import Any

from . import _codes, mdl
from ._descriptions import Description, loaded
from ._models import describe, read_file
from ._shapes import AclError, code, value_and_code
from ._world import WORLD

# aclmdlConfigAttr
_PRIORITY, _LOAD_TYPE, _PATH, _MEMORY, _MEMORY_SIZE, _WEIGHTS, _WEIGHTS_SIZE, _WORK, _WORK_SIZE = range(9)
_TEXTS, _LAST = {_PATH}, 30
_FROM_FILE, _FROM_FILE_WITH_MEM, _FROM_MEM, _FROM_MEM_WITH_MEM = 1, 2, 3, 4  # the values of ACL_MDL_LOAD_TYPE_SIZET


@dataclass
class LoadConfig:
    """How to load a model: the values of `set_config_opt`, by attribute."""

    options: dict[int, Any] = field(default_factory=dict)

    def need(self, *attributes: int) -> list[Any]:
        """The values of attributes that must be set."""
        missing = [attribute for attribute in attributes if attribute not in self.options]
        if missing:
            raise AclError(_codes.INVALID_PARAM, f"the configuration lacks the attributes {missing}")
        return [self.options[attribute] for attribute in attributes]


@dataclass
class ExecutionConfig:
    """How to execute a model; the stand-in has nothing to tune."""

    options: dict[int, int] = field(default_factory=dict)


def create_config_handle() -> int:
    """An empty configuration for `load_with_config`."""
    return WORLD.add(LoadConfig())


@code
def destroy_config_handle(handle: int) -> None:
    """Destroy it."""
    WORLD.remove(handle, LoadConfig, _codes.INVALID_PARAM)


@code
def set_config_opt(handle: int, attr: int, value: Any) -> None:
    """Set an attribute: a path is a `str`, all others are `int`."""
    if not isinstance(value, str if attr in _TEXTS else int):
        raise TypeError("acl.mdl.set_config_opt args parse failed!")
    if not 0 <= attr <= _LAST:
        raise AclError(_codes.INVALID_PARAM, f"there is no attribute {attr}")
    WORLD.get(handle, LoadConfig, _codes.INVALID_PARAM).options[attr] = value


@value_and_code(0)
def load_with_config(handle: int) -> int:
    """Load a model as a configuration says."""
    config = WORLD.get(handle, LoadConfig, _codes.INVALID_PARAM)
    memory = [config.options.get(attribute, 0) for attribute in (_WORK, _WORK_SIZE, _WEIGHTS, _WEIGHTS_SIZE)]
    (kind,) = config.need(_LOAD_TYPE)
    if kind in (_FROM_FILE, _FROM_FILE_WITH_MEM):
        (path,) = config.need(_PATH)
        return mdl.load_path(path, memory if kind == _FROM_FILE_WITH_MEM else ())
    if kind in (_FROM_MEM, _FROM_MEM_WITH_MEM):
        address, size = config.need(_MEMORY, _MEMORY_SIZE)
        return mdl.load_bytes(address, size, memory if kind == _FROM_MEM_WITH_MEM else ())
    raise AclError(_codes.INVALID_PARAM, f"there is no way of loading {kind} here")


def create_exec_config_handle() -> int:
    """An empty configuration for `execute_v2`."""
    return WORLD.add(ExecutionConfig())


@code
def destroy_exec_config_handle(handle: int) -> None:
    """Destroy it."""
    WORLD.remove(handle, ExecutionConfig, _codes.INVALID_PARAM)


@code
def set_exec_config_opt(handle: int, attr: int, value: int) -> None:
    """Set an attribute."""
    WORLD.get(handle, ExecutionConfig, _codes.INVALID_PARAM).options[attr] = value


def execute_v2(model_id: int, input: int, output: int, stream: int, handle: int) -> int:
    """Run a model with a configuration, and wait."""

    @code
    def check() -> None:
        WORLD.get(handle, ExecutionConfig, _codes.INVALID_PARAM)

    return check() or (
        mdl.execute_async(model_id, input, output, stream) if stream else mdl.execute(model_id, input, output)
    )


@code
def get_desc_from_file(model_desc: int, model_path: str) -> None:
    """Fill a description from a file, without loading it."""
    WORLD.get(model_desc, Description, _codes.INVALID_PARAM).model = describe(read_file(model_path))


@code
def get_desc_from_mem(model_desc: int, model: int, model_size: int) -> None:
    """Fill a description from memory, without loading it."""
    WORLD.get(model_desc, Description, _codes.INVALID_PARAM).model = describe(mdl.from_memory(model, model_size))


@value_and_code(0, 0)
def get_aipp_type(model_id: int, index: int) -> tuple[int, int]:
    """0 without AIPP, 1 with static AIPP; then the index of a dynamic AIPP's input, 0xFFFFFFFF without one."""
    model = loaded(model_id)
    if index >= len(model.inputs):
        raise AclError(_codes.INVALID_PARAM, f"there is no input {index}")
    return int(model.inputs[index].name in model.om.aipp), 0xFFFF_FFFF
