"""Chains on two machines, with a training that is paid for: store, mirror, leases, watch of jobs, collection."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

from infra.errors import Corrupt
from infra.leases import Leases
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.values import Producer
from infra.settings import ModelArtsSettings, Settings
from infra.store.artifacts import ArtifactStore
from infra.store.code_digest import closure
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.gc import Retained, collect
from infra.store.locks import hold
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt, Receipts, parse
from tasks.engine.chain import Chain
from tasks.engine.stage import Stage, StageContext, StageOutput
from tests.simulation import stages
from tests.simulation.bucket import Bucket
from tests.simulation.kernel import Kernel, Machine, Violation
from tests.simulation.lock_server import LockServer
from tests.simulation.network import Network
from tests.simulation.platform import Platform, checkpoint
from tests.simulation.scenario import Scenario
from tests.simulation.threads import Pool, Threading

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.world import World

SETTINGS = [
    Settings(modelarts=ModelArtsSettings(engine="e", flavor="f", jobs_at_once=2, parameters={"variant": variant}))
    for variant in ("0", "1")
]


class Words:
    """A reporter that says nothing."""

    def line(self, stage: str, text: str) -> None:
        pass

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        pass


class _World:
    """The part of `infra.world.World` that the stages use."""

    def __init__(self, scenario: "Work", settings: Settings, home: Path) -> None:
        self._scenario, self._settings, self._home = scenario, settings, home

    def trainer(self) -> ModelArtsTrainer:
        scenario = self._scenario
        return ModelArtsTrainer(
            lambda: cast("ModelArts", scenario.platform),
            lambda: scenario.bucket,
            self._settings.modelarts,
            "simulated",
            self._home / "modelarts",
            emulated=False,
            sleep=scenario.kernel.sleep,
        )

    def producer(self) -> Producer:
        return Producer("simulated", "1", emulated=False)


class Work(Scenario):
    """Two machines run the same chains at once."""

    horizon = 700

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.network = Network(self.kernel)
        self.bucket = Bucket(self.network)
        self.bucket.look = lambda: check_mirror(self.bucket)
        self.platform = Platform(self.kernel, self.network, self.bucket)
        self.locks = LockServer(self.kernel, self.network)
        self.patches = replaced(self.kernel)
        self.shared = self.dice.random() < 0.7
        self.at_work: Counter[tuple[str, str]] = Counter()
        self.rotten: set[Machine] = set()
        self.answered: set[tuple[Machine, str, str]] = set()

    def begin(self) -> None:
        machines = [self.kernel.machine("one")] + ([self.kernel.machine("two")] if self.shared else [])
        for machine in machines:
            machine.skew = self.dice.choice((0.0, 0.0, -7200.0, 7200.0))
            for number in range(self.dice.choice((1, 1, 2))):
                settings = self.dice.choice(SETTINGS)
                self.persist(
                    machine,
                    f"run {number} on {machine.name}",
                    partial(self._run, machine, settings),
                    self.dice.choice((0.0, 0.0, 5.0, 70.0)),
                )
            if self.dice.random() < 0.3:
                self.persist(
                    machine,
                    f"collection on {machine.name}",
                    partial(_collect, machine.folder),
                    self.dice.uniform(0, 300),
                )

    def _run(self, machine: Machine, settings: Settings) -> None:
        """One run, as the pipeline does it; its outputs are looked at."""
        home = machine.folder
        mirror = Mirror(lambda: self.bucket, "mirror") if self.shared else None
        leases = Leases("http://locks/api", {}, transport=self.locks) if self.shared else None
        world = cast("World", _World(self, settings, home))
        watched = [_watched(self, machine, stage) for stage in (stages.TRAIN, stages.PACK)]
        chain = Chain(watched, settings, home, world, Words(), mirror=mirror, leases=leases)
        with hold(home / "locks" / GARBAGE_LOCK, shared=True):
            for stage in watched:
                result = chain.run(stage)
                check_outputs(chain, result.receipt, settings)
                self.answered.add((machine, stage.name, result.receipt.key))

    def _rot(self, machine: Machine) -> None:
        """Change a stored file, as a failing disk or a person does."""
        found = sorted((machine.folder / "objects").glob("??/[!.]*"))
        if found:
            self.rotten.add(machine)
            path = self.dice.choice(found)
            path.chmod(0o644)
            path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))

    def check_machine(self, machine: Machine) -> None:
        """What was answered is still there, and whole; nothing that is there is damaged."""
        receipts = Receipts(machine.folder)
        for stage, key in [(stage, key) for where, stage, key in self.answered if where is machine]:
            if receipts.load(stage, key) is None:
                raise Violation(f"the receipt of {stage} is lost, so its work is repeated")
        if machine not in self.rotten:
            check_home(machine.folder)

    def check(self) -> None:
        for machine in list(self.kernel.machines.values()):
            self.check_machine(machine)
            if self.dice.random() < 0.2:
                self._rot(machine)
                self.persist(machine, "a run at last", partial(self._run, machine, SETTINGS[0]))
        self.kernel.run(2 * self.seconds, self.steps)


_closure = cache(closure)


def replaced(kernel: Kernel) -> list[Any]:
    """What the real code takes from Python's library of threads."""
    return [
        mock.patch("infra.leases.threading", Threading(kernel)),
        mock.patch("tasks.engine.keys.closure", _closure),  # does not change within a run
        mock.patch("tasks.engine.chain.ThreadPoolExecutor", lambda _count: Pool(kernel)),
    ]


