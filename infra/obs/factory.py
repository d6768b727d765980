"""Open a bucket for some settings: of the end point that they name, else of the stand-in."""

from pathlib import Path

from infra.faults import NO_FAULTS, FaultPlan
from infra.obs.client import ObsClient, connect
from infra.obs.emulator import seaweedfs
from infra.services import Services
from infra.settings import ObsSettings, RetrySettings


def open_bucket(
    settings: ObsSettings, services: Services, home: Path, retry: RetrySettings, faults: FaultPlan = NO_FAULTS
) -> ObsClient:
    """The client of the bucket of the settings; what stands in for its server is started when it does not run."""
    for service in seaweedfs.stand_ins(settings, services, home):
        services.start(service)
    reached = seaweedfs.reached(settings, services, home)
    return connect(reached, emulated=not settings.endpoint, faults=faults, retry=retry)
