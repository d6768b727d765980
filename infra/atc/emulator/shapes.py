"""Read `--input_shape` and the dynamic gears, and check them against each other (docs/reference/atc.md §3.2, §3.4)."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from infra.atc.codes import AtcError

SAMPLE = '"name1:n1,c1,h1,w1;name2:n2,c2,h2,w2"'
_LEAST, _MOST = 2, 100  # gears; atc.md §3.2


@dataclass(frozen=True)
class Gears:
    """Dynamic gears; `kind` is `batch`, `image`, `dims`, or empty when the shapes are static."""

    kind: str = ""
    values: tuple[tuple[int, ...], ...] = ()

    @property
    def largest(self) -> tuple[int, ...]:
        """The gear with the most elements."""
        return max(self.values, key=math.prod)


def read_shapes(text: str) -> dict[str, tuple[int, ...]]:
    """Read `name:n,c,h,w;…` to name and dimensions (-1: dynamic); raises E10002 for bad syntax, E10055 for ranges."""
    shapes: dict[str, tuple[int, ...]] = {}
    for part in filter(None, (item.strip() for item in text.split(";"))):
        name, colon, dims = (item.strip() for item in part.rpartition(":"))
        if not colon or not name:
            raise AtcError("E10002", shape=text, reason="a shape has no name", sample=SAMPLE)
        if name in shapes:
            raise AtcError("E10002", shape=text, reason=f"{name} appears twice", sample=SAMPLE)
        if "~" in dims:
            raise AtcError("E10055", reason="this stand-in does not support ranges of shapes; use dynamic gears")
        if re.fullmatch(r"(\s*-?[0-9]+\s*(,\s*-?[0-9]+\s*)*)?", dims) is None:
            raise AtcError("E10002", shape=text, reason=f"{dims} are not whole numbers", sample=SAMPLE)
        shapes[name] = tuple(_number(dim, "input_shape") for dim in dims.split(",")) if dims else ()
    if text and not shapes:
        raise AtcError("E10002", shape=text, reason="there is no shape in it", sample=SAMPLE)
    return shapes


def read_gears(options: Mapping[str, str]) -> Gears:
    """The gears of the options, which may end in a separator; E10003, E10013, E10020, E10035 to E10039 for bad ones."""
    if options.get("input_shape_range"):
        raise AtcError("E10055", reason="this stand-in does not support ranges of shapes; use dynamic gears")
    for name, (kind, allowed) in _FORMS.items():
        if text := options.get(name):
            if re.fullmatch(f"[{allowed}]+", text, re.ASCII) is None:
                raise AtcError("E10003", value=text, parameter=name, reason="it has other characters than numbers")
            return _gears(kind, text, name)
    return Gears()


_FORMS = {
    "dynamic_batch_size": ("batch", "0-9,"),
    "dynamic_image_size": ("image", "0-9,; "),
    "dynamic_dims": ("dims", "0-9,; "),
}
_LONG = 2**63 - 1


def _number(text: str, option: str) -> int:
    """A whole number; raises E10013 for one beyond 64 bits."""
    digits = text.strip().lstrip("-").lstrip("0")
    if len(digits) > 19 or int(digits or "0") > _LONG:
        raise AtcError("E10013", value=text.strip()[:40], parameter=option)
    return int(text)


def _gears(kind: str, text: str, option: str) -> Gears:
    if kind == "batch":
        items = [[item] for item in text.removesuffix(",").split(",")]
    else:
        items = [gear.split(",") for gear in text.strip().removesuffix(";").split(";")]
    if kind == "image" and any(len(gear) != 2 for gear in items):
        raise AtcError("E10020", dynamic_image_size=text)
    for item in (item for gear in items for item in gear):
        if not item.strip().isdigit() or _number(item, option) == 0:
            raise AtcError("E10038", dim=item)
    values = tuple(tuple(int(item) for item in gear) for gear in items)
    if len(values) < _LEAST:
        raise AtcError("E10035", shapesize=len(values), minshapesize=_LEAST)
    if len(values) > _MOST:
        raise AtcError("E10036", shapesize=len(values), maxshapesize=_MOST)
    for gear in values:
        if len(gear) != len(values[0]):
            raise AtcError("E10037", shapesize1=len(values[0]), shapesize2=len(gear))
    if len(set(values)) != len(values):
        raise AtcError("E10039")
    return Gears(kind, values)


def check_shapes(shapes: Mapping[str, tuple[int, ...]], gears: Gears, layout: str) -> None:
    """Check shapes and gears against each other.

    Raises:
        AtcError: E10011 for static shapes; E10012, E10018, E10019, E10031, E10040, E10045 or E10046 for gears.
    """
    for name, dims in shapes.items():
        for dim in dims:
            if dim < -1 or dim == 0 or (dim == -1 and not gears.kind):
                raise AtcError("E10011", shape=f"{name}:{_text(dims)}", result=dim)
    if gears.kind == "batch":
        _check_batch(shapes)
    elif gears.kind and not any(-1 in dims for dims in shapes.values()):
        raise AtcError("E10040")
    elif gears.kind == "image":
        _check_image(shapes, layout)
    elif gears.kind == "dims":
        _check_dims(shapes, len(gears.values[0]))


def _check_image(shapes: Mapping[str, tuple[int, ...]], layout: str) -> None:
    height = layout.find("H") if len(layout) == 4 else 2
    for dims in shapes.values():
        dynamic = [index for index, dim in enumerate(dims) if dim == -1]
        if dynamic and dynamic != [height, height + 1]:
            raise AtcError("E10019")


def _check_batch(shapes: Mapping[str, tuple[int, ...]]) -> None:
    for dims in shapes.values():
        if not dims:
            raise AtcError("E10012")
        for index, dim in enumerate(dims[1:], 1):
            if dim == -1:
                raise AtcError("E10018", shape=_text(dims), index=index)
    if not any(dims[0] == -1 for dims in shapes.values()):
        raise AtcError("E10031")


def _check_dims(shapes: Mapping[str, tuple[int, ...]], length: int) -> None:
    for name, dims in shapes.items():
        if dims.count(-1) > length:
            raise AtcError("E10045", name=name, shape=_text(dims))
    if sum(dims.count(-1) for dims in shapes.values()) != length:
        last = list(shapes)[-1]
        raise AtcError("E10046", name=last, shape=_text(shapes[last]))


def at_gear(shapes: Mapping[str, tuple[int, ...]], gears: Gears, gear: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes with one gear's values in place of -1."""
    if gears.kind == "dims":
        numbers = iter(gear)
        return {name: tuple(next(numbers) if dim == -1 else dim for dim in dims) for name, dims in shapes.items()}
    result = {}
    for name, dims in shapes.items():
        numbers = iter(gear)
        result[name] = tuple(next(numbers) if dim == -1 else dim for dim in dims)
    return result


def _text(dims: tuple[int, ...]) -> str:
    return ",".join(map(str, dims))
