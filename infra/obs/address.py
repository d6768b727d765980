"""Addresses in object storage, `obs://bucket/key`, and the keys in them."""

from dataclasses import dataclass

from infra.errors import UserError

MAX_KEY_BYTES = 1024  # docs/reference/obs.md §2.4
_SCHEMES = ("obs", "s3")
_FOLDER_NAMES = (".", "..")


@dataclass(frozen=True)
class ObjectAddress:
    """A bucket and a key in it: of an object, of a folder (a key prefix), or empty for the whole bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"obs://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, text: str) -> "ObjectAddress":
        """Read `obs://bucket/key` or `s3://bucket/key`; the key may be empty.

        Raises:
            UserError: another scheme, or no bucket.
        """
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme not in _SCHEMES or not bucket:
            raise UserError(f"'{text}' is not the address of an object", hint="write obs://bucket/key")
        return cls(bucket, key)

    @classmethod
    def parse_object(cls, text: str) -> "ObjectAddress":
        """Read the address of one object.

        Raises:
            UserError: it is not an address, or that of a bucket or a folder.
        """
        found = cls.parse(text)
        if not found.key or found.key.endswith("/"):
            raise UserError(f"'{text}' names no object", hint="write obs://bucket/key")
        return found

    @classmethod
    def parse_folder(cls, text: str) -> "ObjectAddress":
        """Read the address of a folder, also as ModelArts writes it, `/bucket/key/`; the key has no last slash.

        Raises:
            UserError: it is not an address, it is a whole bucket, or a part of the key is empty, `.` or `..`.
        """
        try:
            found = cls.parse(f"obs:/{text}" if text.startswith("/") else text)
        except UserError:
            found = None
        key = found.key.rstrip("/") if found else ""
        if found is None or any(part in ("", *_FOLDER_NAMES) for part in key.split("/")):
            raise UserError(f"'{text}' is not the address of a folder", hint="write obs://bucket/folder/")
        return cls(found.bucket, key)

    @property
    def parts(self) -> tuple[str, str]:
        """Bucket and key."""
        return self.bucket, self.key

    @property
    def prefix(self) -> str:
        """The key prefix of everything under this folder; empty for a whole bucket."""
        key = self.key.strip("/")
        return f"{key}/" if key else ""

    @property
    def folder(self) -> str:
        """The address as a folder's, with a slash at its end."""
        return f"obs://{self.bucket}/{self.prefix}"

    def checked(self) -> "ObjectAddress":
        """Return this address when every object store takes its key.

        Raises:
            UserError: the key is empty, begins with a slash, has an empty, `.` or `..` part, is too long or not UTF-8.
        """
        key = self.key
        if not key or key.startswith("/") or "//" in key:
            raise UserError(f"'{key}' is not an object key", hint="write it as part/part/name")
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            raise UserError(
                f"the name {key!r} is not UTF-8, so it cannot be an object key",
                hint="rename it, for example with `convmv -r -f gbk -t utf8 --notest FOLDER`",
            ) from None
        if any(part in _FOLDER_NAMES for part in key.split("/")):
            raise UserError(f"the object key '{key}' has a part that means a folder", hint="leave out . and ..")
        if size > MAX_KEY_BYTES:
            raise UserError(
                f"the object key '{key[:60]}…' is longer than 1,024 bytes", hint="shorten obs.prefix or the name"
            )
        return self


def parse_address(text: str) -> ObjectAddress | None:
    """Read the address of an object or a folder; None for a path of this machine.

    Raises:
        UserError: the text is empty, has another scheme, or names no bucket.
    """
    if not text:
        raise UserError("an address is empty", hint="write obs://bucket/key, or a path of this machine")
    return ObjectAddress.parse(text) if "://" in text else None


def join_key(prefix: str, name: str) -> str:
    """Return `prefix/name`, for a prefix that may be empty or end in a slash."""
    prefix = prefix.strip("/")
    return f"{prefix}/{name}" if prefix else name
