"""Object keys and addresses."""

from dataclasses import dataclass

from infra.errors import UserError

DIGEST = "sha256"
"""Name of our own metadata: the SHA-256 of the whole object, since an ETag is none.

Source: docs/reference/pitfalls.md §8.20.
"""


@dataclass(frozen=True)
class Place:
    """One object: a bucket and a key in it."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"obs://{self.bucket}/{self.key}"


def checked(bucket: str, key: str) -> Place:
    """The place of a key that every object store takes.

    Raises:
        UserError: empty, with a leading slash or an empty part, or longer than 1,024 bytes (docs/reference/obs.md
            §2.4).
    """
    if not key or key.startswith("/") or "//" in key:
        raise UserError(f"'{key}' is not an object key", hint="write it as part/part/name")
    if any(part in (".", "..") for part in key.split("/")):
        raise UserError(f"the object key '{key}' has a part that means a folder", hint="leave out . and ..")
    if len(key.encode()) > 1024:
        raise UserError(
            f"the object key '{key[:60]}…' is longer than 1,024 bytes", hint="shorten obs.prefix or the name"
        )
    return Place(bucket, key)


def joined(prefix: str, name: str) -> str:
    """`prefix/name`, with a prefix that may be empty or end in a slash."""
    prefix = prefix.strip("/")
    return f"{prefix}/{name}" if prefix else name
