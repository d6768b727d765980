"""Find releases in a folder: one with `release.json` and `model.om`, or a subfolder of this kind for each chip."""

import json
import re
from collections.abc import Mapping
from typing import Any

from infra.errors import Corrupt, UserError
from infra.ports.release import Release
from infra.ports.values import LocalFile
from infra.store.digests import value_digest

DESCRIPTION = "release.json"
MANIFEST = "manifest.json"  # signed; not among the files that it lists
EVIDENCE = ("provenance.json", "sbom.json")  # signed too, but no part of what the id is made of
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def releases_in(files: Mapping[str, LocalFile], where: str) -> dict[str, Release]:
    """The releases in a folder, by chip; all have the same id.

    Args:
        files: path inside the folder to file.
        where: the folder, for messages.

    Raises:
        UserError: it has no release, or several.
    """
    found: dict[str, Release] = {}
    for name, file in files.items():
        parent, _, last = f"/{name}".rpartition("/")
        if last == DESCRIPTION and parent.count("/") <= 1:
            prefix = f"{parent}/".removeprefix("/")
            inside = {path.removeprefix(prefix): item for path, item in files.items() if path.startswith(prefix)}
            release = _release(inside, file, where)
            found[release.soc_version] = release
    if len({release.id for release in found.values()}) != 1:
        raise UserError(
            f"{where} holds {'no release' if not found else 'several releases'}",
            hint=f"a release has {DESCRIPTION} and model.om, or a folder with them for each chip",
        )
    return found


def identifier_of(files: Mapping[str, LocalFile]) -> str:
    """The id of a release by its content: the files of all its chips, by path below its folder.

    Raises:
        ValueError, KeyError: a description is damaged.
    """
    facts: dict[str, Any] = {}
    content: dict[str, str] = {}
    for name, file in files.items():
        soc, _, inside = name.partition("/")
        if inside == DESCRIPTION:
            facts[soc] = json.loads(file.path.read_text(encoding="utf-8"))
            facts[soc].pop("id", None)
        elif inside != MANIFEST and inside not in EVIDENCE:
            content[name] = file.sha256
    return value_digest({"chips": facts, "files": content})[:16]


def check_identifier(files: Mapping[str, LocalFile], where: str) -> None:
    """Compare the id of a release with its content, where all its chips are there.

    Raises:
        UserError: there is no release.
        Corrupt: they differ.
    """
    identifier = next(iter(releases_in(files, where).values())).id
    if DESCRIPTION not in files and identifier_of(files) != identifier:
        hint = "take it from where it was published again"
        raise Corrupt(f"{where} is not release {identifier}: its content has another id", hint=hint)


def _release(files: Mapping[str, LocalFile], description: LocalFile, where: str) -> Release:
    try:
        facts: dict[str, Any] = json.loads(description.path.read_text(encoding="utf-8"))
        if not IDENTIFIER.fullmatch(facts["id"]):
            raise ValueError(f"'{facts['id']}' cannot name a release")
        manifest = files[MANIFEST].path.read_bytes() if MANIFEST in files else b""
        inside = {name: file for name, file in files.items() if name != MANIFEST}
        emulated, cann = facts["emulated"] is True, str(facts.get("cann", ""))
        pillow = str(facts.get("pillow", ""))
        return Release(facts["id"], inside, facts["soc_version"], emulated, cann, manifest, pillow)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{DESCRIPTION} in {where} is damaged: {error}", hint="take the release from the bucket again"
        ) from error