def _watched(scenario: Work, machine: Machine, stage: Stage) -> Stage:
    """The same stage, which notices when two work on one key of a home."""

    def run(context: StageContext) -> StageOutput:
        place = (machine.name, context.key)
        others = sum(count for (_, key), count in scenario.at_work.items() if key == context.key)
        if others and not scenario.network.troubled and not scenario.kernel.stalled:
            raise Violation(f"two machines work on {stage.name}, though no lease was lost")
        if scenario.at_work[place]:
            raise Violation(f"two processes work on {stage.name} in one home")
        if (machine, stage.name, context.key) in scenario.answered and machine not in scenario.rotten:
            raise Violation(f"{stage.name} is repeated after it was done")
        scenario.at_work[place] += 1
        try:
            output: StageOutput = stage.run(context)
            return output
        finally:
            scenario.at_work[place] -= 1

    run.__module__ = stage.run.__module__
    return replace(stage, run=run)


def check_outputs(chain: Chain, receipt: Receipt, settings: Settings) -> None:
    """Compare what a run gives with what it should be."""
    text = checkpoint(json.dumps({"variant": settings.modelarts.parameters["variant"]}, separators=(",", ":")))
    wanted = {"checkpoint": [text], "packed": [text[:100], text[100:]], "summary": [text[::-1]]}
    for name, artifact in receipt.outputs.items():
        found = [file.path.read_bytes() for _, file in sorted(chain.store.files(artifact).items())]
        if found != wanted[name]:
            raise Violation(f"wrong bytes are served as {name}")


def check_home(home: Path) -> None:
    """Every receipt is whole, and so is all that it names."""
    store = ArtifactStore(home)
    try:
        for receipt in Receipts(home).all():
            for artifact in receipt.outputs.values():
                store.verify(artifact, deep=True)
    except Corrupt as error:
        raise Violation(f"a receipt names what is not there: {error.message}") from error


def check_mirror(bucket: Bucket) -> None:
    """Every receipt in the mirror has its objects there."""
    for key, data in bucket.objects.items():
        if key.startswith("mirror/receipts/"):
            for artifact in parse(data, Path(key)).outputs.values():
                folder, end = ("trees", ".json") if artifact.kind == "tree" else ("objects", "")
                found = bucket.objects.get(f"mirror/{folder}/{artifact.sha256}{end}", b"")
                if hashlib.sha256(found).hexdigest() != artifact.sha256:
                    raise Violation(f"the mirror's receipt {key} names what is not there")


def _collect(home: Path) -> None:
    receipts = Receipts(home)
    collect(home, receipts, lambda: Retained(frozenset(item.key for item in receipts.all()), 0.0), dry_run=False)
