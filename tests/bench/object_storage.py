"""Object storage against `aws s3` (awscli) and `rclone`, as processes, in turn, on the same local server.

    python -m tests.bench.object_storage [--rounds N] [--json]

`ours` is a process of its own, as the peers are; `ours, in the chain` is the same operation without the start of
Python and without the digests of what is sent, since the chain's process runs already and its receipts have them.
Goals: one file of 171 MB at least as fast as the better peer; 2,000 files of 3 KB, as an archive, at least 3 times as
fast; peak memory under 200 MB; a synchronisation of 2,000 objects with nothing to send in under 0.25 of `aws s3 sync`.
The server is the embedded one, or any that
`ATLASFLOW_TEST_S3_ENDPOINT`, `…_ACCESS_KEY`, `…_SECRET_KEY` name. rclone is the Debian package; without it its rows are
left out.
"""

import filecmp
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from infra.obs.client import ObsClient, connect
from infra.obs.emulator import seaweedfs
from infra.services import Services
from infra.settings import ObsSettings
from tests.bench.common import PEERS, arguments, median, show

LARGE = 171_000_000
COUNT, SMALL = 2000, 3000
REAL = "ATLASFLOW_TEST_S3_"
PEER_NAMES = ("aws s3", "rclone")

Command = Sequence[str]
Measured = dict[tuple[str, str], list[tuple[float, int]]]


def main() -> None:
    options = arguments(__doc__, rounds=5)
    with tempfile.TemporaryDirectory(prefix="atlasflow-bench-") as folder, server(Path(folder)) as settings:
        client = connect(settings)
        client.ensure_bucket()
        try:
            rows = measure(Path(folder), settings, client, options.rounds)
        finally:
            client.delete(key for key, _ in client.list(""))
            client.remove_bucket()
    show("object storage", rows, as_json=options.json)


@contextmanager
def server(folder: Path) -> Iterator[ObsSettings]:
    bucket = f"atlasflow-bench-{secrets.token_hex(4)}"
    if f"{REAL}ENDPOINT" in os.environ:
        given = {name: os.environ[REAL + name.upper()] for name in ("endpoint", "access_key", "secret_key")}
        yield ObsSettings(bucket=bucket, region=os.environ.get(f"{REAL}REGION", "us-east-1"), **given)
        return
    services = Services(folder / "home")
    services.start(seaweedfs.service(services, folder / "home"))
    try:
        yield seaweedfs.reach(ObsSettings(bucket=bucket), services, folder / "home")
    finally:
        services.stop(seaweedfs.NAME)


def measure(folder: Path, settings: ObsSettings, client: ObsClient, rounds: int) -> list[dict[str, object]]:
    source, out = folder / "source", folder / "out"
    (source / "small").mkdir(parents=True)
    with (source / "large").open("wb") as file:
        for _ in range(LARGE // 1_000_000):  # a child's peak memory is never less than its parent's
            file.write(os.urandom(1_000_000))
    for number in range(COUNT):
        (source / "small" / f"{number:04}").write_bytes(os.urandom(SMALL))
    tasks = commands(settings.bucket, source, out)
    measured: Measured = {}
    for number in range(rounds):
        for task, ways in tasks.items():
            turn = number % len(ways)
            for name in [*ways][turn:] + [*ways][:turn]:
                prepare(task, name, client, out)
                elapsed, memory, told = run(ways[name], settings)
                measured.setdefault((task, name), []).append((elapsed, memory))
                if told:
                    measured.setdefault((task, f"{name}, in the chain"), []).append((float(told), memory))
                check(task, source, out)
    return [row for task in tasks for row in rows(task, measured)]


def prepare(task: str, name: str, client: ObsClient, out: Path) -> None:
    """Nothing of an earlier round is left where this one writes."""
    if task.startswith("upload"):
        client.delete(key for key, _ in client.list(f"{name}/{task.removeprefix('upload ')}"))
    elif out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)


def check(task: str, source: Path, out: Path) -> None:
    if task == "download large" and not filecmp.cmp(source / "large", out, shallow=False):
        raise SystemExit("what was downloaded is not what was uploaded")
    names = [path.name for path in (source / "small").iterdir()]
    if task == "download small" and len(filecmp.cmpfiles(source / "small", out, names, shallow=False)[0]) != COUNT:
        raise SystemExit("the files that were downloaded are not those that were uploaded")


