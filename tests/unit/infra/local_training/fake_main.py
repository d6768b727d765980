"""A small program with the interface of models/main.py, for tests without MindSpore."""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any


def exit_with_stdin() -> None:
    sys.stdin.read()
    os._exit(143)


def report(**event: object) -> None:
    print("@atlasflow " + json.dumps(event), flush=True)


def misbehave(spec: dict[str, Any]) -> None:
    """Fail as the spec asks."""
    if "error" in spec:
        report(event="error", **spec["error"])
    if "slow_stop" in spec:

        def stop_slowly(*_: object) -> None:
            time.sleep(spec["slow_stop"])
            os._exit(143)

        signal.signal(signal.SIGTERM, stop_slowly)
    if "pid_file" in spec:
        pid_file = Path(spec["pid_file"])
        pid_file.with_suffix(".new").write_text(str(os.getpid()))
        pid_file.with_suffix(".new").rename(pid_file)
        time.sleep(600)
    if "signal" in spec:
        os.kill(os.getpid(), spec["signal"])
    if "exit" in spec:
        print("about to end", flush=True)
        sys.exit(spec["exit"])


def train(options: argparse.Namespace, spec: dict[str, Any]) -> None:
    seen = sorted(path.name for path in options.data_url.rglob("*") if path.is_file())
    for epoch in range(len(list(options.train_url.glob("epoch-*.ckpt"))) + 1, spec["epochs"] + 1):
        (options.train_url / f"epoch-{epoch}.ckpt").write_text(f"{epoch} {seen}")
        report(event="epoch", epoch=epoch, epochs=spec["epochs"], loss=1 / epoch, step_ms=1.0, images_per_second=9.0)
        if spec.get("break_after") == epoch:
            sys.exit(5)
        while "wait_for" in spec and not Path(spec["wait_for"]).exists():
            time.sleep(0.01)
    if options.pretrain_url:
        start = options.pretrain_url
        start = next(start.iterdir()) if start.is_dir() else start
        (options.train_url / "pretrained.json").write_text(json.dumps({"start": start.read_text()}))
    (options.train_url / "history.json").write_text(json.dumps({"epochs": spec["epochs"]}))
    results = sorted(path for path in options.train_url.iterdir() if path.name != "digests.json")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in results}
    digests |= spec.get("digests", {})
    if not spec.get("no_digests"):
        (options.train_url / "digests.json").write_text(json.dumps(digests))


def main() -> None:
    if os.environ.get("ATLASFLOW_EXIT_WITH_STDIN") == "1":
        threading.Thread(target=exit_with_stdin, daemon=True).start()
    parser = argparse.ArgumentParser()
    parser.add_argument("command", nargs="?", default="train")
    for name in ("--data_url", "--train_url", "--resume_url", "--pretrain_url", "--spec"):
        parser.add_argument(name, type=Path)
    options, rest = parser.parse_known_args()
    spec = json.loads(options.spec.read_text() if options.spec else os.environ["ATLASFLOW_SPEC"])
    for path in options.resume_url.glob("epoch-*.ckpt") if options.resume_url else ():
        shutil.copy(path, options.train_url)
    print("fake", options.command, *rest, flush=True)
    misbehave(spec)
    train(options, spec)


if __name__ == "__main__":
    main()
