"""From settings to what `models/` is given: the spec of a training, the part of it that names a network, and code.

The recipes are loaded by name, not imported: what a recipe says is an ingredient itself, so that adding one changes
no key of the others.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from infra.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.settings import Settings

# What evaluation and export must know of a training: which network it was, and what it saw.
_NETWORK_FIELDS = ("network", "stem", "width", "classes", "image_size", "normalisation")


def recipe_settings(settings: Settings) -> dict[str, Any]:
    """Every field of the training specification that the settings ask for.

    Raises:
        UserError: an unknown recipe or field, or a value that cannot work.
    """
    models = import_module("models.spec.recipes")
    try:
        spec = models.resolve(settings.train.recipe, settings.train.overrides())
        values: dict[str, Any] = json.loads(models.to_json(spec))
    except models.SpecError as error:
        raise UserError(f"setting train.{error.message}", hint=error.hint) from error
    return values


def network_settings(settings: Settings) -> dict[str, Any]:
    """The fields of the specification that evaluation and export depend on."""
    values = recipe_settings(settings)
    return {name: values[name] for name in _NETWORK_FIELDS}


def image_shape(settings: Settings) -> tuple[int, int, int]:
    """What the network sees: channels, height, width."""
    size = recipe_settings(settings)["image_size"]
    return 3, size, size


def write_spec(settings: Settings, path: Path) -> Path:
    """Write the network's part of the specification to a file; the other fields have their defaults there."""
    path.write_text(json.dumps(network_settings(settings), sort_keys=True))
    return path


def training_code(settings: Settings) -> tuple[str, ...]:
    """Modules that decide the bytes of a training."""
    return _code("train", settings)


def evaluation_code(settings: Settings) -> tuple[str, ...]:
    """Modules that decide the bytes of an evaluation."""
    return _code("evaluate", settings)


def robustness_code(settings: Settings) -> tuple[str, ...]:
    """Modules that decide the bytes of an evaluation on corrupted images."""
    return _code("robustness", settings)


def export_code(settings: Settings) -> tuple[str, ...]:
    """Modules that decide the bytes of an export."""
    return _code("export", settings)


def _code(command: str, settings: Settings) -> tuple[str, ...]:
    """By name, not imported: a new network changes no key."""
    modules: tuple[str, ...] = import_module("models.networks.registry").code_of(
        command, network_settings(settings)["network"]
    )
    return modules