def commands(bucket: str, source: Path, out: Path) -> dict[str, dict[str, Command]]:
    """For each task the command of each way; uploads fill the places that later tasks read."""
    aws = [str(PEERS / "aws"), "s3"]
    quiet = "--only-show-errors"
    large, small, target = str(source / "large"), str(source / "small"), str(out)
    tasks: dict[str, dict[str, Command]] = {
        "upload large": {
            "ours": ours("put", large, "ours/large"),
            "aws s3": [*aws, "cp", quiet, large, f"s3://{bucket}/aws s3/large"],
            "rclone": ["rclone", "copyto", large, f"bench:{bucket}/rclone/large"],
        },
        "download large": {
            "ours": ours("get", target, "ours/large"),
            "aws s3": [*aws, "cp", quiet, f"s3://{bucket}/aws s3/large", target],
            "rclone": ["rclone", "copyto", f"bench:{bucket}/rclone/large", target],
        },
        "upload small": {
            "ours": ours("archive", small, "ours/small.tar"),
            "ours, single objects": ours("sync", small, "ours, single objects/small"),
            "aws s3": [*aws, "cp", quiet, "--recursive", small, f"s3://{bucket}/aws s3/small"],
            "rclone": ["rclone", "copy", small, f"bench:{bucket}/rclone/small"],
        },
        "download small": {
            "ours": ours("unarchive", target, "ours/small.tar"),
            "aws s3": [*aws, "cp", quiet, "--recursive", f"s3://{bucket}/aws s3/small", target],
            "rclone": ["rclone", "copy", f"bench:{bucket}/rclone/small", target],
        },
        "nothing to send": {
            "ours": ours("archive", small, "ours/small.tar"),
            "ours, single objects": ours("sync", small, "ours, single objects/small"),
            "aws s3": [*aws, "sync", quiet, small, f"s3://{bucket}/aws s3/small"],
            "rclone": ["rclone", "sync", small, f"bench:{bucket}/rclone/small"],
        },
    }
    if shutil.which("rclone") is None:
        for ways in tasks.values():
            del ways["rclone"]
    return tasks


def ours(operation: str, path: str, key: str) -> Command:
    return [sys.executable, "-m", "tests.bench.programs.transfer", operation, path, key]


def run(command: Command, settings: ObsSettings) -> tuple[float, int, str]:
    """Wall time in seconds, peak memory in bytes and output of a command that must succeed."""
    begun = time.perf_counter()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    with Popen(command, stdin=PIPE, stdout=PIPE, env={**inherited, **peer_environment(settings)}) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(plain(settings)).encode())
        process.stdin.close()
        told = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024, told


def plain(settings: ObsSettings) -> Mapping[str, str]:
    return {
        "endpoint": settings.endpoint,
        "region": settings.region,
        "bucket": settings.bucket,
        "access_key": settings.access_key.get_secret_value(),
        "secret_key": settings.secret_key.get_secret_value(),
    }


def peer_environment(settings: ObsSettings) -> Mapping[str, str]:
    given = plain(settings)
    return {
        "AWS_ENDPOINT_URL": given["endpoint"],
        "AWS_DEFAULT_REGION": given["region"],
        "AWS_ACCESS_KEY_ID": given["access_key"],
        "AWS_SECRET_ACCESS_KEY": given["secret_key"],
        "AWS_CONFIG_FILE": os.devnull,
        "RCLONE_CONFIG": "",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ENDPOINT": given["endpoint"],
        "RCLONE_CONFIG_BENCH_REGION": given["region"],
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": given["access_key"],
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": given["secret_key"],
    }


def rows(task: str, measured: Measured) -> Iterator[dict[str, object]]:
    """Medians; `of best peer` and `of aws` are ratios of times, below 1 is faster."""
    names = sorted(name for done, name in measured if done == task)
    times = {name: median([elapsed for elapsed, _ in measured[task, name]]) for name in names}
    best = min(times[name] for name in PEER_NAMES if name in times)
    for name in names:
        yield {
            "task": task,
            "way": name,
            "median s": times[name],
            "of best peer": times[name] / best,
            "of aws": times[name] / times["aws s3"],
            "peak MB": max(memory for _, memory in measured[task, name]) // 1_000_000,
            "rounds": len(measured[task, name]),
        }


if __name__ == "__main__":
    main()
