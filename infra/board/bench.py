"""Measure the model in service on a board, and write the measurement as Huawei's `ais_bench` does."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from infra.board import answers
from infra.board.session import Session
from infra.errors import Refused
from infra.ports.bench import Bench, DeviceBench, Times

SECONDS = 1800.0


async def bench(session: Session, runs: int, batch: int, devices: str) -> Bench:
    """Time the active release on some devices at the same time.

    Raises:
        Refused: no release is active.
        Corrupt: the board's answer cannot be used.
    """
    active = (await session.ask("state", answers.state)).active
    if active is None:
        raise Refused(f"board {session.name} has no release in service", hint="deploy one first")
    words = ["bench", "--json", "--runs", str(runs), "--batch", str(batch), *device_words(devices)]
    return await session.ask(
        "agent", read_bench, timeout=SECONDS + 30, release=active, arguments=words, seconds=SECONDS
    )


def device_words(devices: str) -> list[str]:
    """The words of the agent's command line for these devices; none for its own choice, the first."""
    return [] if devices == "0" else ["--device", devices]


def read_bench(said: Any) -> Bench:
    """Read the agent's answer.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    devices = tuple(_device(item) for item in answers.items(said["devices"]))
    if not devices:
        raise ValueError("no device was measured")
    return Bench(
        answers.release_id(said["release"]),
        answers.text(said["soc_version"], answers.MAX_WORD),
        said["emulated"] is True,
        answers.count(said["runs"]),
        answers.count(said["batch"]),
        answers.number(said["images_a_second"]),
        devices,
    )


def _device(said: Any) -> DeviceBench:
    times = [_times(said[name]) for name in ("whole", "upload", "compute", "download")]
    return DeviceBench(answers.count(said["device"]), answers.number(said["images_a_second"]), *times)


def _times(said: Any) -> Times:
    return Times(*(answers.number(said[field.name]) for field in fields(Times)))


def as_ais_bench(found: Bench) -> Iterator[str]:
    """The lines of `ais_bench`, which scripts search for throughput and latency (docs/reference/boards.md §5).

    Its throughput counts the execution alone, without the copies.
    """
    if found.emulated:
        yield "[WARNING] measured on a stand-in: these numbers say nothing about a board"
    throughputs = []
    for device in found.devices:
        throughputs.append(1000 * found.batch / device.compute.mean)
        yield "[INFO] -----------------Performance Summary------------------"
        yield f"[INFO] H2D_latency (ms): {_summary(device.upload)}"
        yield f"[INFO] NPU_compute_time (ms): {_summary(device.compute)}"
        yield f"[INFO] D2H_latency (ms): {_summary(device.download)}"
        yield (
            f"[INFO] throughput 1000*batchsize.mean({found.batch})/NPU_compute_time.mean({device.compute.mean}): "
            f"{throughputs[-1]}"
        )
        yield "[INFO] ------------------------------------------------------"
    if len(found.devices) > 1:
        for index, (device, throughput) in enumerate(zip(found.devices, throughputs, strict=True)):
            yield f"[INFO] i:{index} device_{device.device} throughput:{throughput}"
        yield f"[INFO] summary throughput:{sum(throughputs)}"


def _summary(times: Times) -> str:
    return (
        f"min = {times.least}, max = {times.most}, mean = {times.mean}, median = {times.p50}, "
        f"percentile(99%) = {times.p99}"
    )
