"""From a request to a chain that can be looked at or run."""

import os
from collections.abc import Iterable

from infra.faults import FaultPlan
from infra.home import home
from infra.settings import load
from infra.world import World
from tasks.engine.chain import Chain
from tasks.engine.stage import Reporter
from tasks.pipeline import stages_for
from tasks.specs import recipe_settings


def open_chain(profile: str, overrides: dict[str, str], reporter: Reporter, selected: Iterable[str] = ()) -> Chain:
    """Load the settings and put the chain together, with the optional stages when one is selected; nothing is started.

    Raises:
        UserError: a setting is wrong.
    """
    settings = load(profile, overrides)
    recipe_settings(settings)  # what cannot be trained is told now, not when data were fetched and sent
    place = home()
    # From here on these are files like any other; their digests are what counts.
    if settings.convert.model.startswith("obs://"):
        model = World(settings, place).fetched(settings.convert.model)
        settings = settings.model_copy(update={"convert": settings.convert.model_copy(update={"model": str(model)})})
    if settings.train.pretrained.startswith("obs://"):
        start = World(settings, place).fetched(settings.train.pretrained)
        settings = settings.model_copy(update={"train": settings.train.model_copy(update={"pretrained": str(start)})})
    if settings.deploy.release.startswith("obs://"):
        release = World(settings, place).fetched_release(settings.deploy.release)
        settings = settings.model_copy(update={"deploy": settings.deploy.model_copy(update={"release": str(release)})})
    faults = FaultPlan.parse(os.environ.get("ATLASFLOW_FAULTS", ""))
    world = World(settings, place, faults)
    return Chain(stages_for(selected), settings, place, world, reporter, faults, world.mirror(), leases=world.leases())
