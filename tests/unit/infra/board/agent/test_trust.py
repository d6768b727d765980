"""Only what was released runs: forged, old, expired, mixed and damaged releases are refused."""

import base64
import itertools
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from infra.board.agent import signature, trust
from infra.board.agent.failure import CORRUPT, REFUSED, Failure
from infra.board.agent.manifest import MANIFEST, MAX_BYTES, Manifest, parse, signed_bytes
from infra.board.agent.releases import Releases
from infra.board.agent.start import folder_to_run
from infra.store.digests import canonical
from infra.store.local_files import describe_folder
from infra.trust.keyring import key_id
from infra.trust.sign import envelope
from infra.trust.signer import fits, public_pem

CHIP, FLEET, NOW = "Ascend310", "porch", 1_800_000_000


@dataclass(frozen=True)
class Signer:
    """A key pair of this test."""

    private: ec.EllipticCurvePrivateKey
    kind: str = "release"
    revoked: bool = False

    @property
    def id(self) -> str:
        return key_id(self.public)

    @property
    def public(self) -> str:
        return public_pem(self.private.public_key())

    def sign(self, payload: bytes) -> bytes:
        return self.private.sign(signed_bytes(payload), ec.ECDSA(SHA256()))

    def entry(self) -> dict[str, Any]:
        return {"id": self.id, "kind": self.kind, "public": self.public, "revoked": self.revoked}


def signer(**options: Any) -> Signer:
    return Signer(ec.generate_private_key(ec.SECP256R1()), **options)


KEY, ROTATED, REVOKED, DEVELOPMENT, STRANGER = (
    signer(),
    signer(),
    signer(revoked=True),
    signer(kind="development"),
    signer(),
)
FILES = {"agent/main.py": b"print('first')", "model.om": b"first model", "release.json": b"{}"}


