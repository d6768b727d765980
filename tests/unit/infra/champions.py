"""Champions for tests."""

from infra.champions import Champion


def champion(release, when=1.0, **changed):
    values = {
        "release": release,
        "checkpoint": f"checkpoint of {release}",
        "recipe": "lenet5-sample",
        "spec": {"epochs": 2, "network": "lenet5"},
        "data": "d" * 64,
        "code": "c" * 64,
        "metrics": {"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6], "images": 100, "loss": 1.5},
        "keys": {"train": f"train {release}", "publish": f"publish {release}"},
        "emulated": ["convert"],
        "published": f"obs://atlasflow/releases/{release}/",
        "when": when,
        "who": "Ada",
        "why": "first",
    }
    return Champion(**(values | changed))
