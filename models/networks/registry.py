"""Networks by name. Standard library only: a network's module is imported when that network is built.

Whoever digests code takes `module_of` the chosen network, so that work on one family leaves the others' results valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..failures import SpecError
from ..spec.train_spec import nearest

if TYPE_CHECKING:
    from ..spec.train_spec import TrainSpec


class _Network(NamedTuple):
    """Where a network is defined, and what its specification may say.

    Attributes:
        module: beside this one.
        smallest: image size in pixels.
        largest: likewise.
        stems: True when it exists with two stems.
    """

    module: str
    smallest: int
    largest: int
    stems: bool = False


_NETWORKS: dict[str, _Network] = {
    "lenet5": _Network("networks.lenet", 16, 64),
    "compact": _Network("networks.compact", 16, 64),
    **{name: _Network("networks.resnet", 8, 128) for name in ("resnet20", "resnet32", "resnet44", "resnet56")},
    **{name: _Network("networks.resnet", 16, 512, stems=True) for name in ("resnet18", "resnet34")},
    **{name: _Network("networks.resnet", 16, 512, stems=True) for name in ("resnet50", "resnet101")},
}
NETWORKS: tuple[str, ...] = tuple(sorted(_NETWORKS))

# Command → modules in which its work happens. `models/main.py` only picks and calls them.
_WORK: dict[str, tuple[str, ...]] = {
    "train": ("training.runtime", "training.loop"),
    "evaluate": ("training.runtime", "evaluation.evaluate"),
    "robustness": ("training.runtime", "evaluation.robustness"),
    "export": ("training.runtime", "export"),
    "profile": ("training.runtime", "evaluation.profile"),
}


def check_network(spec: TrainSpec) -> None:
    """Refuse an unknown network, and an image size or a stem that it cannot have.

    Raises:
        SpecError: names the field.
    """
    entry = _find(spec.network)
    if not entry.smallest <= spec.image_size <= entry.largest:
        raise SpecError(
            f"image_size: {spec.network} takes {entry.smallest} to {entry.largest} pixels, not {spec.image_size}",
            "32 is native",
        )
    if spec.stem != "native" and not entry.stems:
        raise SpecError(f"stem: {spec.network} has only its own", "take stem=native")


def module_of(network: str, package: str = "models") -> str:
    """The module that defines a network, such as `models.networks.lenet`; it has `build(spec)`.

    Raises:
        SpecError: there is no such network.
    """
    return f"{package}.{_find(network).module}"


def code_of(command: str, network: str) -> tuple[str, ...]:
    """The modules whose import closure decides a command's bytes; `robustness` is evaluation on corruptions.

    The specification's own modules and this one are not among them: what they decide is in the resolved
    specification, which is an ingredient itself.
    """
    return (*(f"models.{name}" for name in _WORK[command]), module_of(network))


def _find(network: str) -> _Network:
    if network not in _NETWORKS:
        raise SpecError(f"network: there is no '{network}'", nearest(network, NETWORKS))
    return _NETWORKS[network]
