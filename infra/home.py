"""The paths of the checkout, of the home and of the fleet file."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PROJECT_FILE = "atlasflow.toml"  # the profile of a project, written by `atlasflow new`
INPUTS = "inputs"  # folder of a home: local copies of objects that settings name
PROJECT = "ATLASFLOW_PROJECT"  # its path, for child processes


def home() -> Path:
    """Path of the home, with store, services and runs: `$ATLASFLOW_HOME`, else `.atlasflow` in the checkout."""
    return Path(os.environ.get("ATLASFLOW_HOME") or CHECKOUT / ".atlasflow").absolute()


def enter_project() -> None:
    """Use the project around the current folder, if there is one: its profile, and a home of its own.

    The environment carries both to child processes, which may start in another folder. A set variable stays.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            os.environ.setdefault(PROJECT, str(folder / PROJECT_FILE))
            os.environ.setdefault("ATLASFLOW_HOME", str(folder / ".atlasflow"))
            return


def python_path() -> str:
    """`PYTHONPATH` for a child process that starts in any folder: the checkout, then the present value."""
    return os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH", "")])])


def enter_checkout() -> dict[str, str]:
    """Change to the checkout of this machine. Workers do so before a flow run."""
    os.chdir(CHECKOUT)
    return {"directory": str(CHECKOUT)}


def fleet_file() -> Path:
    """Path of the fleet file, which may not exist: `$ATLASFLOW_FLEET`, else `boards.toml` in the home."""
    return Path(os.environ.get("ATLASFLOW_FLEET") or home() / "boards.toml").absolute()