def folder_with(root: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def body(folder: Path, **changes: Any) -> dict[str, Any]:
    files = {name: {"sha256": file.sha256, "size": file.size} for name, file in describe_folder(folder).items()}
    files.pop(MANIFEST, None)
    fields = {"schema": 1, "release": "first", "chip": CHIP, "fleet": FLEET, "counter": 100, "signed": NOW - 10}
    return {**fields, "expires": None, "emulated": False, "files": files, **changes}


def signed(fields: Any, *keys: Signer, payload: bytes | None = None) -> bytes:
    payload = canonical(fields).encode() if payload is None else payload
    return envelope(payload, [(key.id, key.sign(payload)) for key in keys or (KEY,)]).encode()


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def board_at(root: Path, *, floor: int = 50, stand_in: bool = False) -> trust.Trust:
    """A board that has run counter 50."""
    for folder in (root, root / "releases", root / "trust"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    keys = [key.entry() for key in (KEY, ROTATED, REVOKED, DEVELOPMENT)]
    keyring = {"schema": 1, "fleet": FLEET, "chip": CHIP, "stand_in": stand_in, "keys": keys}
    (root / "trust" / "keyring.json").write_text(json.dumps(keyring))
    (root / "trust" / "floor.json").write_text(json.dumps({"counter": floor, "fallback": None, "seen": NOW - 100}))
    return trust.Trust(str(root), fits)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A good release on a board, which `board` accepts."""
    folder = folder_with(tmp_path / "board" / "releases" / "first", FILES)
    (folder / MANIFEST).write_bytes(signed(body(folder)))
    return folder


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trust.Trust:
    monkeypatch.setattr(time, "time", lambda: NOW)
    return board_at(tmp_path / "board")


def refused(board: trust.Trust, folder: Path) -> Failure:
    with pytest.raises(Failure) as caught:
        board.check_release(str(folder))
    assert caught.value.exit_code in (REFUSED, CORRUPT)
    return caught.value


def test_a_good_release_is_accepted_by_the_boards_own_openssl(board: trust.Trust, release: Path) -> None:
    board.check = signature.openssl
    begun = time.perf_counter()
    assert board.check_release(str(release)).counter == 100
    assert time.perf_counter() - begun < 1
    (release / MANIFEST).write_bytes(signed(body(release), STRANGER, ROTATED))
    assert board.check_release(str(release)).release == "first"
    forged = json.loads(signed(body(release, counter=101)))
    forged["signatures"] = json.loads((release / MANIFEST).read_bytes())["signatures"][1:]
    (release / MANIFEST).write_text(json.dumps(forged))
    assert "does not fit" in refused(board, release).message


def forged_manifests(folder: Path) -> Iterator[tuple[str, bytes]]:  # noqa: C901, PLR0912 - a list
    """Forged, old, expired and misdirected manifests of the files that lie there, each with its kind."""
    chance = random.Random(15)
    good = signed(body(folder))
    payload = base64.b64decode(json.loads(good)["payload"])
    for number in range(60):  # a bit of the payload, signature kept
        changed = bytearray(payload)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(7)
        outer = json.loads(good)
        yield f"payload bit {number}", json.dumps({**outer, "payload": base64.b64encode(changed).decode()}).encode()
    for number in range(40):  # a bit of the signature
        outer = json.loads(good)
        signature = bytearray(base64.b64decode(outer["signatures"][0]["sig"]))
        signature[chance.randrange(len(signature))] ^= 1 << chance.randrange(8)
        outer["signatures"][0]["sig"] = base64.b64encode(signature).decode()
        yield f"signature bit {number}", json.dumps(outer).encode()
    for length in (*range(0, len(good), max(1, len(good) // 29)), len(good) - 1):
        yield f"cut to {length}", good[:length]
    for name, key in {"stranger": STRANGER, "revoked": REVOKED}.items():
        yield name, signed(body(folder), key)
    outer = json.loads(signed(body(folder), STRANGER))
    outer["signatures"][0]["keyid"] = KEY.id
    yield "a stranger under a known id", json.dumps(outer).encode()
    for counter in (0, 1, 25, 49):
        yield f"rollback to {counter}", signed(body(folder, counter=counter))
    for moment in (0, 1, NOW - 10, NOW - 1, NOW):
        yield f"expired at {moment}", signed(body(folder, expires=moment))
    for chip, fleet in itertools.product((CHIP, "Ascend310B4", "", "ascend310"), (FLEET, "staging", "", "Porch")):
        if (chip, fleet) != (CHIP, FLEET):
            yield f"for {chip!r} of {fleet!r}", signed(body(folder, chip=chip, fleet=fleet))
    for key in (KEY, DEVELOPMENT):
        yield f"a stand-in's, {key.kind}", signed(body(folder, emulated=True), key)
    strange = {"counter": -1, "signed": 1.5, "expires": "never", "files": {}, "schema": 2, "release": "../x"}
    strange |= {"emulated": 1, "chip": None, "extra": True, "fleet": 7}
    for name, value in strange.items():
        yield f"{name} = {value!r}", signed(body(folder, **{name: value}))
        yield f"no {name}", signed({key: item for key, item in body(folder).items() if key != name} or {"": 0})
    for name in ("../../etc/passwd", "/etc/passwd", "agent//x", "a/./b", "manifest.json", "a\\b", "x\n", "", "a" * 300):
        entry = {"sha256": "0" * 64, "size": 0}
        yield f"file {name[:20]!r}", signed(body(folder, files={**body(folder)["files"], name: entry}))
    entries: list[Any] = [
        {"sha256": "0" * 63, "size": 1},
        {"sha256": "0" * 64, "size": -1},
        {"size": 1},
        [],
        "x",
        2**60,
    ]
    for entry in entries:
        yield f"entry {entry!r}"[:30], signed(body(folder, files={**body(folder)["files"], "model.om": entry}))
    doubled = payload.replace(b'"counter":100', b'"counter":100,"counter":1000')
    yield "a field twice", signed(None, payload=doubled)
    for text in (b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b" " * (MAX_BYTES + 1), b'{"payload": 1}'):
        yield f"{text[:8]!r}", text
        yield f"signed {text[:8]!r}", signed(None, payload=text)
    none = json.loads(good)
    yield "no signature", json.dumps({**none, "signatures": []}).encode()
    yield "100 signatures", json.dumps({**none, "signatures": none["signatures"] * 100}).encode()
    yield "another type", json.dumps({**none, "payloadType": "application/json"}).encode()


def test_more_than_200_forged_old_expired_and_misdirected_releases_run_0_times(
    board: trust.Trust, release: Path
) -> None:
    tried, accepted = 0, []
    for kind, manifest in forged_manifests(release):
        (release / MANIFEST).write_bytes(manifest)
        tried += 1
        try:
            board.check_release(str(release))
        except Failure as failure:
            assert failure.exit_code in (REFUSED, CORRUPT), kind
        else:
            accepted.append(kind)
    # Each strange field is also left out, and `extra` left out is the good manifest.
    assert accepted == ["no extra"]
    assert tried - 1 >= 200


def test_the_same_forgeries_do_not_pass_openssl(board: trust.Trust, release: Path) -> None:
    board.check = signature.openssl
    kinds = ("payload bit 1", "signature bit 3", "stranger", "a stranger under a known id", "revoked", "rollback to 49")
    for kind, manifest in forged_manifests(release):
        if kind in kinds:
            (release / MANIFEST).write_bytes(manifest)
            refused(board, release)


def test_mixed_damaged_and_strange_files(board: trust.Trust, release: Path, tmp_path: Path) -> None:
    """Mix-and-match: files of another release that was signed as well."""
    other = folder_with(tmp_path / "other", {name: data.replace(b"first", b"newer") for name, data in FILES.items()})
    (other / MANIFEST).write_bytes(signed(body(other, release="newer", counter=101)))
    for name in FILES:
        kept = (release / name).read_bytes()
        for change in (
            lambda path, name=name: (
                shutil.copy(other / name, path) if name != "release.json" else path.write_text("[]")
            ),
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            lambda path: path.write_bytes(path.read_bytes() + b"\0"),
            lambda path: path.unlink(),
            lambda path, kept=kept: (path.unlink(), path.with_name("x").write_bytes(kept), path.symlink_to("x")),
            become_pipe,
            lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        ):
            change(release / name)
            refused(board, release)
            shutil.rmtree(release)
            folder_with(release, FILES)
            (release / MANIFEST).write_bytes(signed(body(release)))
    for strange in ("agent/numpy.py", "agent/__pycache__/cli.cpython-36.pyc", "sitecustomize.py", "agent/.hidden"):
        folder_with(release, {strange: b"import os"})
        assert "does not belong" in refused(board, release).message
        (release / strange).unlink()
        refused(board, release) if "pycache" in strange else board.check_release(str(release))
        shutil.rmtree(release / "agent" / "__pycache__", ignore_errors=True)
    (release / MANIFEST).write_bytes((other / MANIFEST).read_bytes())
    assert refused(board, release).exit_code == CORRUPT


def test_what_others_can_change_is_refused(board: trust.Trust, release: Path, tmp_path: Path) -> None:
    places = [release, release / "model.om", release / "agent", release.parent, tmp_path / "board" / "trust"]
    places += [tmp_path / "board" / "trust" / name for name in ("keyring.json", "floor.json")]
    for place in places:
        mode = place.stat().st_mode
        place.chmod(mode | 0o020)
        assert "others can change" in refused(board, release).message
        place.chmod(mode)
    board.check_release(str(release))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"keys": []}', '{"fleet": 1, "chip": "", "stand_in": 0, "keys": [{}]}']
)
def test_a_damaged_keyring_or_floor_trusts_nobody(board: trust.Trust, release: Path, tmp_path: Path, text: str) -> None:
    for name in ("keyring.json", "floor.json"):
        path = tmp_path / "board" / "trust" / name
        kept = path.read_text()
        path.write_text(text)
        refused(board, release)
        path.write_text(kept)
    (tmp_path / "board" / "trust" / "keyring.json").unlink()
    assert "no keyring" in refused(board, release).message


def test_a_clock_at_1970_does_not_revive_an_expired_release(
    board: trust.Trust, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (release / MANIFEST).write_bytes(signed(body(release, signed=NOW - 500, expires=NOW - 200)))
    monkeypatch.setattr(time, "time", lambda: 0)
    assert "has expired" in refused(board, release).message


def test_the_floor_rises_and_only_the_release_to_fall_back_to_may_be_older(
    board: trust.Trust, release: Path, tmp_path: Path
) -> None:
    first = board.check_release(str(release))
    newer, older = (parse(signed(body(release, counter=counter))) for counter in (200, 150))
    board.raise_floor(newer, first)
    assert board.check_manifest(first.envelope) == first
    with pytest.raises(Failure, match="older than this board accepts"):
        board.check_manifest(older.envelope)
    assert board.check_manifest(older.envelope, downgrade=True) == older
    board.raise_floor(first, newer)  # the release to fall back to is deployed again
    assert (board.floor().counter, board.floor().fallback) == (200, first.sha256)
    with pytest.raises(Failure, match="older than this board accepts"):
        board.check_manifest(older.envelope)
    board.allow_downgrade(older)
    board.raise_floor(older, None)
    assert board.floor().counter == 150
    with pytest.raises(Failure, match="older than this board accepts"):
        board.check_manifest(first.envelope)


def installed(board: Path, identifier: str, text: bytes, *, counter: int) -> Manifest:
    """Install a release, and start it."""
    releases = Releases(str(board))
    releases.trust.check = fits
    releases.lock(0, "a test")
    source = folder_with(board.parent / f"source-{counter}", {**FILES, "model.om": text})
    releases.plan(signed(body(source, release=identifier, counter=counter)))
    for name in FILES:
        target = Path(releases.path("incoming", identifier, name + ".part"))
        if target.parent.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source / name, target)
    releases.settle()
    releases.switch({})
    found = releases.check(identifier)
    releases.held.let_go()
    return found


def test_a_release_that_was_damaged_in_service_gives_way_at_its_start(board: trust.Trust, tmp_path: Path) -> None:
    root = tmp_path / "board"
    installed(root, "one", b"1", counter=60)
    installed(root, "two", b"2", counter=61)
    releases = Releases(str(root))
    releases.trust.check = fits
    assert folder_to_run(releases) == releases.path("releases", "two")
    Path(releases.path("releases", "two", "agent", "main.py")).write_text("evil")
    assert folder_to_run(releases) == releases.path("releases", "one")
    releases.held.let_go()
    assert releases.journal.entries()[-1]["cause"] == "watchdog"
    Path(releases.path("releases", "one", "model.om")).write_bytes(b"?")
    with pytest.raises(Failure, match="changed"):
        folder_to_run(releases)


def test_a_release_in_service_is_never_written_to(board: trust.Trust, tmp_path: Path) -> None:
    """Not even for a repair, or when an equal release is signed again: it is staged beside, then switched."""
    root = tmp_path / "board"
    installed(root, "one", b"1", counter=60)
    before = (root / "releases" / "one" / "agent" / "main.py").stat()
    installed(root, "one", b"1", counter=61)
    assert (root / "current").readlink() == Path("releases", "one~1")
    (root / "releases" / "one~1" / "model.om").unlink()
    (root / "releases" / "one~1" / "model.om").write_bytes(b"?")
    installed(root, "one", b"1", counter=61)
    assert (root / "current").readlink() == Path("releases", "one~2")
    assert (root / "releases" / "one~1" / "model.om").read_bytes() == b"?"
    assert (root / "releases" / "one" / "agent" / "main.py").stat().st_mtime_ns == before.st_mtime_ns
    releases = Releases(str(root))
    assert releases.state()["releases"] == ["one"]
    releases.lock(0, "a test")
    releases.prune(1)
    assert [path.name for path in (root / "releases").iterdir()] == ["one~2"]


def test_another_kind_of_key_signs_nothing() -> None:
    other = rsa.generate_private_key(65537, 2048)
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    public = other.public_key().public_bytes(*_PEM).decode()
    assert not fits(public, b"data", other.sign(b"data", PKCS1v15(), SHA256()))
    assert not fits(KEY.public, b"data", KEY.private.sign(b"data", ec.ECDSA(SHA512())))


def _pem() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


_PEM = _pem()
