"""What the benchmarks share: commands, timing, medians, and how results are shown."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

ATLASFLOW = str(Path(sys.executable).with_name("atlasflow"))
PEERS = Path(sys.executable).parent.parent / "bench" / "bin"


@contextmanager
def temporary_home() -> Iterator[dict[str, str]]:
    """An environment with a home of its own; its services are stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as folder:
        environment = {**os.environ, "ATLASFLOW_HOME": str(Path(folder) / "home")}
        try:
            yield environment
        finally:
            subprocess.run([ATLASFLOW, "down"], env=environment, check=True, capture_output=True)


def seconds(command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> float:
    """Wall time of a command that must succeed."""
    begun = time.perf_counter()
    finished = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - begun
    if finished.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{finished.stdout}{finished.stderr}")
    return elapsed


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def arguments(description: str, rounds: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="how often everything is measured, in turn")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def processor() -> str:
    """The processor's name, and the widest instructions that kernels use on it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if platform.system() == "Linux" else []
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in values.get("flags", "").split()]
    family = f"family {values['cpu family']} model {values['model']}" if "cpu family" in values else ""
    return " ".join([values.get("model name", platform.machine()), family, *flags])


def show(title: str, rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    machine = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if as_json:
        print(json.dumps({"title": title, "machine": machine, "rows": list(rows)}, indent=1))
        return
    table = Table(title=f"{title} ({machine})", title_justify="left")
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=120).print(table)
