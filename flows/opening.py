"""From a request to a chain that can be looked at or run."""

import os

from infra.faults import FaultPlan
from infra.home import home
from infra.settings import load
from infra.world import World
from tasks.base import Reporter
from tasks.chain import STAGES
from tasks.stage import Chain


def open_chain(profile: str, overrides: dict[str, str], reporter: Reporter) -> Chain:
    """Load the settings and put the chain together; nothing is started.

    Raises:
        UserError: a setting is wrong.
    """
    settings = load(profile, overrides)
    place = home()
    if settings.convert.model.startswith("obs://"):
        # From here on it is a file like any other; its digest is what counts.
        model = World(settings, place).fetched(settings.convert.model)
        settings = settings.model_copy(update={"convert": settings.convert.model_copy(update={"model": str(model)})})
    faults = FaultPlan.parse(os.environ.get("ATLASFLOW_FAULTS", ""))
    world = World(settings, place, faults)
    return Chain(STAGES, settings, place, world, reporter, faults, world.mirror())
