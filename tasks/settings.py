"""Every setting with the stages that it changes: those of `infra/settings`, and the fields of a training's recipe."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from infra.errors import AtlasFlowError
from infra.settings import load
from infra.settings.catalog import ANY_BOARD, Entry, entries
from tasks.pipeline import EVERY_NAME, stages_for
from tasks.specs import recipe_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.settings import Settings

_BOARD = "laptop"
# What a key has from elsewhere than the settings: the producer of the bytes.
_PRODUCERS = {"train.target": ("train",), "convert.compiler": ("convert",)}
_GATES = {
    "evaluate.min_accuracy": "the gate after evaluate",
}


@dataclass(frozen=True)
class Setting:
    """A setting, and what it changes.

    Attributes:
        entry: name, type, default, meaning.
        stages: those whose key has it; what follows them runs again only if their bytes differ.
        gate: the gate that reads it; empty for none.
    """

    entry: Entry
    stages: tuple[str, ...]
    gate: str = ""


def every_setting() -> list[Setting]:
    """List every setting, with the stages that it changes."""
    settings = load("local", {f"boards.{_BOARD}.address": "board.example"})
    before = _read(settings)
    found = []
    for entry in entries():
        stages = _PRODUCERS.get(entry.name) or _changed(settings, before, entry)
        found.append(Setting(entry, stages, _GATES.get(entry.name, "")))
        if entry.name == "train.recipe":
            found += [Setting(field, _changed_by_recipe(before, field)) for field in recipe_entries()]
    return found


def recipe_entries() -> Iterator[Entry]:
    """List the fields of a recipe, which are settings of `train`; the default is that of a recipe that names none."""
    spec = import_module("models.spec.train_spec")
    meanings = _attributes(inspect.getdoc(spec.TrainSpec) or "")
    types = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
    for field in dataclasses.fields(spec.TrainSpec):
        choices = spec.CHOICES.get(field.name, ("true", "false") if field.type == "bool" else ())
        kind = types.get(str(field.type), "list of integer")
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        words = f"one of {', '.join(choices)}" if field.name in spec.CHOICES else kind
        yield Entry(f"train.{field.name}", words, default, meanings.get(field.name, ""), choices)


def _attributes(docstring: str) -> dict[str, str]:
    """The lines of a docstring's `Attributes:`, by name, without a full stop."""
    found = re.findall(r"^    (\w+): ((?:.|\n        )+)", docstring.partition("Attributes:\n")[2], re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def _read(settings: Settings) -> Mapping[str, str]:
    """What each stage's key has from the settings, as text that can be compared."""
    found = {}
    for stage in stages_for(EVERY_NAME):
        try:
            values: object = [stage.settings(settings), list(map(str, stage.external_inputs(settings).values()))]
        except AtlasFlowError as error:  # another value alone, without a second one that it needs
            values = [error.message]
        found[stage.name] = json.dumps(values, default=str)
    return found


def _changed(settings: Settings, before: Mapping[str, str], entry: Entry) -> tuple[str, ...]:
    """The stages that read another value than the default: the value is exchanged, and nothing checks it."""
    path = [_BOARD if part == ANY_BOARD else part for part in entry.name.split(".")]
    after = _read(_exchanged(settings, path, _another(entry)))
    return tuple(name for name, text in after.items() if text != before[name])


def _exchanged(value: Any, path: list[str], new: object) -> Any:
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {**value, first: _exchanged(value[first], rest, new)}
    return value.model_copy(update={first: _exchanged(getattr(value, first), rest, new)})


def _another(entry: Entry) -> object:
    """A value that differs from the default, of the same kind."""
    others = [choice for choice in entry.choices if choice != str(entry.default).lower()]
    if isinstance(entry.default, bool):
        return not entry.default
    if isinstance(entry.default, list):
        return tuple(entry.default[1:]) if entry.default else tuple(others[:1]) or ("another",)
    if others:
        return others[0]
    if isinstance(entry.default, int | float):
        return entry.default + 1
    return {"another": "1"} if isinstance(entry.default, dict) else "another"


def _changed_by_recipe(before: Mapping[str, str], entry: Entry) -> tuple[str, ...]:
    """The stages whose settings have this field of the specification, or of the part that names the network."""
    name = entry.name.removeprefix("train.")
    return tuple(stage for stage, text in before.items() if name in _recipe_fields(json.loads(text)))


def _recipe_fields(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and "network" in value:
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _recipe_fields(inner)


def recipe_values(settings: Settings) -> dict[str, object]:
    """The value of each field of the recipe, by the name of its setting."""
    return {f"train.{name}": value for name, value in recipe_settings(settings).items()}
