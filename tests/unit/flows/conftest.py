"""A chain of eight small stages under the real names, in place of the real one."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.ports.board import BoardFacts
from infra.ports.values import Producer
from infra.settings import load
from infra.world import World
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.engine.stage import Stage, StageOutput
from tasks.pipeline import EVERY_NAME, NAMES
from tasks.release.deployment import DeployedBoard, Deployment
from tasks.release.ledger import Bounds, CompilerName, Ledger
from tests.unit.tasks.doubles import METRICS

DEPLOYED = DeployedBoard(
    BoardFacts("laptop", "Ascend310", "5.0.4", "aarch64", "3.6.9", 1 << 30, emulated=True, npu="310 OK"), True, 1, None
)
EFFECTS = ("upload", "publish", "deploy")


def epochs(settings: Any) -> Any:
    return settings.train.overrides().get("epochs", 30)


SETTINGS = {"train": lambda settings: {"epochs": epochs(settings)}, "deploy": lambda _: {"boards": ["laptop"]}}


@dataclass
class Small:
    """What the small stages did, and how they shall behave.

    Attributes:
        ran: names of the stages that ran.
        accuracy: what evaluation finds.
        broken: stage to the error that it ends with.
        gone: effects that the world has lost; running them brings them back.
    """

    folder: Path
    ran: list[str] = field(default_factory=list)
    accuracy: float = 0.9
    broken: dict[str, Exception] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def chain(self, profile: str = "local", overrides: Any = None, reporter: Any = None, selected: Any = ()) -> Any:
        settings = load(profile, overrides)
        names = NAMES if set(selected) <= set(NAMES) else EVERY_NAME
        return Chain(
            [self.stage(name) for name in names],
            settings,
            self.folder,
            World(settings, self.folder),
            reporter or Silent(),
        )

    def stage(self, name: Any) -> Any:
        before = EVERY_NAME[EVERY_NAME.index(name) - 1] if name != NAMES[0] else None
        stand_in = Producer("stand-in", "1", emulated=True)
        return Stage(
            name,
            "effect" if name in EFFECTS else "pure",
            lambda work: self.run(name, work),
            needs={"before": (before, "out")} if before else {},
            settings=SETTINGS.get(name, lambda _: {}),
            producer=lambda world: stand_in if name == "convert" else None,
            prove=(lambda work, made: self.look(name)) if name in EFFECTS else None,
        )

    def run(self, name: Any, work: Any) -> Any:
        if name in self.broken:
            raise self.broken[name]
        self.ran.append(name)
        self.gone.discard(name)
        out = work.folder / "out.json"
        out.write_text(json.dumps({"stage": name, "epochs": epochs(work.settings)}))
        metrics = work.folder / "metrics.json"
        metrics.write_text(json.dumps(METRICS | {"accuracy": self.accuracy, "images": 1000}))
        published = work.folder / "published.json"
        release = {"id": "r1", "bucket": "atlasflow", "prefix": "releases/r1", "objects": {}}
        published.write_text(json.dumps(release))
        boards = work.folder / "boards.json"
        boards.write_text(json.dumps(Deployment("r1", {"laptop": DEPLOYED}).to_json()))
        ledger = work.folder / "ledger.json"
        empty = Ledger("onnx", Bounds(0.98, 0.01), 0, True, (), {}, {}, CompilerName("stand-in", "1"))
        ledger.write_text(json.dumps(empty.to_json()))
        more = {
            "evaluate": {"metrics": metrics},
            "convert": {"ledger": ledger},
            "publish": {"published": published},
            "deploy": {"boards": boards},
        }.get(name, {})
        return StageOutput({"out": out, **more}, f"made {name}")

    def look(self, name: Any) -> Any:
        return f"{name} is gone" if name in self.gone else None

    def make_all(self, **overrides: Any) -> Any:
        chain = self.chain(overrides=overrides)
        for stage in chain.stages.values():
            chain.run(stage)
        return chain


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The small stages; `code_of` is fixed, since the test files are no part of the checkout's rooms."""
    monkeypatch.setattr("tasks.engine.keys.closure", lambda modules, checkout: {"models/spec/recipes.py": "0" * 64})
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    found = Small(tmp_path / "home")
    for module in ("flows.cli.run", "flows.cli.status", "flows.cli.maintenance"):
        monkeypatch.setattr(f"{module}.open_chain", found.chain)
    return found
