"""Open ModelArts as the settings ask: the platform at `modelarts.endpoint`, or else the stand-in.

The only module of the package that imports the stand-in, and only when a client is opened.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.modelarts.producer import producer
from infra.modelarts.scripts.runs import ScriptRuns
from infra.modelarts.scripts.trainer import ScriptTrainer
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.storage import ObjectStore
from infra.services import Service, Services
from infra.settings import ModelArtsSettings, ObsSettings

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.obs.client import ObsClient


def open_trainer(
    settings: ModelArtsSettings,
    obs: ObsSettings,
    services: Services,
    home: Path,
    open_store: Callable[[], ObjectStore],
    faults: FaultPlan = NO_FAULTS,
    notify: Callable[[str, str], None] = lambda _subject, _text: None,
) -> ModelArtsTrainer:
    """Open a trainer; it starts no service and makes no request before it trains.

    Args:
        settings: of ModelArts.
        obs: of object storage.
        services: of this home.
        home: the folder of this installation; intents are in `home/modelarts/intents`.
        open_store: opens the bucket of `obs`, and starts its stand-in if it has one.
        faults: faults to inject.
        notify: receives subject and text when a job makes no progress.
    """
    return ModelArtsTrainer(
        lambda: open_client(settings, obs, services, home),
        open_store,
        settings,
        obs.prefix,
        home / "modelarts" / "intents",
        emulated=not settings.endpoint,
        faults=faults,
        notify=notify,
    )


def open_scripts(
    settings: ModelArtsSettings,
    obs: ObsSettings,
    services: Services,
    home: Path,
    open_store: Callable[[], ObjectStore],
    faults: FaultPlan = NO_FAULTS,
    notify: Callable[[str, str], None] = lambda _subject, _text: None,
) -> ScriptRuns:
    """Open what runs users' scripts as jobs, as `open_trainer` does for trainings."""
    trainer = open_trainer(settings, obs, services, home, open_store, faults, notify)
    return ScriptRuns(
        trainer.client,
        open_store(),
        settings,
        obs.prefix,
        trainer.ledger,
        trainer.jobs,
        faults,
        alarm=trainer.alarm,
    )


def open_script_trainer(
    settings: ModelArtsSettings,
    open_runs: Callable[[], ScriptRuns],
    open_store: "Callable[[], ObsClient]",
    open_bucket: "Callable[[str], ObsClient]",
) -> ScriptTrainer:
    """Open what trains with the boot file of the settings."""
    return ScriptTrainer(
        open_runs,
        open_store,
        open_bucket,
        lambda address, folder: open_store().files.copy_parallel(address, str(folder)),
        producer(settings, emulated=not settings.endpoint),
    )


def open_client(settings: ModelArtsSettings, obs: ObsSettings, services: Services, home: Path) -> "ModelArts":
    """Open the client; without an endpoint, start the stand-in and its object store first.

    Raises:
        UserError: the real platform cannot reach the embedded object store of this machine.
    """
    from infra.modelarts.client import connect
    from infra.modelarts.emulator import server

    if settings.endpoint:
        if not obs.endpoint:
            raise UserError(
                "ModelArts cannot reach the embedded object store of this machine",
                hint="set obs.endpoint to the OBS of the same region, or leave modelarts.endpoint empty",
            )
        return connect(settings, obs, emulated=False)
    for service in stand_ins(settings, obs, services, home):
        services.start(service)
    return connect(server.reach(settings, services, home), obs, emulated=True)


def stand_ins(settings: ModelArtsSettings, obs: ObsSettings, services: Services, home: Path) -> list[Service]:
    """Return the services of this machine that these settings need, in the order of their start."""
    from infra.modelarts.emulator import server
    from infra.obs.emulator import seaweedfs

    needed = seaweedfs.stand_ins(obs, services, home)
    if settings.endpoint:
        return needed
    reachable = seaweedfs.reached(obs, services, home)
    service = server.service(services, home, reachable, settings.stand_in)
    # The object store may have moved to another port by the time that this one starts.
    return [*needed, replace(service, rebuild=lambda: stand_ins(settings, obs, services, home)[-1])]
