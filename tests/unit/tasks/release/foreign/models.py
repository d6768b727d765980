"""Models of other exporters, prepared as the convert stage does it, and pictures for them."""

from typing import Any

import numpy as np

from infra.atc.lint import fixes
from infra.atc.lint.findings import errors
from tasks.release.foreign import adapt, classifier
from tests.unit.infra.atc import foreign

PICTURES = np.random.default_rng(5).integers(0, 256, (6, 3, foreign.SIZE, foreign.SIZE)).astype(np.float32)
CLASSES = {"keras_binary": 2}


def adapted(name: str, **options: Any) -> Any:
    """The user's model, what it is, and the model for boards."""
    model = foreign.MODELS[name]()
    fixed, _ = fixes.apply(model, size=foreign.SIZE, **options)
    reading = classifier.read(fixed, CLASSES.get(name, foreign.CLASSES))
    assert errors(reading.findings) == []
    return model, reading, adapt.adapt(fixed, reading)
