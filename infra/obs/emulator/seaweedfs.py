"""The embedded object store: SeaweedFS, an S3 server with its data on disk, as a stand-in for OBS.

Two services: the server itself, reached at its IP address, and for exact rehearsals the middleware in front of it. The
middleware refuses what OBS refuses, over TLS and under OBS's own host names.

The server consists of an S3 gateway, a filer, a master and a volume server, each with an HTTP and a gRPC port. Only
signed S3 requests are accepted: the HTTP interfaces of filer and master are off, the volume server demands tokens that
only its gateway can sign, and gRPC demands a client certificate.
"""

import json
import shutil
import sys
from pathlib import Path

from pydantic import SecretStr

from infra.errors import UserError
from infra.health import answers_http
from infra.home import CHECKOUT
from infra.obs.emulator import rules
from infra.processes import answers
from infra.secrets import service_secret
from infra.services import Service, Services
from infra.settings import ObsSettings
from infra.store.digests import text_digest

NAME = "objectstore"
AS_OBS = "objectstore-obs"
ACCESS_KEY = "atlasflow"
# Names of SeaweedFS (`weed scaffold -config=security`).
_TOKEN_KEYS = ("JWT_SIGNING", "JWT_SIGNING_READ", "JWT_FILER_SIGNING", "JWT_FILER_SIGNING_READ")
_GRPC_PARTS = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")


def stand_ins(settings: ObsSettings, services: Services, home: Path) -> list[Service]:
    """Return the services that these settings need, in starting order; none when they name an endpoint."""
    if settings.endpoint:
        return []
    server = service(services, home)
    return [server] if settings.stand_in == "plain" else [server, middleware_service(services, home, settings)]


def reached(settings: ObsSettings, services: Services, home: Path) -> ObsSettings:
    """Return the settings that reach the object store: unchanged with an endpoint, else those of the stand-in."""
    if settings.endpoint:
        return settings
    return (reach if settings.stand_in == "plain" else reach_as_obs)(settings, services, home)


def service(services: Services, home: Path) -> Service:
    """Define the server of one home; its data are in `home/objectstore` and survive SIGKILL.

    It answers at its IP address, and to requests with OBS's host name of any region.

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
        # A pattern: host names of every region.
        "s3.domainName": f"localhost,{rules.domain('{region:[a-z0-9-]+}')}",
        "webdav": "false",
        # Without these, anybody, also a web page, could read and delete objects without a signature.
        "disableHttp": "true",
        "s3.allowedOrigins": f"http://127.0.0.1:{port}",
        "filer.allowedOrigins": f"http://127.0.0.1:{port}",
        "admin.ui": "false",
        "s3.iam": "false",
        "master.telemetry": "false",
        # Without these two, a restart takes 15 seconds.
        "volume.preStopSeconds": "0",
        "master.electionTimeout": "1s",
        # Without these two, a PUT creates a missing bucket, and deleting a bucket deletes its objects.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        # These and GOMEMLIMIT halve the memory.
        "s3.cacheCapacityMB": "0",
        "s3.concurrentUploadLimitMB": "64",
    }
    return Service(
        name=NAME,
        title="object store (SeaweedFS, stand-in for OBS)",
        command=(_program(), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())),
        address=f"http://127.0.0.1:{port}",
        port=port,
        ready=lambda: answers_http(f"http://127.0.0.1:{port}/healthz"),
        rebuild=lambda: service(services, home),
        environment={
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _secret_key(home),
            # A lower limit than what is mapped makes the Go runtime collect garbage all the time (12 % of a core).
            "GOMEMLIMIT": "400MiB",
            "GOGC": "50",
            **_protection(home),
        },
        start_seconds=60,
        stop_seconds=3,
    )


def reach(settings: ObsSettings, services: Services, home: Path) -> ObsSettings:
    """Return the settings with the endpoint and the keys of the embedded server."""
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


def middleware_service(services: Services, home: Path, settings: ObsSettings) -> Service:
    """Define the middleware in front of the server, which must run as well."""
    region = settings.region
    name = f"{AS_OBS}-{region}"
    port, tls_port = services.port(name), services.port(f"{name}-tls")
    options = {
        "upstream": str(services.port(NAME)),
        "port": str(port),
        "tls-port": str(tls_port),
        "region": region,
        "certificates": str(home / "certificates"),
        "facts": str(home / NAME),
    }
    keys = {"access_key": ACCESS_KEY, "secret_key": _secret_key(home)}
    lenient = ("--checksums",) if settings.stand_in_checksums == "accept" else ()
    return Service(
        name=name,
        title="OBS front (stand-in: refuses what OBS refuses)",
        command=(
            sys.executable,
            "-m",
            "infra.obs.emulator.middleware",
            *(f"--{key}={value}" for key, value in options.items()),
            *lenient,
        ),
        address=f"https://{rules.domain(region)} through the proxy http://127.0.0.1:{port}",
        port=tls_port,
        ready=lambda: answers(tls_port),
        rebuild=lambda: middleware_service(services, home, settings),
        environment={"PYTHONPATH": str(CHECKOUT), "ATLASFLOW_OBS_STAND_IN": json.dumps(keys)},
        stop_seconds=3,
    )


def reach_as_obs(settings: ObsSettings, services: Services, home: Path) -> ObsSettings:
    """Like `reach`, but through the middleware: OBS's endpoint of the region, TLS, virtual hosts.

    Browsers do not use the middleware, so links lead to the server itself.
    """
    return reach(settings, services, home).model_copy(
        update={
            "endpoint": f"https://{rules.domain(settings.region)}",
            "proxy": f"http://127.0.0.1:{services.port(f'{AS_OBS}-{settings.region}')}",
            "ca": str(rules.ca_file(home / "certificates", settings.region)),
            "link_endpoint": f"http://127.0.0.1:{services.port(NAME)}",
        }
    )


def _secret_key(home: Path) -> str:
    return service_secret(home, NAME)


def _protection(home: Path) -> dict[str, str]:
    """What keeps everybody else out of the server's inner interfaces, as SeaweedFS reads it from the environment."""
    from infra.obs.emulator.certificates import internal_certificate  # noqa: PLC0415 - most callers only reach it

    key = service_secret(home, f"{NAME}-tokens")
    certificate, private = internal_certificate(home, f"{NAME}-grpc")
    return {
        **{f"WEED_{name}_KEY": text_digest(f"{name} {key}") for name in _TOKEN_KEYS},
        "WEED_GRPC_CA": str(certificate),
        **{f"WEED_GRPC_{part}_CERT": str(certificate) for part in _GRPC_PARTS},
        **{f"WEED_GRPC_{part}_KEY": str(private) for part in _GRPC_PARTS},
    }


def _program() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise UserError(
            "the embedded object store (program `weed`) is not installed",
            hint="run `make setup` again, or set obs.endpoint to an S3 server of your own",
        )
    return found
