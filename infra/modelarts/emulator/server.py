"""The ModelArts stand-in: an HTTP server with the training and notebook API, which runs the jobs on this machine.

`python -m infra.modelarts.emulator.server FOLDER PORT`; all other options come as JSON in the environment variable
`ATLASFLOW_MODELARTS_STAND_IN`, since they include secrets.

`ATLASFLOW_FAULTS` injects faults at the points of `Platform` and, for each call NAME of `Api`, at `modelarts.NAME`
(`throttle`: 429, `broken`: 500, `expired`: 401, `drop`: the connection is cut before the call) and at
`modelarts.NAME.answer` (`drop`: it is cut after the call).
"""

import http.server
import json
import os
import signal
import socket
import sys
import threading
import traceback
import uuid
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from infra.errors import AtlasFlowError
from infra.faults import FaultPlan
from infra.modelarts.codes import STAND_IN_HEADER
from infra.modelarts.emulator.access import variables as moxing_variables
from infra.modelarts.emulator.api import Api
from infra.modelarts.emulator.container import KERNELS, Bucket, Stores
from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.jupyter.server import Jupyter
from infra.modelarts.emulator.jupyter.server import installed as jupyter_installed
from infra.modelarts.emulator.notebooks import Notebooks
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.route import Call
from infra.modelarts.emulator.signature import check_signature
from infra.obs.client import connect
from infra.processes import answers
from infra.secrets import service_secret
from infra.services import Service, Services
from infra.settings import ModelArtsSettings, ModelArtsStandInSettings, ObsSettings

NAME = "modelarts"

_ACCESS_KEY = "atlasflow"
_PROJECT = "5" * 32
_MAX_BODY = 16 * 1024 * 1024
_VARIABLE = "ATLASFLOW_MODELARTS_STAND_IN"
_SWEEP_SECONDS = 1.0
_FAULTS = {
    "throttle": ErrorCode.THROTTLED,
    "broken": ErrorCode.INTERNAL,
    "expired": ErrorCode.EXPIRED,
}


@dataclass(frozen=True)
class Account:
    """The one key pair and the one project that are accepted."""

    access_key: str
    secret_key: str
    project: str


def service(services: Services, home: Path, obs: ObsSettings, options: ModelArtsStandInSettings) -> Service:
    """Describe the service of one home's stand-in; its jobs are in `home/modelarts` and survive SIGKILL.

    Args:
        services: of this home.
        home: the folder of this installation.
        obs: a reachable object store with its keys (`infra.obs.emulator.seaweedfs.reach` for the embedded one).
        options: of the stand-in.
    """
    port = services.port(NAME)
    account = _account(home)
    document = {
        "access_key": account.access_key,
        "secret_key": account.secret_key,
        "project": account.project,
        "options": options.model_dump(),
        "obs": _as_json(obs),
    }
    return Service(
        name=NAME,
        title="ModelArts (stand-in)",
        command=(sys.executable, "-P", "-m", "infra.modelarts.emulator.server", str(home / NAME), str(port)),
        address=f"http://127.0.0.1:{port}",
        port=port,
        ready=lambda: answers(port),
        rebuild=lambda: service(services, home, obs, options),
        environment={
            **moxing_variables(obs),
            _VARIABLE: json.dumps(document),
            KERNELS: os.environ.get(KERNELS) or str(home / "kernels"),
        },
    )


def reach(settings: ModelArtsSettings, services: Services, home: Path) -> ModelArtsSettings:
    """Return the settings with endpoint, project and keys of the stand-in."""
    account = _account(home)
    return settings.model_copy(
        update={
            "endpoint": f"http://127.0.0.1:{services.port(NAME)}",
            "project_id": account.project,
            "access_key": SecretStr(account.access_key),
            "secret_key": SecretStr(account.secret_key),
            "security_token": SecretStr(""),
        }
    )


