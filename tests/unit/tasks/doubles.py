"""What the tests of stages share: a `StageContext` made of plain bytes, and small worlds for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from infra.errors import Corrupt, Refused
from infra.ports.board import BoardFacts, BoardState, Classification, Installed, SmokeResult
from infra.ports.compilation import CompileRequest
from infra.ports.release import Release
from infra.ports.storage import SyncResult
from infra.ports.values import LocalFile, OnBytes, OnLine, Producer
from infra.settings import Settings, load
from infra.store.artifacts import Artifact, folder_files
from infra.store.digests import file_digest
from tasks.engine.stage import Needs, Stage, StageContext
from tests.cifar10 import CLASSES

Inputs = Mapping[str, bytes | Mapping[str, bytes]]
"""Name of an input to its bytes, or to {path inside it: bytes} for a tree."""


class Lines:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.moved: list[tuple[float, float, str]] = []

    def line(self, stage: str, text: str) -> None:
        self.lines.append(text)

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        self.moved.append((done, total, unit))


@dataclass(frozen=True)
class RememberingContext(StageContext):
    """A `StageContext` with a reporter that remembers."""

    reporter: Lines


def work_of(
    tmp_path: Path,
    inputs: Inputs,
    *,
    world: Any = None,
    settings: Mapping[str, str] | None = None,
    emulated: bool = False,
) -> RememberingContext:
    """A `StageContext` whose inputs are files: input name → bytes, or → {path inside it: bytes} for a tree."""
    artifacts: dict[str, Artifact] = {}
    files: dict[str, dict[str, LocalFile]] = {}
    for name, content in inputs.items():
        folder = tmp_path / "given" / name
        tree = not isinstance(content, bytes)
        for relative, data in ({f"{name}.bin": content} if isinstance(content, bytes) else content).items():
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            (folder / relative).write_bytes(data)
        digest, files[name] = folder_files(folder)
        size = sum(file.size for file in files[name].values())
        if not tree:
            digest = next(iter(files[name].values())).sha256
        artifacts[name] = Artifact(name, digest, size, "tree" if tree else "file", "application/octet-stream")
    scratch = tmp_path / "work"
    scratch.mkdir(exist_ok=True)
    world = world or SimpleNamespace()
    values = load(overrides=dict(settings or {}))
    return RememberingContext(values, world, "a" * 64, artifacts, files, scratch, emulated, Lines())


def needs_of(stage: Stage, settings: Settings) -> Needs:
    """The needs of a stage that depend on the settings."""
    assert callable(stage.needs)
    return stage.needs(settings)


def data_tree(count: int = 30, seed: int = 1) -> dict[str, bytes]:
    """A small data set as the download stage lays it out; image i of the evaluation has the label i modulo 10."""
    generator = np.random.default_rng(seed)
    records = generator.integers(0, 256, (count, 3073), np.uint8)
    records[:, 0] = np.arange(count) % 10
    return {"eval/test_batch.bin": records.tobytes(), "batches.meta.txt": ("\n".join(CLASSES) + "\n\n").encode()}


class Bucket:
    """An object store that is a dictionary of digests."""

    bucket = "bucket"
    emulated = True

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.made = False

    def ensure_bucket(self) -> None:
        self.made = True

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        assert self.made
        sent = [name for name, file in files.items() if self.objects.get(f"{prefix}/{name}") != file.sha256]
        for name in sent:
            assert file_digest(files[name].path) == files[name].sha256
            self.objects[f"{prefix}/{name}"] = files[name].sha256
            if progress is not None:
                progress(files[name].size)
        return SyncResult(tuple(sent), tuple(set(files) - set(sent)), sum(files[name].size for name in sent))

    def sync_archive(self, key: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        assert self.made
        if self.holds_archive(key, files):
            return SyncResult((), (key,), 0)
        self.objects[key] = {name: file_digest(file.path) for name, file in files.items()}
        size = sum(file.size for file in files.values())
        if progress is not None:
            progress(size)
        return SyncResult((key,), (), size)

    def holds_archive(self, key: str, files: Mapping[str, LocalFile]) -> bool:
        return self.objects.get(key) == {name: file.sha256 for name, file in files.items()}

    def missing(self, prefix: str, files: Mapping[str, LocalFile]) -> list[str]:
        return [name for name, file in files.items() if self.objects.get(f"{prefix}/{name}") != file.sha256]

    def link(self, key: str, seconds: float) -> str:
        return f"https://bucket.example/{key}?expires={seconds}"


class FakeBoard:
    """A board that remembers which release it got."""

    def __init__(
        self, name: str = "laptop", refusal: str | None = None, problem: str | Exception = "", soc: str = "Ascend310"
    ) -> None:
        self.name = name
        self.soc = soc
        self.refusal = refusal
        self.problem = problem
        self.active: str | None = None
        self.previous: str | None = None
        self.releases: list[str] = []
        self.pictures: list[Path] = []
        self.damage: Corrupt | None = None

    def facts(self) -> BoardFacts:
        return BoardFacts(self.name, self.soc, "", "x86_64", "3.11", 1 << 30, True)

    def state(self) -> BoardState:
        return BoardState(self.active, None, tuple(self.releases))

    def install(self, release: Release, progress: OnBytes | None = None) -> Installed:
        if self.refusal:
            raise Refused(self.refusal)
        changed = self.active != release.id
        self.previous, self.active = self.active, release.id
        self.files = release.files
        self.releases.append(release.id)
        if changed and progress is not None:
            for file in release.files.values():
                progress(file.size)
        figures = {name: FIGURES[name] for name in FIGURES if name != "max_difference"}
        smoke = {**figures, "max_difference": 0.001, "tolerance": 0.01, "milliseconds": 0.2}
        return Installed(changed, len(release.files), 1, SmokeResult.from_json(smoke))

    def verify(self, release: str) -> int:
        if self.damage is not None:
            raise self.damage
        assert release == self.active
        return 1

    def rollback(self) -> BoardState:
        self.active = self.previous
        return self.state()

    def classify(self, pictures: Sequence[Path], folder: Path) -> list[Classification]:
        self.pictures += pictures
        if isinstance(self.problem, Exception):
            raise self.problem
        folder.mkdir(parents=True)
        found = []
        for path in pictures:
            (folder / path.name).write_bytes(path.read_bytes())
            top: tuple[tuple[str, float], ...] = () if self.problem else (("ship", 0.75), ("truck", 0.25))
            found.append(Classification(str(path), top, 1.5, folder / path.name, self.problem))
        return found


class FakeCompiler:
    """A compiler that copies, and remembers what it was asked."""

    def __init__(self, *, emulated: bool = True, error: Exception | None = None) -> None:
        self.emulated = emulated
        self.error = error
        self.requests: list[CompileRequest] = []

    def producer(self) -> Producer:
        return Producer("atc-stand-in" if self.emulated else "atc", "0123456789abcdef", self.emulated)

    def compile(self, request: CompileRequest, lines: OnLine) -> None:
        self.requests.append(request)
        lines("ATC start working now")
        if self.error:
            raise self.error
        request.output.parent.mkdir(parents=True, exist_ok=True)
        request.output.write_bytes(b"om:" + request.model.read_bytes())


# What `models.parity.compare` says where everything agrees.
_ROW = {"images": 2, "not_finite": 0, "agreement": 1.0, "cosine": 1.0, "max_difference": 0.5, "accuracy": 0.5}
FIGURES = {**_ROW, "images": 20, "accuracy_drop": 0.0, "per_class": [
    {**_ROW, "class": name, "accuracy_drop": 0.0} for name in ("cat", "dog")
]}  # fmt: skip


def ledger(
    *,
    source: str = "onnx",
    whole: Any = FIGURES,
    precision: str | None = "force_fp16",
    socs: Sequence[str] = ("Ascend310",),
    reason: str = "",
) -> dict[str, Any]:
    """A parity ledger with one export and one compiled model a chip, which is chosen unless `precision` is None."""
    blank = {"bytes": 7, "step": None, "objection": None, "reason": reason, "soc_version": "", "precision": ""}
    hops = [{**blank, "from": "checkpoint", "to": source, "whole": whole}]
    for soc in socs:
        name = precision or "force_fp16"
        objection = None if precision else "agreement 0.5000 is below 0.9800; worst is cat"
        compiled = {"soc_version": soc, "precision": name, "whole": whole, "objection": objection}
        hops.append({**blank, "from": source, "to": f"{soc} {name}", **compiled})
    return {
        "source": source,
        "bounds": {"min_agreement": 0.98, "max_accuracy_drop": 0.01},
        "images": 20,
        "emulated": True,
        "hops": hops,
        "chosen": dict.fromkeys(socs, precision),
        "why": dict.fromkeys(socs, "the first of the declared order that passes"),
        "compiler": {"name": "atc-stand-in", "version": "0123456789abcdef", "cann": ""},
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


METRICS = {
    "accuracy": 0.75,
    "accuracy_interval_95": [0.7, 0.8],
    "images": 1000,
    "loss": 0.5,
    "classes": ["cat", "dog"],
    "confusion_matrix": [[2, 0], [1, 1]],
    "calibration": {
        "error": 0.2,
        "bins": [
            {"upper": 0.5, "images": 0, "confidence": 0.0, "accuracy": 0.0},
            {"upper": 1.0, "images": 4, "confidence": 0.95, "accuracy": 0.75},
        ],
    },
    "confident_mistakes": [{"image": 3, "label": "cat", "predicted": "dog", "confidence": 0.9}],
    "per_class": [
        {"class": "cat", "precision": 0.667, "recall": 1.0, "f1": 0.8, "support": 2},
        {"class": "dog", "precision": 1.0, "recall": 0.5, "f1": 0.667, "support": 2},
    ],
}
CHECKS = {
    "onnx": {"made": True, "max_difference": 2e-6, "images": 1000, "agreement": 1.0},
    "air": {"made": False, "reason": "AIR needs an Ascend device"},
}
