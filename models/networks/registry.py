"""Networks by name. A network's module is imported only when that network is built. Standard library only.

A code digest covers `module_of` the chosen network, so that a change of one family leaves other results valid.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..failures import SpecError
from ..spec.values import nearest

if TYPE_CHECKING:
    from ..spec.train_spec import TrainSpec


class _Network(NamedTuple):
    """The module of a network and the limits of its specification.

    Attributes:
        module: name inside the package `models`.
        smallest: smallest image size in pixels.
        largest: largest image size in pixels.
        stems: True when the stem can be chosen.
    """

    module: str
    smallest: int
    largest: int
    stems: bool = False


_NETWORKS: dict[str, _Network] = {
    "lenet5": _Network("networks.lenet", 16, 64),
    "compact": _Network("networks.compact", 16, 64),
    "fast94": _Network("networks.fast", 16, 64),
    "mobilenetv2": _Network("networks.mobilenet", 32, 224),
    **{name: _Network("networks.resnet", 8, 128) for name in ("resnet20", "resnet32", "resnet44", "resnet56")},
    **{name: _Network("networks.resnet", 16, 512, stems=True) for name in ("resnet18", "resnet34")},
    **{name: _Network("networks.resnet", 16, 512, stems=True) for name in ("resnet50", "resnet101")},
}
NETWORKS: tuple[str, ...] = tuple(sorted(_NETWORKS))
_OWN = _Network("networks.own", 8, 512)
_OWN_NAME = re.compile(r"[\w.+-]+\.py:[A-Za-z_]\w*")

# Command → modules that implement it; `models/main.py` only selects and calls them.
_COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("training.runtime", "training.loop"),
    "evaluate": ("training.runtime", "evaluation.evaluate"),
    "robustness": ("training.runtime", "evaluation.robustness"),
    "export": ("training.runtime", "export"),
    "profile": ("training.runtime", "evaluation.profile"),
}


def check_network(spec: TrainSpec) -> None:
    """Check that the network exists and supports the image size and the stem.

    Raises:
        SpecError: names the field.
    """
    entry = _find(spec.network)
    if (entry is _OWN) != bool(spec.network_sha256):
        raise SpecError("network_sha256: it belongs to a network of one's own, such as my_net.py:MyNet, and only there")
    if not entry.smallest <= spec.image_size <= entry.largest:
        raise SpecError(
            f"image_size: {spec.network} supports {entry.smallest} to {entry.largest} pixels, not {spec.image_size}",
            "choose another size or network",
        )
    if spec.stem != "native" and not entry.stems:
        raise SpecError(f"stem: {spec.network} has only one stem", "set stem=native")


def module_of(network: str, package: str = "models") -> str:
    """Return the module that defines a network, such as `models.networks.lenet`; it has `build(spec)`.

    Raises:
        SpecError: the network does not exist.
    """
    return f"{package}.{_find(network).module}"


def code_of(command: str, network: str) -> tuple[str, ...]:
    """Return the modules whose import closure determines a command's bytes; `robustness` is `evaluate` on corruptions.

    The modules of the specification and this one are left out: their effect is in the resolved specification, which
    is an ingredient itself.
    """
    return (*(f"models.{name}" for name in _COMMANDS[command]), module_of(network))


def _find(network: str) -> _Network:
    if _OWN_NAME.fullmatch(network):
        return _OWN
    if network not in _NETWORKS:
        raise SpecError(f"network: '{network}' is unknown", nearest(network, NETWORKS))
    return _NETWORKS[network]
