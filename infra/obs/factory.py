"""Open a bucket at the endpoint of the settings, or of the stand-in when they name none."""

from pathlib import Path

from infra.faults import NO_FAULTS, FaultPlan
from infra.obs.client import ObsClient, connect
from infra.obs.emulator import seaweedfs
from infra.services import Services
from infra.settings import ObsSettings, RetrySettings


def open_bucket(
    settings: ObsSettings, services: Services, home: Path, retry: RetrySettings, faults: FaultPlan = NO_FAULTS
) -> ObsClient:
    """Return the client of the bucket of the settings; start the stand-in when it is needed and does not run."""
    for service in seaweedfs.stand_ins(settings, services, home):
        services.start(service)
    reached = seaweedfs.reached(settings, services, home)
    return connect(reached, emulated=not settings.endpoint, faults=faults, retry=retry)
