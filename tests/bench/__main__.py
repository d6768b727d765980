"""All measurements, one after the other: `python -m tests.bench` or `make bench`."""

import subprocess
import sys
from pathlib import Path

for path in sorted(Path(__file__).parent.glob("*.py")):
    if path.stem not in ("__main__", "__init__", "common"):
        subprocess.run([sys.executable, "-m", f"tests.bench.{path.stem}"], check=True)
