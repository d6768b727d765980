"""A measurement of the model in service, as a board reports it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Times:
    """Milliseconds of many executions: percentiles, mean, smallest and largest."""

    p50: float
    p90: float
    p99: float
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class DeviceBench:
    """One device of a board: whole executions, and their parts.

    Attributes:
        device: its number.
        images_a_second: of this device, while the others work, too.
        whole: upload, execution and download together.
        upload: the copy to the device.
        compute: the execution.
        download: the copy from the device.
    """

    device: int
    images_a_second: float
    whole: Times
    upload: Times
    compute: Times
    download: Times


@dataclass(frozen=True)
class Bench:
    """The measurement of a board.

    Attributes:
        release: the one in service.
        soc_version: the chip.
        emulated: True when a stand-in computed; the figures then say nothing about a board.
        runs: executions of each device.
        batch: images in each execution.
        images_a_second: of all devices together.
        devices: measured at the same time.
    """

    release: str
    soc_version: str
    emulated: bool
    runs: int
    batch: int
    images_a_second: float
    devices: tuple[DeviceBench, ...]

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        return asdict(self)
