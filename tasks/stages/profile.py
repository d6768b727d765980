"""The stage `profile`: what a network costs, measured once a structure and before anything of it is trained.

Parameters and latency do not depend on what the parameters are, so trials that differ in their training alone share
one measurement, and its noise is no effect of theirs.
"""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local_training.producer import local_producer
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.specs import network_settings, profile_code, write_spec

if TYPE_CHECKING:
    from infra.ports.values import Producer
    from infra.world import World

_CPU = Path("/proc/cpuinfo")


def run(context: StageContext) -> StageOutput:
    """Count the parameters of the recipe's network and time one image, as `atlasflow profile` does."""
    arguments = {
        "data_url": str(context.link_input("data", context.folder / "data")),
        "spec": str(write_spec(context.settings, context.folder / "spec.json")),
        "output": str(context.folder),
    }
    context.world.models().run("profile", arguments, context.folder / "profile.log")
    found = json.loads((context.folder / "profile.json").read_text(encoding="utf-8"))
    note = f"{found['parameters']:,} parameters, {found['latency_ms']['mean']:.3f} ms"
    return StageOutput({"profile": context.folder / "profile.json"}, note)


def _producer(_world: World) -> Producer:
    """This machine, wherever trainings run; another kind of processor has another latency."""
    found = local_producer()
    return replace(found, details={**found.details, "processor": processor()})


def processor() -> str:
    """The name of this machine's processor."""
    if _CPU.is_file():
        for line in _CPU.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


STAGE = Stage(
    "profile",
    "pure",
    run,
    needs={"data": ("download", "data")},
    settings=network_settings,
    code=profile_code,
    producer=_producer,
    tools=("mindspore", "numpy"),
)
