"""The layout of the bucket: prefixes are named by the digest of their content."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from infra.home import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from infra.settings import ObsSettings

MODELS = CHECKOUT / "models"
"""The `code_dir` of ModelArts jobs; `main.py` in it is the boot file."""
OWN_NETWORK = "networks/own"
"""The folder in `models/` where `models/networks/own.py` finds a network of one's own in a job."""
DATA_ARCHIVE = "data.tar"
"""Name of a data set's archive; `models/data/archive.py` knows it, too."""
MANY, SMALL = 100, 256 * 1024


def data_prefix(settings: ObsSettings, digest: str) -> str:
    """Return the key prefix of a data set."""
    return f"{settings.prefix}/data/{digest[:16]}"


def as_archive(settings: ObsSettings, sizes: Collection[int]) -> bool:
    """Tell whether a data set is uploaded as one archive (docs/reference/pitfalls.md §8.21); sizes in bytes."""
    if settings.archive == "auto":
        return len(sizes) > MANY and sum(sizes) < SMALL * len(sizes)
    return settings.archive == "always"


def code_prefix(settings: ObsSettings, digest: str) -> str:
    """Return the key prefix of a state of `models/`."""
    return f"{settings.prefix}/code/{digest[:16]}/models"


def code_digest(models: str, network: str) -> str:
    """Return the digest of a state of `models/` with the network of one's own of digest `network`, if not empty."""
    return sha256(f"{models} {network}".encode()).hexdigest() if network else models


def address(settings: ObsSettings, prefix: str) -> str:
    """Return the address of a folder in the bucket of the settings."""
    return f"obs://{settings.bucket}/{prefix}/"


def identity(settings: ObsSettings) -> Mapping[str, object]:
    """Which prefix of which bucket of which object store, for keys; the endpoint as a digest, as keys name no host."""
    endpoint = settings.endpoint.rstrip("/").lower()
    return {
        "endpoint": sha256(endpoint.encode()).hexdigest()[:16] if endpoint else "stand-in",
        "region": settings.region,
        "bucket": settings.bucket,
        "prefix": settings.prefix,
    }
