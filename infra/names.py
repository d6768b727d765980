"""The check for names that come from outside: listings, manifests, archives and forms name files here."""

import re

from infra.errors import AtlasFlowError, Corrupt

MAX_NAME_BYTES = 1024  # the longest object key (docs/reference/obs.md §2.4)
MAX_PART_BYTES = 255  # the longest file name of the usual file systems
MAX_DEPTH = 32

_DRIVE = re.compile(r"[A-Za-z]:")
# A backslash, control characters, line and paragraph separators, lone surrogates (which UTF-8 cannot hold).
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_name(name: str, source: str, error: type[AtlasFlowError] = Corrupt, *, hint: str = "") -> str:
    """Return `name` when it is safe to join to a folder.

    Args:
        name: as it stands in the bucket, manifest, archive or form.
        source: what named it, for the message.
        error: the class to raise: `Corrupt` for what a program wrote, `UserError` for what a person supplied.
        hint: what to do about it.

    Raises:
        AtlasFlowError: as `error`, when the name is not safe; see `is_safe_name`.
    """
    if is_safe_name(name):
        return name
    shown = name if len(name) <= 80 else f"{name[:80]}…"
    problem = f"has a part longer than {MAX_PART_BYTES} bytes" if _is_long(name) else "is not a plain relative path"
    raise error(f"{source} names {shown!r}, which {problem}", hint=hint)


def _is_long(name: str) -> bool:
    return any(len(part.encode(errors="replace")) > MAX_PART_BYTES for part in name.split("/"))


def is_safe_name(name: object) -> bool:
    """Tell whether a name is a plain relative path: `part/part/name` in its shortest form.

    False for a value that is not a string, an empty or absolute path, a `.`, `..` or empty part, a backslash, a
    drive (`C:`), control characters, more than `MAX_DEPTH` parts, and whatever is too long for file systems or buckets.
    """
    if not isinstance(name, str) or _DRIVE.match(name) or _FORBIDDEN.search(name):
        return False
    parts = name.split("/")
    return (
        len(name.encode()) <= MAX_NAME_BYTES
        and len(parts) <= MAX_DEPTH
        and all(part not in ("", ".", "..") and len(part.encode()) <= MAX_PART_BYTES for part in parts)
    )
