"""The extension of a notebook's Jupyter server: Sync OBS, and an end with the stand-in that started it."""

import asyncio
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from infra.errors import AtlasFlowError, UserError
from infra.modelarts.emulator.jupyter.sync import RECORD, STORAGE, sync
from infra.modelarts.emulator.moxing.moxing._client import bucket
from infra.modelarts.notebook_storage import Synced
from infra.obs.address import ObjectAddress

PATH = "obs/sync"


class SyncHandler(APIHandler):  # type: ignore[misc]
    """Answers `POST obs/sync` with what was done, or why not."""

    @web.authenticated
    async def post(self) -> None:
        """Synchronise."""
        folder = Path(self.serverapp.root_dir)
        try:
            found = await asyncio.get_running_loop().run_in_executor(None, _sync, folder)
        except AtlasFlowError as error:
            self.set_status(409)
            self.finish({"message": error.message, "hint": error.hint})
            return
        self.finish(asdict(found))


def _sync(folder: Path) -> Synced:
    address = os.environ.get(STORAGE, "")
    if not address:
        raise UserError("this notebook has a disk, and no storage in OBS", hint="create one with storage OBS")
    found = ObjectAddress.parse_folder(address)
    return sync(bucket(found.bucket), found.prefix, folder, Path(os.environ[RECORD]))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    app = serverapp.web_app
    app.add_handlers(".*$", [(url_path_join(app.settings["base_url"], PATH), SyncHandler)])
    threading.Thread(target=_end_with_stand_in, daemon=True).start()


def _end_with_stand_in() -> None:
    """Wait for the end of standard input, a pipe that the stand-in holds, then end this server and its kernels."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
