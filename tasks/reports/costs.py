"""What a network costs, as `models/evaluation/profile.py` measures it: layers, size, latency, tuning score."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Layer:
    """A layer with the shape of its output for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Layer:
        """Read one of the `layers`."""
        return cls(**{**value, "shape": tuple(value["shape"])})


@dataclass(frozen=True)
class Array:
    """A trainable parameter: weights or biases of a layer."""

    name: str
    shape: tuple[int, ...]
    size: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Array:
        """Read one of the `arrays`."""
        return cls(**{**value, "shape": tuple(value["shape"])})


@dataclass(frozen=True)
class Network:
    """`network.json`: a network that need not be trained."""

    network: str
    layers: tuple[Layer, ...]
    parameters: int
    multiply_adds: int
    arrays: tuple[Array, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Network:
        """Read the object in `network.json`."""
        lists = {
            "layers": tuple(map(Layer.from_json, value["layers"])),
            "arrays": tuple(map(Array.from_json, value["arrays"])),
        }
        return cls(**{**value, **lists})


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one image; `pinned` says whether the threads were pinned to cores."""

    mean: float
    median: float
    p10: float
    p90: float
    p99: float
    pinned: bool


@dataclass(frozen=True)
class OnnxFile:
    """The exported file: its size in 10^6 bytes, and its latency in ONNX Runtime."""

    size_mb: float
    latency_ms: Latency


@dataclass(frozen=True)
class TrainedNetwork:
    """`profile.json` of a trained network.

    Attributes:
        layers: in order.
        parameters: trainable ones.
        multiply_adds: of one image.
        size_mb: of the parameters, in 10^6 bytes.
        latency_ms: of MindSpore.
        accuracy: on the evaluation images.
        images: how many.
        score: the tuning score.
        onnx: None when it was not exported.
    """

    layers: tuple[Layer, ...]
    parameters: int
    multiply_adds: int
    size_mb: float
    latency_ms: Latency
    accuracy: float
    images: int
    score: float
    onnx: OnnxFile | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainedNetwork:
        """Read the object in `profile.json`."""
        onnx = value.get("onnx")
        return cls(
            **{
                **value,
                "layers": tuple(map(Layer.from_json, value["layers"])),
                "latency_ms": Latency(**value["latency_ms"]),
                "onnx": None if onnx is None else OnnxFile(onnx["size_mb"], Latency(**onnx["latency_ms"])),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The object in `profile.json`."""
        return {name: value for name, value in asdict(self).items() if value is not None}