class Server(http.server.ThreadingHTTPServer):
    """Listens on 127.0.0.1 only."""

    daemon_threads = True

    def __init__(self, port: int, account: Account, api: Api, clock: timedelta, faults: FaultPlan) -> None:
        self.account = account
        self.api = api
        self.clock = clock
        self.faults = faults
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: "socket.socket | tuple[bytes, socket.socket]", client_address: object) -> None:
        """Print what failed, but not that a client left before its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Dropped(Exception):
    """The fault plan cuts this connection."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "AtlasFlow-ModelArts-stand-in"
    timeout = 60

    def _serve(self) -> None:
        try:
            self._answer(*self._handle(self._body()))
        except ApiError as error:
            self._answer(error.code.status, _error(error.code, str(error)))
        except AtlasFlowError as error:
            self._answer(400, _error(ErrorCode.OBS_FAILED, f"OBS: {error.message}"))
        except _Dropped:
            self.close_connection = True
        except OSError:
            raise  # the client is gone
        except Exception:  # noqa: BLE001 - a platform answers, whatever it was sent
            traceback.print_exc()
            self._answer(500, _error(ErrorCode.INTERNAL, "internal error"))

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise ApiError(ErrorCode.INVALID_PARAMETER, "the body is too large, or its length is not a number")
        return self.rfile.read(int(length))

    def _handle(self, body: bytes) -> tuple[int, object]:
        headers = {name.lower(): value for name, value in self.headers.items()}
        account = self.server.account
        check_signature(
            self.command,
            self.path,
            headers,
            body,
            secret_key=lambda access: account.secret_key if access == account.access_key else None,
            clock=self.server.clock,
        )
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if (self.command, parts.path) == ("GET", "/v3/projects"):
            return 200, {"projects": [{"id": account.project, "name": query.get("name", "")}]}
        found = self.server.api.find(self.command, parts.path)
        if found is None:
            return 404, {"error_msg": "the API does not exist", "error_code": "APIG.0101"}
        route, path = found
        if path["project"] != account.project:
            raise ApiError(ErrorCode.WRONG_PROJECT, f"the project {path['project']} is not the one of the keys")
        self._fault(f"modelarts.{route.name}")
        content_type = headers.get("content-type", "")
        answer = route.handler(Call({key: unquote(value) for key, value in path.items()}, query, body, content_type))
        self._fault(f"modelarts.{route.name}.answer")
        return answer

    def _fault(self, point: str) -> None:
        action = self.server.faults.reach(point)
        if action == "drop":
            raise _Dropped
        if action in _FAULTS:
            raise ApiError(_FAULTS[action], f"planned fault at {point}")

    def _answer(self, status: int, content: object) -> None:
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header(STAND_IN_HEADER, "1")
        self.send_header("X-Request-Id", uuid.uuid4().hex)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names are the library's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 - the signature is the library's
        """Log one line a request, without query and headers, which may contain keys."""
        print(self.command, urlsplit(self.path).path, *args[1:2], flush=True)


def _error(code: ErrorCode, message: str) -> dict[str, str]:
    return {"error_msg": message, "error_code": f"ModelArts.{code}"}


def main() -> None:
    """Serve until SIGTERM; then stop the boot scripts, which start again with the server."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    document = json.loads(os.environ.pop(_VARIABLE))
    obs = ObsSettings(**document["obs"])
    options = ModelArtsStandInSettings(**document["options"])
    faults = FaultPlan.parse(os.environ.pop("ATLASFLOW_FAULTS", ""))
    account = Account(document["access_key"], document["secret_key"], document["project"])
    run(folder, port, account, _stores(obs), obs.endpoint, options, faults)


def run(
    folder: Path,
    port: int,
    account: Account,
    stores: Stores,
    object_endpoint: str,
    options: ModelArtsStandInSettings,
    faults: FaultPlan,
) -> None:
    """Serve until SIGTERM."""
    platform = Platform(folder / "jobs", stores, object_endpoint, options, faults)
    opened = Jupyter if options.jupyter and jupyter_installed() else None
    notebooks = Notebooks(folder / "notebooks.json", opened)
    api = Api(platform, notebooks, stores)
    ended = threading.Event()
    leases = threading.Thread(target=_sweep, args=(notebooks, ended), name="leases", daemon=True)
    leases.start()
    server = Server(port, account, api, timedelta(minutes=options.clock_minutes), faults)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
        ended.set()
        leases.join()
        notebooks.close()
        platform.close()


def _sweep(notebooks: Notebooks, ended: threading.Event) -> None:
    """End leases although nobody asks for an instance."""
    while not ended.wait(_SWEEP_SECONDS):
        notebooks.sweep()


def _account(home: Path) -> Account:
    return Account(_ACCESS_KEY, service_secret(home, NAME), _PROJECT)


def _stores(obs: ObsSettings) -> Stores:
    @cache
    def store(bucket: str) -> Bucket:
        return connect(obs.model_copy(update={"bucket": bucket}))

    return store


def _as_json(settings: ObsSettings) -> dict[str, object]:
    """Return the settings as JSON values, secrets included."""
    values = settings.model_dump()
    return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()}


if __name__ == "__main__":
    main()
