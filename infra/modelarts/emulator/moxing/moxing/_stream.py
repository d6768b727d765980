"""`moxing.file.File`: an object as a file object. It is fetched when opened, and sent when closed."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ._address import Url, is_remote, parse, text
from ._client import bucket


class File:
    """A file or an object, opened as `open` does; use it in a `with` statement.

    Args:
        url: address or path.
        mode: `r`, `w`, `a`, with `b` for bytes and `+` for both directions.
        encoding: of text; UTF-8 by default.
    """

    def __init__(self, url: Url, mode: str = "r", encoding: str | None = None, **_others: object) -> None:
        self._url = text(url)
        self._remote = is_remote(self._url)
        self._sends = self._remote and any(letter in mode for letter in "wa+x")
        self._folder = tempfile.TemporaryDirectory(prefix="moxing-") if self._remote else None
        self._path = Path(self._folder.name, "object") if self._folder else Path(self._url)
        try:
            if self._remote and "w" not in mode:
                self._fetch(missing_is_empty="a" in mode)
            self._file: IO[Any] = self._path.open(mode, encoding=None if "b" in mode else encoding or "utf-8")
        except BaseException:
            self._remove()
            raise

    def _fetch(self, *, missing_is_empty: bool) -> None:
        address = parse(self._url)
        client = bucket(address.bucket)
        if client.head(address.key) is not None:
            client.get(address.key, self._path)
        elif not missing_is_empty:
            raise FileNotFoundError(f"{self._url} does not exist")

    def _remove(self) -> None:
        if self._folder:
            self._folder.cleanup()

    def read(self, size: int = -1) -> Any:
        """Read up to `size` characters or bytes; all by default."""
        return self._file.read(size)

    def readline(self) -> Any:
        """Read one line."""
        return self._file.readline()

    def readlines(self) -> list[Any]:
        """Read all lines."""
        return self._file.readlines()

    def write(self, data: Any) -> int:
        """Write text or bytes."""
        return self._file.write(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def size(self) -> int:
        """Return the size in bytes."""
        self._file.flush()
        return self._path.stat().st_size

    def flush(self) -> None:
        """Send what was written so far."""
        self._file.flush()
        self._send()

    def close(self) -> None:
        """Close the file; what was written is an object then."""
        if not self._file.closed:
            self._file.close()
            try:
                self._send()
            finally:
                self._remove()

    def _send(self) -> None:
        if self._sends:
            address = parse(self._url)
            bucket(address.bucket).put_bare(address.key, self._path)

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._file.closed

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._sends = False  # half a file is none
        self.close()
