import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from infra.errors import Corrupt, Refused, Transient, UserError
from infra.ports.storage import StoredObject, SyncResult
from infra.ports.values import LocalFile, OnBytes
from infra.store.artifacts import ArtifactStore
from infra.store.digests import canonical, file_digest, text_digest
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt, Receipts, text_of

Made = tuple[Receipt, Receipts, ArtifactStore]


class FolderStore:
    """A bucket in a folder, as far as a mirror needs one."""

    bucket = "bucket"
    emulated = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken = False

    def head(self, key: str) -> StoredObject | None:
        if self.broken:
            raise Transient("no answer")
        path = self.folder / key
        return StoredObject(key, path.stat().st_size, file_digest(path)) if path.exists() else None

    def ensure_bucket(self) -> bool:
        return False

    def list(self, prefix: str) -> Iterable[tuple[str, int]]:
        found = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*") if path.is_file()}
        return [(key, path.stat().st_size) for key, path in sorted(found.items()) if key.startswith(prefix)]

    def put(self, key: str, source: LocalFile, progress: OnBytes | None = None) -> None:
        (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, self.folder / key)

    def get(self, key: str, target: Path, sha256: str | None = None, progress: OnBytes | None = None) -> str:
        if not (self.folder / key).exists():
            raise Refused(f"there is no {key}")
        if sha256 not in (None, file_digest(self.folder / key)):
            raise Corrupt(f"{key} is another file")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / key, target)
        return file_digest(target)

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: OnBytes | None = None) -> SyncResult:
        for name, file in files.items():
            self.put(f"{prefix}/{name}", file)
        return SyncResult(tuple(files), (), sum(file.size for file in files.values()))


@pytest.fixture
def bucket(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "bucket")


@pytest.fixture
def mirror(bucket: FolderStore) -> Mirror:
    return Mirror(lambda: bucket, "team/store")


@pytest.fixture
def first(tmp_path: Path) -> Made:
    """A home with one receipt: a file and a tree."""
    home = tmp_path / "first"
    made = tmp_path / "made"
    (made / "inner").mkdir(parents=True)
    (made / "inner" / "b").write_text("b")
    (tmp_path / "a").write_text("a")
    store, receipts = ArtifactStore(home), Receipts(home)
    outputs = {"file": store.put_file("a", tmp_path / "a", "text/plain"), "tree": store.put_tree("made", made)}
    receipt = Receipt("train", "k" * 64, {"inputs": {}}, outputs)
    receipts.save(receipt)
    return receipt, receipts, store


def test_a_second_machine_gets_all_that_the_first_made(mirror: Mirror, first: Made, tmp_path: Path) -> None:
    receipt, receipts, store = first
    assert mirror.send(receipt, receipts, store) > 0
    other_receipts, other_store = Receipts(tmp_path / "second"), ArtifactStore(tmp_path / "second")
    assert mirror.fetch("train", receipt.key, other_receipts, other_store)
    assert other_receipts.load("train", receipt.key) == receipt
    for artifact in receipt.outputs.values():
        other_store.verify(artifact, deep=True)


def test_what_is_there_is_not_sent_again(mirror: Mirror, first: Made) -> None:
    mirror.send(*first)
    assert mirror.send(*first) == 0


def test_an_unknown_key_is_a_miss_and_a_silent_bucket_is_not(
    mirror: Mirror, bucket: FolderStore, first: Made, tmp_path: Path
) -> None:
    assert not mirror.fetch("train", "x" * 64, first[1], first[2])
    bucket.broken = True
    with pytest.raises(Transient):
        mirror.fetch("train", "x" * 64, first[1], first[2])


def test_a_receipt_whose_object_was_lost_or_changed_does_not_arrive(
    mirror: Mirror, bucket: FolderStore, first: Made, tmp_path: Path
) -> None:
    mirror.send(*first)
    kept = bucket.folder / "team/store/objects" / first[0].outputs["file"].sha256
    kept.write_text("changed")
    receipts, store = Receipts(tmp_path / "second"), ArtifactStore(tmp_path / "second")
    with pytest.raises(Corrupt):
        mirror.fetch("train", first[0].key, receipts, store)
    kept.unlink()
    with pytest.raises(Corrupt, match="the mirror has lost team/store/objects/") as caught:
        mirror.fetch("train", first[0].key, receipts, store)
    assert receipts.load("train", first[0].key) is None
    assert f"team/store/receipts/train/{first[0].key}.json" in str(caught.value)
    (bucket.folder / f"team/store/receipts/train/{first[0].key}.json").unlink()
    mirror.send(*first)
    assert mirror.fetch("train", first[0].key, receipts, store)


