"""Addresses in object storage: `obs://bucket/key`, `s3://bucket/key`, and ModelArts' own `/bucket/key`."""

from infra.errors import UserError

_SCHEMES = ("obs://", "s3://", "/")


def split(address: str) -> tuple[str, str]:
    """Split an address into bucket and key; the key of a folder has no trailing slash.

    Raises:
        UserError: not a valid address.
    """
    for scheme in _SCHEMES:
        if address.startswith(scheme):
            bucket, _, key = address.removeprefix(scheme).partition("/")
            if bucket and not any(part in ("", ".", "..") for part in key.rstrip("/").split("/")):
                return bucket, key.rstrip("/")
    raise UserError(f"'{address}' is not an address in object storage", hint="write obs://bucket/folder/")


def folder(bucket: str, key: str) -> str:
    """Return the address of a folder."""
    return f"obs://{bucket}/{key.strip('/')}/"
