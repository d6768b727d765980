"""Champions for tests."""

from typing import Any

from infra.champions import Champion, Metrics


def champion(release: str, when: float = 1.0, **changed: Any) -> Champion:
    """A champion with plausible values."""
    values: dict[str, Any] = {
        "release": release,
        "checkpoint": f"checkpoint of {release}",
        "recipe": "lenet5-sample",
        "spec": {"epochs": 2, "network": "lenet5"},
        "data": "d" * 64,
        "code": "c" * 64,
        "metrics": Metrics(0.5, (0.4, 0.6), 100, 1.5),
        "keys": {"train": f"train {release}", "publish": f"publish {release}"},
        "emulated": ("convert",),
        "published": f"obs://atlasflow/releases/{release}/",
        "when": when,
        "who": "Ada",
        "why": "first",
    }
    return Champion(**(values | changed))
