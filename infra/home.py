"""Where the checkout lies, where this installation keeps its state, and which boards it knows."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder of store, services and runs: `$ATLASFLOW_HOME`, by default `.atlasflow` in the checkout."""
    return Path(os.environ.get("ATLASFLOW_HOME") or CHECKOUT / ".atlasflow").absolute()


def python_path() -> str:
    """`PYTHONPATH` for a process of ours that may start in any folder: the checkout, before what is set already."""
    return os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH", "")])])


def enter_checkout() -> dict[str, str]:
    """Go to this machine's checkout. Workers do so before a flow run, wherever the deployment was made."""
    os.chdir(CHECKOUT)
    return {"directory": str(CHECKOUT)}


def fleet_file() -> Path:
    """The file of the boards: `$ATLASFLOW_FLEET`, by default `boards.toml` in the home; it need not be there."""
    return Path(os.environ.get("ATLASFLOW_FLEET") or home() / "boards.toml").absolute()
