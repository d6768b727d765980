"""Environments with other versions of Pillow, for `tests/unit/models/test_pillow_versions.py`.

`python -m tests.pillows` makes those for whose Python there is an interpreter here; the others' tests are skipped.
"""

import os
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".venv" / "pillow"
# Version of Pillow → version of Python that has a wheel of it; 5.1 is that of Ubuntu 18.04, which boards run.
VERSIONS = {
    "5.1.0": "3.6",
    "6.2.2": "3.7",
    "7.2.0": "3.8",
    "8.0.1": "3.9",
    "8.4.0": "3.9",
    "9.5.0": "3.7",
    "10.4.0": "3.8",
    "11.3.0": "3.9",
    "12.0.0": "3.13",
}


def interpreter(python: str) -> str | None:
    """Find a Python of this version: on PATH, or of pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(str(path) for path in root.glob(f"{python}.*/bin/python{python}"))
    found = shutil.which(f"python{python}")
    for path in [*installed, *([found] if found else [])]:
        if subprocess.run([path, "-c", "import venv"], check=False, capture_output=True).returncode == 0:
            return path
    return None


def main() -> None:
    for pillow, python in VERSIONS.items():
        folder, path = FOLDER / pillow, interpreter(python)
        if folder.exists():
            continue
        if path is None:
            print(f"no Python {python} for Pillow {pillow}")
            continue
        subprocess.run([path, "-m", "venv", folder], check=True)
        command = [
            str(folder / "bin" / "pip"),
            "install",
            "--quiet",
            "--only-binary",
            ":all:",
            f"pillow=={pillow}",
            "numpy",
        ]
        if subprocess.run(command, check=False).returncode != 0:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
