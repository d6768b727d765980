"""Run schedules: `python -m tests.simulation --help`."""

import shutil
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.deploy import Deploy
from tests.simulation.kernel import Violation
from tests.simulation.outbox import Outbox
from tests.simulation.rollout import Rollout
from tests.simulation.scenario import Scenario
from tests.simulation.seams import simulated
from tests.simulation.work import Work

SCENARIOS: dict[str, type[Scenario]] = {"work": Work, "deploy": Deploy, "rollout": Rollout, "outbox": Outbox}
MIX = ("outbox", "work", "outbox", "deploy", "outbox", "rollout", "work", "deploy", "outbox", "rollout")
MEMORY = Path("/dev/shm")  # noqa: S108 - its inodes are never used again, which the disk relies on


@dataclass(frozen=True)
class Outcome:
    """The result of a schedule.

    Attributes:
        scenario: its kind.
        seed: of the schedule.
        violation: what did not hold; empty when all did.
        steps: touches of the world.
        signature: a digest of all that happened.
        trace: the last of it.
    """

    scenario: str
    seed: int
    violation: str
    steps: int
    signature: str
    trace: Sequence[str]


def scenario_of(seed: int) -> str:
    """The kind of a schedule in the usual mix."""
    return MIX[seed % len(MIX)]


def schedule(name: str, seed: int) -> Outcome:
    """Run one schedule."""
    folder = Path(tempfile.mkdtemp(prefix="atlasflow-simulation-", dir=MEMORY))
    scenario = SCENARIOS[name](folder, seed)
    kernel, violation = scenario.kernel, ""
    try:
        with ExitStack() as stack:
            for patch in scenario.patches:
                stack.enter_context(patch)
            stack.enter_context(simulated(kernel))
            try:
                scenario.begin()
                kernel.run(scenario.seconds, scenario.steps)
                scenario.check()
            except Violation as error:
                violation = _explained(str(error), error.__cause__)
            except Exception as error:  # noqa: BLE001 - what a check stumbles over is a finding too
                violation = _explained(f"a check ended with {type(error).__name__}: {error}", error)
            finally:
                kernel.stop()
    finally:
        shutil.rmtree(folder)
    return Outcome(name, seed, violation, kernel.steps, kernel.signature, tuple(kernel.trace))


def _explained(text: str, cause: BaseException | None) -> str:
    return text if cause is None else f"{text}\n{''.join(traceback.format_exception(cause))}"
