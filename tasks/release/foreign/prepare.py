"""Check a model from outside against the compiler's rules, and prepare it for boards (`convert.model`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.atc.generations import nearest
from infra.atc.lint.findings import Finding, Level, Rule, errors
from infra.errors import UserError
from tasks.release.foreign.adapt import adapt
from tasks.release.foreign.classifier import read
from tasks.release.targets import soc_versions
from tasks.specs import image_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx

    from infra.atc.generations import Generation
    from infra.ports.values import Producer
    from infra.settings import Settings
    from tasks.release.foreign.classifier import Reading


@dataclass(frozen=True)
class Target:
    """What a model is compiled for: the generation of the compiler, and the chips."""

    cann: Generation
    chips: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """The user's model, the model for boards, and what was found."""

    own: onnx.ModelProto
    made: onnx.ModelProto
    reading: Reading
    findings: list[Finding]


def target_of(settings: Settings, producer: Producer) -> Target:
    """What a model is compiled for: the compiler's generation of CANN, and the chips."""
    cann = str(producer.details.get("cann", "")) or producer.version
    return Target(nearest(cann), soc_versions(settings))


def prepare(path: Path, classes: int, target: Target, *, batch: int = 1, size: int = 0) -> Prepared:
    """Lint a model file, and make one of it that boards feed.

    Args:
        path: of the ONNX or AIR file.
        classes: number of classes that the user names.
        target: what it is compiled for.
        batch: pictures a call; 0 for any number.
        size: height and width in pixels; 0 for those of the file.

    Raises:
        UserError: it is no ONNX or AIR file.
    """
    from infra.atc.lint import fixes, rules

    if is_air(path):
        return _prepare_air(path, classes)
    if path.suffix.lower() != ".onnx":
        raise UserError(f"convert.model: {path.name} is no .onnx and no .air file", hint="export the model as ONNX")
    own, findings = fixes.load(path)
    fixed, more = fixes.apply(own, batch=batch, size=size, cann=target.cann)
    findings += [*more, *rules.lint(fixed, target.cann, target.chips)]
    reading = read(fixed, classes)
    if errors(findings):  # of a graph that is wrong in itself, shapes are often unknown: more would be noise
        return Prepared(own, fixed, reading, findings)
    made = fixed if errors(reading.findings) else adapt(fixed, reading)
    return Prepared(own, made, reading, [*findings, *reading.findings])


def check(findings: Sequence[Finding], name: str, settings: Settings, reading: Reading) -> None:
    """Raise a UserError with every finding that prevents a compilation."""
    found = [f"{finding.what}\n    → {finding.remedy}" for finding in errors(findings)]
    size = image_shape(settings)[1]
    if not found and reading.feed is not None:
        if reading.feed.size != size:
            found = [
                f"it takes pictures of {reading.feed.size} pixels, and train.image_size is {size}\n"
                f"    → set train.image_size={reading.feed.size}"
            ]
        elif settings.convert.batch_gears and reading.feed.batch:
            found = [f"its batch is {reading.feed.batch}\n    → convert.batch_gears needs a model with an open batch"]
    if found:
        raise UserError(
            f"{name} cannot be compiled:\n" + "\n".join(f"  {number}. {text}" for number, text in enumerate(found, 1))
        )


def is_air(path: Path) -> bool:
    """True for a file of MindSpore's form AIR."""
    return path.suffix.lower() == ".air"


def _prepare_air(path: Path, classes: int) -> Prepared:
    """An AIR file goes to ATC as it is, so it must be in the boards' form already."""
    from infra.air.reader import to_onnx
    from infra.atc.lint import fixes

    own, _ = fixes.apply(to_onnx(path.read_bytes()))
    reading = read(own, classes)
    if errors(reading.findings):
        return Prepared(own, own, reading, reading.findings)
    made = adapt(own, reading)
    changes = [item for item in reading.findings if item.rule is not Rule.NAMES]
    findings = [
        Finding(item.rule, Level.ERROR, item.what, "an AIR file is not changed: export ONNX instead")
        for item in changes
    ]
    return Prepared(own, made, reading, findings)
