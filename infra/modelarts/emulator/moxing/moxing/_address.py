"""Tell addresses in object storage from paths of this machine."""

import os

from infra.obs.address import ObjectAddress

Url = str | os.PathLike[str]
_SCHEMES = ("obs://", "s3://")


def is_remote(url: object) -> bool:
    """True for an address in object storage; False for a path, or anything else."""
    return isinstance(url, str) and url.startswith(_SCHEMES)


def text(url: Url) -> str:
    """Return a path or an address as text."""
    return os.fspath(url)


def parse(url: Url) -> ObjectAddress:
    """Read an address; empty parts, which joined texts often have, mean nothing (`obs://b/a//c`)."""
    found = ObjectAddress.parse(text(url))
    key = "/".join(part for part in found.key.split("/") if part)
    return ObjectAddress(found.bucket, f"{key}/" if found.key.endswith("/") and key else key)


def cleaned(url: Url) -> str:
    """Return an address without empty parts, or a path as it is."""
    return str(parse(url)) if is_remote(url) else text(url)


def bucket_of(*urls: Url) -> str:
    """Return the bucket of the first address among paths and addresses."""
    return next(parse(url).bucket for url in urls if is_remote(url))