@pytest.mark.parametrize("digest", ["../../../../evil", "A" * 64, "a" * 63, ""])
def test_a_receipt_with_a_malformed_digest_touches_no_path(
    mirror: Mirror, bucket: FolderStore, first: Made, tmp_path: Path, digest: str
) -> None:
    receipt, receipts, _ = first
    forged = replace(receipt, outputs={"file": replace(receipt.outputs["file"], sha256=digest)})
    receipts.save(forged)
    path = bucket.folder / f"team/store/receipts/train/{receipt.key}.json"
    path.parent.mkdir(parents=True)
    shutil.copyfile(receipts.path("train", receipt.key), path)
    with pytest.raises(Corrupt, match="not a SHA-256"):
        mirror.fetch("train", receipt.key, Receipts(tmp_path / "second"), ArtifactStore(tmp_path / "second"))
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("name", "digest", "match"),
    [("../evil", "a" * 64, "not a plain relative path"), ("ok", "../../evil", "not a SHA-256")],
)
def test_a_manifest_with_a_malformed_entry_is_refused(
    mirror: Mirror, bucket: FolderStore, first: Made, tmp_path: Path, name: str, digest: str, match: str
) -> None:
    receipt, receipts, _ = first
    manifest = canonical({name: {"sha256": digest, "size": 1}})
    tree = replace(receipt.outputs["tree"], sha256=text_digest(manifest))
    receipts.save(replace(receipt, outputs={"tree": tree}))
    for target, text in {
        f"receipts/train/{receipt.key}.json": receipts.path("train", receipt.key).read_text(),
        f"trees/{tree.sha256}.json": manifest,
    }.items():
        path = bucket.folder / "team/store" / target
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(Corrupt, match=match):
        mirror.fetch("train", receipt.key, Receipts(tmp_path / "second"), ArtifactStore(tmp_path / "second"))
    assert not list(tmp_path.rglob("evil"))


def test_with_a_secret_only_its_machines_are_believed(bucket: FolderStore, first: Made, tmp_path: Path) -> None:
    """A forged receipt passes under a pinned digest of the data, as it names other outputs."""
    receipt, receipts, store = first
    ours = Mirror(lambda: bucket, "team/store", "secret")
    ours.send(receipt, receipts, store)
    key = f"team/store/receipts/train/{receipt.key}.json"
    there = Receipts(tmp_path / "second")

    def fetch(mirror: Mirror) -> bool:
        return mirror.fetch("train", receipt.key, there, ArtifactStore(tmp_path / "second"))

    kept = (bucket.folder / key).read_bytes()
    forged = text_of(replace(receipt, started=receipt.started + 1)).encode()
    for content in (forged, kept[:-1], b""):
        (bucket.folder / key).write_bytes(content)
        with pytest.raises(Refused, match="was not written by a machine"):
            fetch(ours)
    (bucket.folder / key).write_bytes(kept)
    with pytest.raises(Refused, match="was not written by a machine"):
        fetch(Mirror(lambda: bucket, "team/store", "another"))
    assert there.load("train", receipt.key) is None
    assert fetch(ours)
    (bucket.folder / f"{key}.seal").unlink()
    with pytest.raises(Refused, match="was not written by a machine"):
        fetch(ours)
    ours.send(receipt, receipts, store)  # as `run --record` does
    assert fetch(ours)


def test_a_seal_of_another_file_does_not_fit(bucket: FolderStore, tmp_path: Path) -> None:
    ours = Mirror(lambda: bucket, "team/store", "secret")
    (tmp_path / "a").write_text("one")
    ours.send_file("registry.json", tmp_path / "a")
    assert ours.fetch_file("registry.json", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "one"
    for suffix in ("", ".seal"):
        shutil.copy(
            bucket.folder / f"team/store/registry.json{suffix}", bucket.folder / f"team/store/other.json{suffix}"
        )
    with pytest.raises(Refused, match="was not written by a machine"):
        ours.fetch_file("other.json", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "one"


def test_a_file_that_was_never_sent_is_not_fetched(mirror: Mirror, tmp_path: Path) -> None:
    assert not mirror.fetch_file("notes.json", tmp_path / "notes.json")
    assert not (tmp_path / "notes.json").exists()


def test_a_receipt_under_the_key_of_another_is_refused(
    bucket: FolderStore, mirror: Mirror, first: Made, tmp_path: Path
) -> None:
    receipt, receipts, store = first
    mirror.send(receipt, receipts, store)
    (sent,) = bucket.folder.rglob(f"{receipt.key}.json")
    other = "b" * 64
    shutil.copyfile(sent, sent.with_name(f"{other}.json"))
    with pytest.raises(UserError, match=f"receipt {receipt.stage}/{other} is another one"):
        mirror.fetch(receipt.stage, other, Receipts(tmp_path / "there"), ArtifactStore(tmp_path / "there"))
