"""Files and objects by address: the functions of `moxing.file` (docs/reference/modelarts.md §1.7).

Every address may be `obs://bucket/key`, `s3://bucket/key` or a path of this machine.
"""

import fnmatch
import glob as local_glob
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.obs.copy import Files

from ._address import Url, bucket_of, cleaned, is_remote, parse, text
from ._client import bucket, set_auth
from ._shift import shift
from ._stream import File

__all__ = [
    "File",
    "append",
    "copy",
    "copy_parallel",
    "exists",
    "get_size",
    "glob",
    "is_directory",
    "list_directory",
    "make_dirs",
    "mk_dir",
    "read",
    "remove",
    "rename",
    "scan_dir",
    "set_auth",
    "shift",
    "walk",
    "write",
]

_log = logging.getLogger("moxing")


def exists(url: Url) -> bool:
    """True for a file, an object, a folder, or an address with objects below it."""
    if not is_remote(url):
        return Path(url).exists()
    return _objects(url).exists(cleaned(url))


def is_directory(url: Url) -> bool:
    """True for a folder, or an address with objects below it."""
    if not is_remote(url):
        return Path(url).is_dir()
    return _objects(url).is_directory(cleaned(url))


def get_size(url: Url, recursive: bool = False) -> int:
    """Return the size in bytes; of a folder with `recursive`, the sum of all below it.

    Raises:
        FileNotFoundError: there is nothing.
    """
    if recursive and is_directory(url):
        return sum(get_size(f"{text(url).rstrip('/')}/{name}") for name in list_directory(url, recursive=True))
    if not _is_file(url):
        raise FileNotFoundError(f"{url} does not exist")
    return _objects(url).size(cleaned(url)) if is_remote(url) else Path(url).stat().st_size


def list_directory(url: Url, recursive: bool = False, **_others: object) -> list[str]:
    """Return the names in a folder; with `recursive` the paths of all files below it.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not is_directory(url):
        raise FileNotFoundError(f"{url} is not a folder")
    if is_remote(url):
        names = [name for name, _ in _objects(url).entries(cleaned(url), recursive=recursive)]
        return sorted({name.rstrip("/") for name in names if not (recursive and name.endswith("/"))})
    if recursive:
        return sorted(path.relative_to(url).as_posix() for path in Path(url).rglob("*") if path.is_file())
    return sorted(path.name for path in Path(url).iterdir())


def scan_dir(url: Url) -> Iterator[str]:
    """Yield the names in a folder."""
    yield from list_directory(url)


def walk(url: Url) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield folder, names of folders and names of files, from the top, as `os.walk` does."""
    if not is_remote(url):
        yield from os.walk(url)
        return
    top = cleaned(url).rstrip("/")
    entries = [name for name, _ in _objects(url).entries(top) if name.strip("/")]
    folders = sorted(name.rstrip("/") for name in entries if name.endswith("/"))
    yield top, folders, sorted(name for name in entries if not name.endswith("/"))
    for folder in folders:
        yield from walk(f"{top}/{folder}")


def glob(file_pattern: str) -> list[str]:
    """Return the addresses or paths that fit a pattern with `*`, `?` and `[…]`."""
    if not is_remote(file_pattern):
        return sorted(local_glob.glob(file_pattern))  # noqa: PTH207 - the pattern may be absolute
    found = parse(file_pattern)
    fixed = found.key[: min((found.key.find(sign) for sign in "*?[" if sign in found.key), default=len(found.key))]
    below = fixed.rpartition("/")[0]
    names: set[str] = set()
    for key, _ in bucket(found.bucket).list(f"{below}/" if below else ""):
        parts, wanted = key.rstrip("/").split("/"), found.key.rstrip("/").split("/")
        if len(parts) >= len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted)):
            names.add("/".join(parts[: len(wanted)]))
    scheme = file_pattern.partition("://")[0]
    return [f"{scheme}://{found.bucket}/{name}" for name in sorted(names)]


def make_dirs(url: Url) -> None:
    """Create a folder and those above it; one that exists is not an error."""
    if not is_remote(url):
        Path(url).mkdir(parents=True, exist_ok=True)
        return
    found = parse(url)
    if not is_directory(url) and found.key:
        with tempfile.NamedTemporaryFile() as empty:
            bucket(found.bucket).put_bare(found.prefix, Path(empty.name))


