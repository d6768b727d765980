"""What the Prefect server is given by `atlasflow up` and `serve`: concurrency limits, automations, and who is told."""

import os
from collections.abc import Mapping

from infra.notify import service as relay
from infra.prefect_server import server
from infra.settings import Settings
from infra.store.locks import hold
from tasks.engine.chain import Chain


def prepare_server(chain: Chain, profile: str, overrides: Mapping[str, str]) -> None:
    """Make the server, which is up, have limits and automations as the settings want them; doing it twice is once.

    Prefect reads its settings while it is imported, so nothing may have imported it before.
    """
    services, settings = chain.world.services, chain.settings
    os.environ.update(server.environment(services, chain.home, settings.prefect))
    address = ""
    # The relay reads its settings when it starts, so it is started anew; whatever it has not told waits on disk.
    with hold(chain.home / "locks" / "relay"):
        services.stop(relay.NAME)
        if settings.notify.ways():
            told = relay.service(services, chain.home, settings.notify.relay_host, profile, overrides)
            services.start(told)
            address = told.address
    from flows.deployments import PLANS  # noqa: PLC0415
    from tasks.orchestration.automations import establish  # noqa: PLC0415
    from tasks.orchestration.limits import board_limits, ensure, training_limit  # noqa: PLC0415

    ensure(training_limit(settings) | board_limits(settings.boards))
    shared = server.outside(services, settings.prefect) is not None
    establish(settings, chain.home, address, [plan.name for plan in PLANS], shared=shared)


def told_by(settings: Settings) -> str:
    """Who is told of failures, promotions and fallen boards, in one sentence."""
    ways = settings.notify.ways()
    if not ways:
        return "nobody: set a webhook or a mail server in [notify]"
    return f"{', '.join(settings.notify.kinds)} by {', '.join(ways)}"
