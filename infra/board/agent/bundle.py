"""Install a release from a bundle: one zip file, such as on a USB stick, without any network.

The bundle has a folder for each chip, with the signed manifest and its files. What it brings is verified as after a
copy over SSH, and the receipt of the installation is written beside it.
"""

import json
import os
import platform
import time
import zipfile
import zlib
from contextlib import contextmanager
from typing import Any, Dict, Iterator

from .failure import CORRUPT, REFUSED, Failure
from .files import PART, write
from .fork import run_agent
from .manifest import MANIFEST, MAX_BYTES, MAX_FILES
from .releases import Releases

LOCK_SECONDS = 600.0
SMOKE_SECONDS = 300.0
RECEIPT = ".receipt.json"  # appended to the name of the bundle
_BLOCK = 1 << 20
# What `zipfile` raises for a damaged archive; RuntimeError is an encrypted file, KeyError one that is not there.
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, KeyError)


def install(releases: Releases, path: str) -> Dict[str, Any]:
    """Verify, unpack, verify, smoke test, switch; on any failure the release in service stays.

    Returns:
        The receipt, which is also written beside the bundle.

    Raises:
        Failure: the bundle is damaged, or this board must not run its release.
    """
    releases.lock(LOCK_SECONDS, "the installation of " + os.path.basename(path))
    with _damage_named(path):
        archive = zipfile.ZipFile(path)
    with archive:
        chip = _chip(archive, releases.trust.keyring().chip)
        with _damage_named(path):
            manifest = _read(archive, chip + "/" + MANIFEST)
        plan = releases.plan(manifest)
        files = releases.planned().files
        for name in plan["missing"]:
            target = os.path.join(plan["folder"], name + PART)
            with _damage_named(path):
                _unpack(archive, chip + "/" + name, target, files[name]["size"])
    planned = releases.planned()
    smoke = releases.journal.last_smoke(planned.release)
    if not plan["active"]:
        releases.settle()
        folder = releases.verified_folder(planned.release)
        smoke = run_agent(folder, ["smoke", "--json"], SMOKE_SECONDS, releases.held.let_go)
        releases.switch(smoke)
    receipt = {"release": planned.release, "counter": planned.counter, "manifest": planned.sha256, "chip": planned.chip}
    receipt.update(board=platform.node(), changed=not plan["active"], smoke=smoke, time=time.time())
    write(path + RECEIPT, json.dumps(receipt, indent=1, sort_keys=True))
    return receipt


@contextmanager
def _damage_named(path: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise Failure(CORRUPT, "{} is damaged: {}".format(path, error), "make the bundle again") from error


def _chip(archive: zipfile.ZipFile, chip: str) -> str:
    names = archive.namelist()
    if len(names) > 16 * MAX_FILES:
        raise Failure(CORRUPT, "the bundle has {} files".format(len(names)))
    chips = sorted(name.partition("/")[0] for name in names if name.count("/") == 1 and name.endswith("/" + MANIFEST))
    if chip in chips or (not chip and len(chips) == 1):
        return chip or chips[0]
    raise Failure(REFUSED, "the bundle is for {}, this board has {}".format(", ".join(chips) or "no chip", chip or "?"))


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(MAX_BYTES + 1)


def _unpack(archive: zipfile.ZipFile, name: str, target: str, size: int) -> None:
    """Write a file of exactly `size` bytes; what a header claims does not count."""
    left = size
    with archive.open(name) as source, open(target, "wb") as file:
        while True:
            block = source.read(min(_BLOCK, left + 1))
            if not block:
                return
            left -= len(block)
            if left < 0:
                raise Failure(CORRUPT, "{!a} in the bundle is larger than its manifest says".format(name))
            file.write(block)
