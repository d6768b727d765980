"""A release to many boards at once, against Fabric's ThreadingGroup: the same files, checks and smoke test.

    python -m tests.bench.fleet [--boards 10 50 100] [--at-once N] [--rounds N] [--json]

The boards are release folders behind one real OpenSSH server on 127.0.0.1, each with the stand-in's Python and `acl`.
Fabric copies every file, checks the digests (`sha256sum -c`), runs the smoke test and switches a link; AtlasFlow also
looks at each board before it copies, takes its lock, flushes to disk and keeps a journal. Clients run in processes of
their own: seconds are wall time of the whole fleet, CPU and memory are the client's alone.

Goal: AtlasFlow at least as fast as Fabric, time and memory growing no faster than the number of boards.
"""

import argparse
import getpass
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from infra.board.emulator import service
from infra.home import CHECKOUT
from infra.services import Services
from infra.settings import load
from infra.world import World
from tests import boards
from tests.bench.common import PEERS, median, show
from tests.openssh import OpenSsh

PROGRAMS = Path(__file__).parent / "programs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, nargs="+", default=[10, 50, 100])
    parser.add_argument("--at-once", type=int, default=32, help="boards that AtlasFlow works on at once")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as folder:
        show("a release to a fleet", measure(Path(folder), options), as_json=options.json)


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    home = folder / "home"
    services = Services(home)
    service.service(services, home, "fleet")  # makes the board's home; the server is OpenSSH
    settings = service.board_settings(services, home, "fleet")
    board = home / "boards" / "fleet"
    release = boards.release_folder(folder / "release", "bench")
    boards.signed_by(World(load(), home), release)
    manifest = subprocess.check_output(["find", ".", "-type", "f", "-exec", "sha256sum", "{}", "+"], cwd=release)
    (release / "manifest.sha256").write_bytes(manifest)
    rows = []
    with OpenSsh(board) as port:
        for number in options.boards:
            found: dict[str, list[Mapping[str, float]]] = {"Fabric ThreadingGroup": [], "AtlasFlow rollout": []}
            for turn in range(options.rounds):
                names = {word: board / "home" / f"{word}-{number}-{turn}" for word in ("fabric", "atlasflow")}
                found["Fabric ThreadingGroup"].append(
                    run(
                        [
                            PEERS / "python",
                            PROGRAMS / "fleet_fabric.py",
                            port,
                            getpass.getuser(),
                            settings.key,
                            release,
                        ],
                        [number, names["fabric"], command(board)],
                        number,
                    )
                )
                found["AtlasFlow rollout"].append(
                    run(
                        [sys.executable, PROGRAMS / "fleet_atlasflow.py", port, getpass.getuser(), settings.key],
                        [
                            settings.host_key,
                            release,
                            number,
                            names["atlasflow"],
                            options.at_once,
                            folder / f"c{number}{turn}",
                        ],
                        number,
                    )
                )
                for made in (board / "home").glob("*-*-*"):
                    shutil.rmtree(made)
            rows += [row(name, number, results) for name, results in found.items()]
    return rows


def command(board: Path) -> str:
    """What a deployment by hand would run: check, smoke test, switch."""
    script = shlex.quote(str(board / "home" / "Ascend" / "ascend-toolkit" / "set_env.sh"))
    return (
        f". {script} && cd {{board}} && sha256sum --quiet -c manifest.sha256 && "
        "python3 -B agent/main.py smoke --json && ln -sfn {board} {board}/current"
    )


def run(program: list[object], arguments: list[object], number: int) -> Mapping[str, float]:
    finished = subprocess.run(
        [str(part) for part in (*program, *arguments)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise SystemExit(finished.stderr[-3000:])
    said: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    if said["ok"] != number:
        raise SystemExit(f"{said['ok']} of {number} boards: {finished.stdout}")
    return said


def row(name: str, number: int, results: list[Mapping[str, float]]) -> dict[str, object]:
    seconds = median([result["seconds"] for result in results])
    return {
        "client": name,
        "boards": number,
        "seconds": seconds,
        "seconds a board": seconds / number,
        "client CPU s": median([result["cpu_seconds"] for result in results]),
        "client peak MB": median([result["peak_kilobytes"] for result in results]) / 1024,
    }


if __name__ == "__main__":
    main()
