"""The whole chain from nothing, as `make run` does it: wall time, what is not training, accuracy, memory.

    python -m tests.bench.chain [--rounds N] [--json]

A round is a new home and a new seed. Goal: under 180 s, of which all but training under 60 s; accuracy about 0.55; no
process but the training one above 900 MB; idle services together under 700 MB.
"""

import json
import subprocess
import threading
import time
from collections import defaultdict

import psutil

from tests.bench.common import ATLASFLOW, arguments, show, temporary_home


def main() -> None:
    options = arguments(__doc__, rounds=3)
    rows = [measure(seed) for seed in range(1, options.rounds + 1)]
    show("the whole chain", rows, as_json=options.json)


def measure(seed: int) -> dict[str, object]:
    setting = ["--set", f"train.seed={seed}"]
    with temporary_home() as environment:
        begun = time.perf_counter()
        with subprocess.Popen([ATLASFLOW, "run", *setting], env=environment, stdout=subprocess.DEVNULL) as process:
            peaks = watch(process, environment["ATLASFLOW_HOME"])
        elapsed = time.perf_counter() - begun
        if process.returncode != 0:
            raise SystemExit(f"atlasflow run ended with exit code {process.returncode}")
        stages = json.loads(subprocess.check_output([ATLASFLOW, "status", "--json", *setting], env=environment))
        training = next(stage["seconds"] for stage in stages if stage["stage"] == "train")
        metrics = f"{environment['ATLASFLOW_HOME']}/latest/evaluate/metrics.json"
        with open(metrics) as file:  # noqa: PTH123
            accuracy = json.load(file)["accuracy"]
        time.sleep(5)  # services at rest
        idle = sum(memory(one) for one in belonging(environment["ATLASFLOW_HOME"]))
        return {
            "seed": seed,
            "accuracy": accuracy,
            "total s": elapsed,
            "training s": training,
            "other s": elapsed - training,
            "training MB": peaks.pop("training") / 1e6,
            "largest other MB": max(peaks.values()) / 1e6,
            "idle services MB": idle / 1e6,
        }


def watch(process: "subprocess.Popen[bytes]", home: str) -> dict[str, int]:
    """Peak resident bytes of the training process and of each other one, sampled ten times a second."""
    peaks: dict[str, int] = defaultdict(int)
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.1):
            for one in belonging(home):
                command = " ".join(command_line(one))
                name = "training" if "main.py train" in command else str(one.pid)
                peaks[name] = max(peaks[name], memory(one))

    thread = threading.Thread(target=sample)
    thread.start()
    process.wait()
    done.set()
    thread.join()
    return peaks


def belonging(home: str) -> list[psutil.Process]:
    """All processes that have this home in their environment."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get("ATLASFLOW_HOME") == home:
                found.append(one)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # it ended meanwhile, or is not ours
    return found


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0


if __name__ == "__main__":
    main()
