"""The embedded object store: SeaweedFS, an S3 server that keeps its data on disk and stands in for OBS.

Two services: the server itself, reached at its IP address, and in front of it, for an exact rehearsal, the middleware
that refuses what OBS refuses, over TLS and under OBS's own host names.

The server consists of an S3 gateway, a filer, a master and a volume server, each with an HTTP and a gRPC port. Only
signed S3 requests get in: the HTTP interfaces of filer and master are off, the volume server wants tokens that only
its gateway can sign, and gRPC wants a client certificate.
"""

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
    """The services that these settings need, in the order in which they start; none where they name an end point."""
    if settings.endpoint:
        return []
    server = service(services, home)
    return [server] if settings.stand_in == "plain" else [server, middleware_service(services, home, settings)]


def reached(settings: ObsSettings, services: Services, home: Path) -> ObsSettings:
    """The settings that reach the object store, be it the one whose end point they name or the stand-in."""
    if settings.endpoint:
        return settings
    return (reach if settings.stand_in == "plain" else reach_as_obs)(settings, services, home)


def service(services: Services, home: Path) -> Service:
    """How to run the server of one home; its data lie in `home/objectstore` and survive SIGKILL.

    It answers at its IP address, and to requests that carry OBS's host name of any region.

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
        # The server takes patterns, too: host names of every region.
        "s3.domainName": f"localhost,{rules.domain('{region:[a-z0-9-]+}')}",
        "webdav": "false",
        # Without a signature these would give and delete whatever is stored, also to a web page.
        "disableHttp": "true",
        "s3.allowedOrigins": f"http://127.0.0.1:{port}",
        "filer.allowedOrigins": f"http://127.0.0.1:{port}",
        "admin.ui": "false",
        "s3.iam": "false",
        "master.telemetry": "false",
        # Without these two, stopping and starting again take 15 seconds.
        "volume.preStopSeconds": "0",
        "master.electionTimeout": "1s",
        # Without these two, a PUT makes a missing bucket, and a bucket is deleted together with its objects.
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
            # With 200 MiB, which is less than it maps, it collects garbage all the time: 9 % of a core when idle.
            "GOMEMLIMIT": "400MiB",
            "GOGC": "50",
            **_protection(home),
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


def middleware_service(services: Services, home: Path, settings: ObsSettings) -> Service:
    """How to run the middleware in front of the server, which must run as well."""
    region = settings.region
    name = f"{AS_OBS}-{region}"
    port, tls_port = services.port(name), services.port(f"{name}-tls")
    options = {
        "upstream": str(services.port(NAME)),
        "port": str(port),
        "tls-port": str(tls_port),
        "region": region,
        "certificates": str(home / "certificates"),
    }
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
        environment={"PYTHONPATH": str(CHECKOUT)},
        stop_seconds=3,
    )


def reach_as_obs(settings: ObsSettings, services: Services, home: Path) -> ObsSettings:
    """As `reach`, but through the middleware: OBS's end point of the region, TLS, virtual hosts.

    A browser knows nothing of the middleware, so links lead to the server itself.
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
