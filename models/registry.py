"""Networks by name. Standard library only: a network's module is imported when that network is built.

Whoever digests code takes `module_of` the chosen network, so that work on one family leaves the others' results valid.
"""

from __future__ import annotations

from .failures import SpecError
from .trainspec import nearest

# Name → (module beside this one, smallest and largest image size).
_NETWORKS: dict[str, tuple[str, int, int]] = {
    "lenet5": ("networks.lenet", 16, 64),
}
NETWORKS: tuple[str, ...] = tuple(sorted(_NETWORKS))

# Command → modules in which its work happens. `models/main.py` only picks and calls them.
_WORK: dict[str, tuple[str, ...]] = {
    "train": ("training",),
    "evaluate": ("evaluation",),
    "export": ("exporting",),
}


def check_network(network: str, image_size: int) -> None:
    """Refuse an unknown network, or an image size that it cannot take.

    Raises:
        SpecError: names the field.
    """
    if network not in _NETWORKS:
        raise SpecError(f"network: there is no '{network}'", nearest(network, NETWORKS))
    _, smallest, largest = _NETWORKS[network]
    if not smallest <= image_size <= largest:
        raise SpecError(f"image_size: {network} takes {smallest} to {largest} pixels, not {image_size}", "32 is native")


def module_of(network: str, package: str = "models") -> str:
    """The module that defines a network, such as `models.networks.lenet`; it has `build(spec)`.

    Raises:
        SpecError: there is no such network.
    """
    if network not in _NETWORKS:
        raise SpecError(f"network: there is no '{network}'", nearest(network, NETWORKS))
    return f"{package}.{_NETWORKS[network][0]}"


def code_of(command: str, network: str) -> tuple[str, ...]:
    """The modules whose import closure decides the bytes that `train`, `evaluate` or `export` makes.

    The specification's own modules and this one are not among them: what they decide is in the resolved
    specification, which is an ingredient itself.
    """
    return (*(f"models.{name}" for name in _WORK[command]), module_of(network))
