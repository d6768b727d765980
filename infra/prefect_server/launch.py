"""Run the Prefect server of a home: `python -m infra.prefect_server.launch --port PORT`.

It does what `prefect server start` does, collects garbage in the background, and answers only requests for an address
of this machine: a web page that has its own name resolve to 127.0.0.1 gets nothing. The login and everything else come
from the environment (`infra/prefect_server/server.py`).
"""

import argparse
import os
from pathlib import Path

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.importer import import_from_string

from infra.prefect_server.background_gc import collect_in_background

APPLICATION = "prefect.server.api.server:create_app"
HOSTS = ("127.0.0.1", "localhost")
# Automations call the API inside the process, under this name (prefect.server.api.clients.BaseClient).
INTERNAL_HOST = "prefect-in-memory"


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m infra.prefect_server.launch", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    # Prefect reads `.env`, `prefect.toml` and `pyproject.toml` of the current folder.
    folder = Path(os.environ["PREFECT_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    collect_in_background()
    application = import_from_string(APPLICATION)(final=True)
    application.add_middleware(TrustedHostMiddleware, allowed_hosts=[*HOSTS, INTERNAL_HOST])
    uvicorn.run(application, host=HOSTS[0], port=port, log_level="warning")


if __name__ == "__main__":
    main()
