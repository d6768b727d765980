"""Every setting says what it means, so that a page and a command can list them all."""

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel

from infra.settings import Settings


def fields(model: type[BaseModel], name: str = "") -> Iterator[tuple[str, str | None]]:
    """Name and description of each setting of a model and of the models in it."""
    for key, field in model.model_fields.items():
        path = f"{name}.{key}".lstrip(".")
        yield path, field.description
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from fields(inner, path)


@pytest.mark.parametrize(("name", "description"), list(fields(Settings)))
def test_a_setting_has_a_short_description(name: str, description: str | None) -> None:
    assert description, f"{name} has no description"
    assert not description.endswith(".")
    assert len(description) <= 120
