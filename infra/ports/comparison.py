"""The comparison of one form of a network with its checkpoint: the figures that `models/parity.py` computes."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Figures:
    """The figures of a set of images.

    Attributes:
        images: number of images.
        not_finite: images with a NaN or infinite logit.
        agreement: share of images with the checkpoint's top class, 0 to 1.
        cosine: mean cosine similarity of the two logit vectors of an image.
        max_difference: largest absolute logit difference; None when a logit is not finite.
        accuracy: share of correct answers, 0 to 1.
        accuracy_drop: the checkpoint's accuracy minus this one.
    """

    images: int
    not_finite: int
    agreement: float
    cosine: float
    max_difference: float | None
    accuracy: float
    accuracy_drop: float

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the JSON form.

        Raises:
            KeyError, TypeError: a figure is missing or is not a number.
        """
        return cls(**_numbers(value))

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class ClassFigures(Figures):
    """The figures of the images of one class."""

    name: str

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the JSON form, which calls the name `class`."""
        if not isinstance(value["class"], str):
            raise TypeError("a class has no name")
        return cls(**_numbers(value), name=value["class"])

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        values = asdict(self)
        return {"class": values.pop("name"), **values}


@dataclass(frozen=True)
class Comparison(Figures):
    """The figures of all images, and those of each class that has images."""

    per_class: tuple[ClassFigures, ...]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the JSON form; keys of other values are ignored."""
        return cls(**_numbers(value), per_class=tuple(ClassFigures.from_json(row) for row in value["per_class"]))

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        return {**super().to_json(), "per_class": [row.to_json() for row in self.per_class]}


def _numbers(value: Any) -> dict[str, Any]:
    found = {field.name: value[field.name] for field in fields(Figures)}
    for name, number in found.items():
        if number is None and name == "max_difference":
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"{name} is not a number")
    return found
