"""From settings to what `models/` needs: the training specification, the part that names a network, and the code.

The recipes are loaded by name, not imported: the resolved specification is an ingredient itself, so that a new recipe
changes no key of the others.
"""

from __future__ import annotations

import json
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING

from infra.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.settings import Settings
    from models.spec.train_spec import TrainSpec

# What evaluation and export depend on: the trained network, and its input.
_NETWORK_FIELDS = ("network", "network_sha256", "stem", "width", "classes", "image_size", "normalisation")


def train_spec(settings: Settings) -> TrainSpec:
    """Resolve the training specification that the settings ask for.

    Raises:
        UserError: an unknown recipe or field, or a value that is not valid.
    """
    recipes = import_module("models.spec.recipes")
    try:
        # A model from outside has another network than the recipe, so its size is not compared with the recipe's.
        own = not settings.convert.model
        spec: TrainSpec = recipes.resolve(settings.train.recipe, _overrides(settings), network=own)
    except recipes.SpecError as error:
        raise UserError(f"setting train.{error.message}", hint=error.hint) from error
    return spec


def _overrides(settings: Settings) -> dict[str, object]:
    """The fields that the settings set; a file with a network of one's own by its name and digest."""
    found, path = settings.train.overrides(), settings.train.network_file()
    if path is None:
        return found
    try:
        digest = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(
            f"setting train.network: {path} cannot be read: {error.strerror}",
            hint="write file.py:Class; the file is searched from the current folder",
        ) from error
    return {**found, "network": f"{path.name}:{str(found['network']).rpartition(':')[2]}", "network_sha256": digest}


def shortened_warmup(settings: Settings) -> int | None:
    """Return the warm-up of a run that is too short for its recipe's, in epochs; None for all other runs."""
    if "warmup_epochs" in settings.train.overrides():
        return None
    warmup: int = train_spec(settings).warmup_epochs
    recipe: TrainSpec = import_module("models.spec.recipes").RECIPES[settings.train.recipe]
    return None if warmup == recipe.warmup_epochs else warmup


def recipe_settings(settings: Settings) -> dict[str, object]:
    """Return every field of the training specification as a JSON value.

    Raises:
        UserError: as for `train_spec`.
    """
    values: dict[str, object] = json.loads(import_module("models.spec.recipes").to_json(train_spec(settings)))
    return values


def network_settings(settings: Settings) -> dict[str, object]:
    """Return the fields of the specification that evaluation and export depend on, as JSON values."""
    values = recipe_settings(settings)
    return {name: values[name] for name in _NETWORK_FIELDS}


def image_shape(settings: Settings) -> tuple[int, int, int]:
    """Return the input shape of the network: channels, height, width."""
    size = train_spec(settings).image_size
    return 3, size, size


def data_source(settings: Settings) -> tuple[str, str]:
    """Return the stage and output with the evaluation images: pictures brought for a model from outside come first."""
    return ("convert" if settings.convert.model and settings.convert.images else "download", "data")


def write_spec(settings: Settings, path: Path) -> Path:
    """Write the fields of `network_settings` to a file; a reader uses the defaults of the others."""
    path.write_text(json.dumps(network_settings(settings), sort_keys=True))
    return path


def training_code(settings: Settings) -> tuple[str, ...]:
    """Return the modules that decide the bytes of a training."""
    return _code("train", settings)


def evaluation_code(settings: Settings) -> tuple[str, ...]:
    """Return the modules that decide the bytes of an evaluation."""
    return _code("evaluate", settings)


def robustness_code(settings: Settings) -> tuple[str, ...]:
    """Return the modules that decide the bytes of an evaluation on corrupted images."""
    return _code("robustness", settings)


def export_code(settings: Settings) -> tuple[str, ...]:
    """Return the modules that decide the bytes of an export."""
    return _code("export", settings)


def profile_code(settings: Settings) -> tuple[str, ...]:
    """Return the modules that decide the bytes of a profile."""
    return _code("profile", settings)


def _code(command: str, settings: Settings) -> tuple[str, ...]:
    """Look the modules up by name, without an import: a new network changes no key."""
    registry = import_module("models.networks.registry")
    modules: tuple[str, ...] = registry.code_of(command, train_spec(settings).network)
    return modules