def mk_dir(url: Url) -> None:
    """Create a folder."""
    make_dirs(url)


def read(url: Url, binary: bool = False, **_others: object) -> Any:
    """Return the content of a file or object: text, or bytes with `binary`.

    Raises:
        FileNotFoundError: there is none.
    """
    with File(url, "rb" if binary else "r") as file:
        return file.read()


def write(url: Url, data: Any, binary: bool = False, **_others: object) -> None:
    """Write text, or bytes with `binary`, to a file or object."""
    with File(url, "wb" if binary or isinstance(data, bytes) else "w") as file:
        file.write(data)


def append(url: Url, data: Any, binary: bool = False, **_others: object) -> None:
    """Add text, or bytes with `binary`, to the end of a file or object."""
    with File(url, "ab" if binary or isinstance(data, bytes) else "a") as file:
        file.write(data)


def copy(src_url: Url, dst_url: Url) -> None:
    """Copy one file or object.

    Raises:
        FileNotFoundError: there is no such file or object.
    """
    if not _is_file(src_url):
        raise FileNotFoundError(f"{src_url} does not exist")
    target = cleaned(dst_url)
    if not is_remote(target):
        folder = Path(target)
        target = str(folder / text(src_url).rpartition("/")[2]) if folder.is_dir() else target
        Path(target).absolute().parent.mkdir(parents=True, exist_ok=True)
    if is_remote(src_url) or is_remote(target):
        _objects(src_url, target).copy(cleaned(src_url), target)
    else:
        shutil.copyfile(src_url, target)


def copy_parallel(
    src_url: Url,
    dst_url: Url,
    file_list: Sequence[str] | None = None,
    threads: int = 16,  # noqa: ARG001 - MoXing's own
    is_processing: bool = True,  # noqa: ARG001
    use_queue: bool = True,  # noqa: ARG001
) -> None:
    """Copy everything below a folder, or one file; a source that does not exist is logged, and no error.

    Args:
        src_url: folder or address.
        dst_url: folder or address.
        file_list: copy only these paths below the source.
        threads: has no effect here, as the next two.
        is_processing: see above.
        use_queue: see above.
    """
    if _is_file(src_url):
        copy(src_url, dst_url)
    elif not is_directory(src_url):
        _log.warning("%s: nothing to copy", src_url)
    elif is_remote(src_url) or is_remote(dst_url):
        _objects(src_url, dst_url).copy_parallel(cleaned(src_url), cleaned(dst_url), names=file_list)
    else:
        for name in list_directory(src_url, recursive=True) if file_list is None else file_list:
            copy(Path(src_url, name), Path(dst_url, name))


def remove(url: Url, recursive: bool = False) -> None:
    """Remove a file or object; a folder with `recursive`.

    Raises:
        FileNotFoundError: there is nothing.
        IsADirectoryError: it is a folder.
    """
    if not exists(url):
        raise FileNotFoundError(f"{url} does not exist")
    if not recursive and not _is_file(url):
        raise IsADirectoryError(f"{url} is a folder; it is removed with recursive=True")
    if is_remote(url):
        _objects(url).remove(cleaned(url), recursive=recursive)
    elif Path(url).is_dir():
        shutil.rmtree(url)
    else:
        Path(url).unlink()


def rename(src_url: Url, dst_url: Url) -> None:
    """Move a file, an object or a folder.

    Raises:
        FileNotFoundError: there is nothing.
    """
    if not exists(src_url):
        raise FileNotFoundError(f"{src_url} does not exist")
    if not (is_remote(src_url) or is_remote(dst_url)):
        Path(src_url).rename(dst_url)
        return
    copy_parallel(src_url, dst_url)
    remove(src_url, recursive=True)


def _objects(*urls: Url) -> Files:
    return bucket(bucket_of(*urls)).files


def _is_file(url: Url) -> bool:
    if not is_remote(url):
        return Path(url).is_file()
    return not text(url).endswith("/") and _objects(url).is_file(cleaned(url))
