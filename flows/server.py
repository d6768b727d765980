"""Set up the Prefect server: limits, automations, the notification relay, the work pool."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir
from importlib import import_module
from pathlib import Path

from rich.console import Console

from flows.context import open_chain
from infra.errors import UserError
from infra.home import CHECKOUT
from infra.notify import service as relay
from infra.prefect_server import server
from infra.settings import Settings
from infra.store.locks import hold
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent

WORK_POOL = "atlasflow"
WORK_POOL_TEMPLATE = CHECKOUT / "infra" / "work-pool.json"


def connect(profile: str, overrides: Mapping[str, str]) -> Chain:
    """Connect this process to the installation's Prefect server, which is started when it is local and not running.

    Prefect reads its settings while it is imported, so it may only be imported afterwards.
    """
    chain = open_chain(profile, overrides, Silent())
    services, settings = chain.world.services, chain.settings.prefect
    with Console(stderr=True).status(f"Prefect server at {server.address(services, settings)}"):
        server.start(services, chain.home, settings)
    use_server(chain)
    return chain


def use_server(chain: Chain) -> None:
    """Let Prefect in this process, and in those that it starts, use the server of the settings, which is up.

    Prefect reads its settings while it is imported, from the environment and from `.env`, `prefect.toml` and
    `pyproject.toml` of the current folder, which must not count: nothing may have imported it before.
    """
    os.environ.update(server.environment(chain.world.services, chain.home, chain.settings.prefect))
    neutral = chain.home / "prefect"
    neutral.mkdir(parents=True, exist_ok=True)
    already = "prefect" in sys.modules  # a notebook may have imported it, with other settings
    with chdir(neutral):
        import_module("prefect.main")
        if already:
            import_module("prefect.context").refresh_global_settings_context()


def prepare_server(chain: Chain, profile: str, overrides: Mapping[str, str]) -> None:
    """Give the running server the limits and automations of the settings, and restart the relay. Idempotent.

    Prefect reads its settings while it is imported, so nothing may have imported it before.
    """
    services, settings = chain.world.services, chain.settings
    use_server(chain)
    from flows.deployments import plans  # noqa: PLC0415
    from tasks.orchestration.automations import RelayAddress, establish  # noqa: PLC0415
    from tasks.orchestration.limits import board_limits, ensure, training_limit  # noqa: PLC0415

    address = None
    # The relay reads its settings when it starts, so it is restarted; notifications not yet sent wait on disk.
    with hold(chain.home / "locks" / "relay"):
        services.stop(relay.NAME)
        if settings.notify.ways():
            services.start(relay.service(services, chain.home, settings.notify.relay_host, profile, overrides))
            address = RelayAddress(services.address(relay.NAME), relay.authorization(chain.home))
    ensure(training_limit(settings) | board_limits(settings.boards))
    shared = server.outside(services, settings.prefect) is not None
    establish(settings, chain.home, address, [plan.name for plan in plans()], shared=shared)


def receivers(settings: Settings) -> str:
    """Say in one sentence who receives notifications of failures, promotions and board fallbacks."""
    ways = settings.notify.ways()
    if not ways:
        return "nobody: set a webhook or a mail server in [notify]"
    return f"{', '.join(settings.notify.kinds)} by {', '.join(ways)}"


def create_work_pool() -> None:
    """Create the work pool `atlasflow`, or update its job template."""
    template = str(WORK_POOL_TEMPLATE)
    prefect_command(
        "work-pool", "create", WORK_POOL, "--type", "process", "--base-job-template", template, "--overwrite"
    )


def absolute_profile(profile: str) -> str:
    """The profile as a flow run finds it, whatever folder it works in."""
    return str(Path(profile).resolve()) if profile.endswith(".toml") else profile


def prefect_command(*words: str) -> None:
    """Run a command of Prefect; its output is shown only when it fails.

    Raises:
        UserError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise UserError(
            f"`prefect {' '.join(words)}` failed with exit code {done.returncode}", hint="see its output above"
        )
