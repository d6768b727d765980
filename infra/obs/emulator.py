"""The embedded object store: SeaweedFS, an S3 server that keeps its data on disk and stands in for OBS."""

import http.client
import shutil
import sys
from pathlib import Path

from pydantic import SecretStr

from infra.errors import UserError
from infra.services import Service, Services, secret
from infra.settings import ObsSettings

NAME = "objectstore"
ACCESS_KEY = "atlasflow"


def service(services: Services, home: Path) -> Service:
    """How to run the server of one home; its data lie in `home/objectstore` and survive SIGKILL.

    Raises:
        UserError: the program `weed` is not installed.
    """
    port = services.port(NAME)
    data = home / NAME
    data.mkdir(parents=True, exist_ok=True)
    options = {
        "dir": str(data),
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.port": str(port),
        **{f"{part}.port": str(services.port(f"{NAME}-{part}")) for part in ("master", "volume", "filer", "admin")},
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.domainName": "localhost",
        "webdav": "false",
        "admin.ui": "false",
        "s3.iam": "false",
        "master.telemetry": "false",
        # Without these two, stopping and starting again take 15 seconds.
        "volume.preStopSeconds": "0",
        "master.electionTimeout": "1s",
        # Without these two, a PUT makes a missing bucket, and a bucket is deleted together with its objects.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        # These and the environment below halve the memory.
        "s3.cacheCapacityMB": "0",
        "s3.concurrentUploadLimitMB": "64",
    }
    return Service(
        name=NAME,
        title="object store (SeaweedFS, stand-in for OBS)",
        command=(_program(), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())),
        address=f"http://127.0.0.1:{port}",
        ready=lambda: _healthy(port),
        environment={
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _secret_key(home),
            "GOMEMLIMIT": "200MiB",
            "GOGC": "50",
        },
        start_seconds=60,
        stop_seconds=3,
    )


def reach(settings: ObsSettings, services: Services, home: Path) -> ObsSettings:
    """The settings with the end point and the keys of the embedded server filled in."""
    return settings.model_copy(
        update={
            "endpoint": f"http://127.0.0.1:{services.port(NAME)}",
            "access_key": SecretStr(ACCESS_KEY),
            "secret_key": SecretStr(_secret_key(home)),
            "security_token": SecretStr(""),
            "proxy": "",
            "ca": "",
        }
    )


def _secret_key(home: Path) -> str:
    return secret(home / "services" / f"{NAME}.secret")


def _program() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise UserError(
            "the embedded object store (program `weed`) is not installed",
            hint="run `make setup` again, or set obs.endpoint to an S3 server of your own",
        )
    return found


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
