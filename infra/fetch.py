"""Fetch one file over HTTP(S) or from this machine, resumed after an interruption and checked."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.proxies import refuse_unusable

CHUNK = 1 << 20
TIMEOUT = httpx.Timeout(30)

FetchProgress = Callable[[float, float], None]
"""Receives bytes so far and bytes in all (0 when the server does not say)."""


def fetch(
    addresses: Sequence[str], target: Path, sha256: str, progress: FetchProgress, faults: FaultPlan = NO_FAULTS
) -> None:
    """Fetch a file from the first address that has it.

    An unfinished `target` of an earlier attempt is resumed. A finished one with a wrong digest is removed.

    Args:
        addresses: `http://`, `https://`, `file://` or paths of this machine, tried in this order.
        target: path of the file.
        sha256: expected digest.
        progress: receives bytes so far and in all.
        faults: fault plan with the points `fetch.request` and `fetch.chunk`.

    Raises:
        UserError: an address has another scheme, or there is no such file.
        Corrupt: the file is complete but has another digest.
        Refused: every address refused for good.
        Transient: no address could be reached, or every transfer was interrupted.
    """
    problems: list[AtlasFlowError] = []
    for address in addresses:
        try:
            _fetch_one(address, target, progress, faults)
            _check(address, target, sha256)
        except (Transient, Refused, Corrupt) as problem:
            problems.append(problem)
        else:
            return
    if len(problems) == 1:
        raise problems[0]
    kind = next((type(problem) for problem in problems if isinstance(problem, Transient)), type(problems[-1]))
    raise kind(
        "no address has the file:\n" + "\n".join(f"  {problem.message}" for problem in problems),
        hint="name another one with --set data.source=ADDRESS --set data.sha256=DIGEST",
    )


def shown(address: str) -> str:
    """Return an address without user, password and query, which may contain secrets."""
    parts = urlsplit(address)
    return address if not parts.netloc else f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _fetch_one(address: str, target: Path, progress: FetchProgress, faults: FaultPlan) -> None:
    parts = urlsplit(address)
    if parts.scheme == "file" or "://" not in address:
        source = Path(url2pathname(parts.path) if parts.scheme == "file" else address).expanduser()
        if not source.is_file():
            raise UserError(f"there is no file {source}", hint="check data.source")
        shutil.copyfile(source, target)
        progress(target.stat().st_size, target.stat().st_size)
    elif parts.scheme in ("http", "https"):
        _fetch_http(address, target, progress, faults)
    else:
        raise UserError(f"'{shown(address)}' cannot be fetched", hint="use a path, https://, file:// or obs://")


def _fetch_http(address: str, target: Path, progress: FetchProgress, faults: FaultPlan) -> None:
    have = target.stat().st_size if target.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    refuse_unusable(address)
    faults.reach("fetch.request")
    try:
        with (
            httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client,
            client.stream("GET", address, headers=headers) as answer,
        ):
            if have and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # the file is complete; the digest decides
            _refuse_bad_answer(address, answer.status_code)
            if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                have = 0
            total = have + int(answer.headers.get("Content-Length", 0))
            with target.open("ab" if have else "wb") as file:
                for chunk in answer.iter_bytes(CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    progress(have, total)
                    faults.reach("fetch.chunk")
    except httpx.HTTPError as error:
        raise Transient(
            f"{shown(address)} was interrupted: {error or type(error).__name__}",
            hint="run again to resume",
        ) from error


def _refuse_bad_answer(address: str, status: int) -> None:
    if status in (408, 425, 429) or status >= 500:
        raise Transient(f"{shown(address)} answered {status}", hint="try again later")
    if status >= 400:
        raise Refused(f"{shown(address)} answered {status}", hint="check the address")


def _check(address: str, target: Path, sha256: str) -> None:
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        target.unlink()
        raise Corrupt(
            f"{shown(address)} has a file with SHA-256 {found} instead of {sha256}",
            hint="the archive is truncated or has changed; check data.sha256",
        )
