"""Recipes: named training specifications whose fields can be overridden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..failures import SpecError
from ..networks.registry import check_network
from .train_spec import TrainSpec, from_json, to_json, with_fields
from .values import nearest, read_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RECIPES", "SpecError", "TrainSpec", "from_json", "load", "resolve", "to_json"]

# docs/reference/tutorials.md T4: LeNet5, batch 32, Momentum 0.9, no weight decay, cosine from 0.01 over all steps.
_LENET5 = TrainSpec(network="lenet5", batch_size=32, momentum=0.9, learning_rate=0.01, schedule="cosine")

# docs/reference/tutorials.md T0: ResNet50, batch 32, 90 epochs, warm-up from 0.01 to 0.1 over 5 epochs, then quadratic.
_RESNET50 = TrainSpec(
    network="resnet50",
    batch_size=32,
    epochs=90,
    momentum=0.9,
    learning_rate=0.1,
    schedule="square",
    warmup_epochs=5,
    warmup_rate=0.01,
)

RECIPES: dict[str, TrainSpec] = {
    "lenet5-sample": with_fields(_LENET5, {"epochs": 30}),
    "lenet5-tutorial": with_fields(_LENET5, {"epochs": 50}),
    "resnet50-tutorial": _RESNET50,
    # docs/reference/tutorials.md T2: the board program expects 224 pixels.
    "resnet50-board": with_fields(_RESNET50, {"image_size": 224}),
    # He et al. 2015 §4.2: 64,000 steps of 128 images, the rate divided by 10 after 32,000 and 48,000.
    "resnet20-paper": TrainSpec(
        network="resnet20",
        batch_size=128,
        epochs=164,
        learning_rate=0.1,
        schedule="stage",
        milestones=(82, 123),
        decay_rate=0.1,
        weight_decay=1e-4,
    ),
    # For the tuning score (docs/learning.md).
    "compact": TrainSpec(
        network="compact",
        batch_size=128,
        epochs=30,
        nesterov=True,
        learning_rate=0.1,
        schedule="one-cycle",
        weight_decay=5e-4,
        decay_all=False,
        evaluate_every=4,
    ),
    # K. Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", listing of airbench94, for the mean loss of a
    # batch: rate 11.5 and decay 0.0153 for 1,024 images mean 1.5 = 11.5 / (1 + 1 / (1 - 0.85)) and 0.00133 here.
    "fast94": TrainSpec(
        network="fast94",
        batch_size=1024,
        epochs=10,
        momentum=0.85,
        nesterov=True,
        learning_rate=1.5,
        schedule="triangle",
        weight_decay=0.00133,
        bias_rate=64.0,
        crop=2,
        crop_border="mirrored",
        flip_in_turn=True,
        label_smoothing=0.2,
        lookahead=5,
    ),
    # From a checkpoint of the same network to few pictures of other classes (docs/learning.md): first the head, then
    # all layers, those before it at a fiftieth of the rate. J. Yosinski et al. 2014, "How transferable are features in
    # deep neural networks?", §4.1 for what freezing alone loses.
    "transfer": TrainSpec(
        network="compact",
        batch_size=20,
        epochs=40,
        nesterov=True,
        learning_rate=0.05,
        weight_decay=5e-4,
        decay_all=False,
        evaluate_every=10,
        new_head=True,
        freeze_epochs=15,
        body_rate=0.02,
    ),
    # A first result in minutes (docs/learning.md).
    "quick": TrainSpec(
        network="compact",
        width=0.5,
        batch_size=32,
        epochs=1,
        nesterov=True,
        learning_rate=0.05,
        schedule="one-cycle",
        weight_decay=1e-4,
        decay_all=False,
        crop=0,
    ),
}


def resolve(recipe: str, overrides: Mapping[str, object] | None = None, *, network: bool = True) -> TrainSpec:
    """Return the specification of a recipe with changed fields.

    With so few epochs that the recipe's warm-up does not fit, the warm-up is shortened in proportion.

    Example:
        >>> resolve("lenet5-sample", {"epochs": "3"}).epochs
        3

    Args:
        recipe: a name in `RECIPES`.
        overrides: values by field; text is converted to the field's type.
        network: False leaves out the check of network, size and stem against each other.

    Raises:
        SpecError: a recipe, field or network is unknown (the hint names the nearest one), or a value is invalid.
    """
    if recipe not in RECIPES:
        raise SpecError(f"recipe: '{recipe}' is unknown", nearest(recipe, RECIPES))
    changes = dict(overrides or {})
    spec = with_fields(RECIPES[recipe], _warmup(RECIPES[recipe], changes) | changes)
    if network:
        check_network(spec)
    return spec


def _warmup(recipe: TrainSpec, changes: Mapping[str, object]) -> dict[str, object]:
    """Return the warm-up for a shorter run; nothing when the recipe's fits, or the user sets one."""
    if "epochs" not in changes or "warmup_epochs" in changes:
        return {}
    epochs = read_value("epochs", changes["epochs"], recipe.epochs)
    if not isinstance(epochs, int) or recipe.warmup_epochs < epochs:
        return {}
    return {"warmup_epochs": max(0, recipe.warmup_epochs * epochs // recipe.epochs)}


def load(text: str) -> TrainSpec:
    """Read a specification from JSON and check its network.

    Raises:
        SpecError: the specification is invalid.
    """
    spec = from_json(text)
    check_network(spec)
    return spec
