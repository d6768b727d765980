"""Where the checkout lies, and where this installation keeps its state."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder of store, services and runs: `$ATLASFLOW_HOME`, by default `.atlasflow` in the checkout."""
    return Path(os.environ.get("ATLASFLOW_HOME") or CHECKOUT / ".atlasflow").absolute()
