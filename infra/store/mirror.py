"""The artifact store's copy in a bucket: a second machine starts from the first one's receipts.

Objects lie under `<prefix>/objects/<sha256>`, manifests under `<prefix>/trees/<sha256>.json`, receipts under
`<prefix>/receipts/<stage>/<key>.json`, each beside its seal where the machines share a secret. A receipt is sent last
and fetched last, so a receipt that is there is complete.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.errors import Corrupt, Refused, UserError
from infra.names import check_name
from infra.ports.storage import ObjectStore
from infra.ports.values import LocalFile
from infra.store.artifacts import Artifact, ArtifactStore
from infra.store.atomic import make_folder
from infra.store.digests import file_digest
from infra.store.local_files import describe
from infra.store.receipts import Receipt, Receipts

SEAL = ".seal"  # appended to the key of a file
_DIGEST = re.compile(r"[0-9a-f]{64}")


class _MissingError(Exception):
    """An object that a receipt names is not in the mirror; the text is its key."""


class Mirror:
    """One prefix of one bucket; every method raises the object store's errors: unknown is not a miss.

    Args:
        open_store: opens the bucket, which must exist, when it is first needed.
        prefix: key prefix of the mirror, without a trailing slash.
        secret: shared by all machines of the mirror; receipts and files without its seal are refused. Empty: whoever
            writes the bucket is trusted.
    """

    def __init__(self, open_store: Callable[[], ObjectStore], prefix: str, secret: str = "") -> None:
        self._open_store = cache(open_store)
        self._prefix = prefix
        self._secret = secret.encode()

    def send(self, receipt: Receipt, receipts: Receipts, store: ArtifactStore) -> int:
        """Make the mirror hold a receipt and all artifacts that it names; return the bytes sent."""
        bucket = self._open_store()
        key = self._receipt_key(receipt.stage, receipt.key)
        if bucket.head(key) is not None and (not self._secret or bucket.head(f"{key}{SEAL}") is not None):
            return 0
        sent = bucket.sync(self._prefix, _files(receipt, store)).bytes_sent
        self._put_sealed(bucket, key, receipts.path(receipt.stage, receipt.key))
        return sent

    def fetch(self, stage: str, key: str, receipts: Receipts, store: ArtifactStore) -> bool:
        """Fetch a receipt and all artifacts that it names into the local store; False when the mirror has none.

        Raises:
            Corrupt: an object does not match its digest or is missing, or a name or a digest is malformed.
        """
        bucket, receipt_key = self._open_store(), self._receipt_key(stage, key)
        if bucket.head(receipt_key) is None:
            return False
        receipt = self._fetch_receipt(bucket, stage, key)
        try:
            for artifact in receipt.outputs.values():
                self._fetch_artifact(bucket, artifact, store)
        except _MissingError as error:
            raise Corrupt(
                f"the mirror has lost {error}, which its receipt of {stage} names",
                hint=f"remove {receipt_key} from the bucket; `atlasflow run --record` where it was made sends it",
            ) from error
        receipts.save(receipt)
        return True

    def send_file(self, name: str, source: Path) -> None:
        """Store a file that may change under its name, in place of the previous one."""
        self._put_sealed(self._open_store(), f"{self._prefix}/{name}", source)

    def fetch_file(self, name: str, target: Path) -> bool:
        """Fetch a file that `send_file` stored; False when there is none."""
        bucket = self._open_store()
        if bucket.head(f"{self._prefix}/{name}") is None:
            return False
        with TemporaryDirectory(dir=target.parent) as folder:
            fetched = Path(folder) / "fetched"
            self._get_sealed(bucket, f"{self._prefix}/{name}", fetched)
            fetched.replace(target)
        return True

    def _fetch_receipt(self, bucket: ObjectStore, stage: str, key: str) -> Receipt:
        with TemporaryDirectory() as folder:
            fetched = Receipts(Path(folder))
            self._get_sealed(bucket, self._receipt_key(stage, key), fetched.path(stage, key))
            receipt = fetched.load(stage, key)
        if receipt is None or (receipt.stage, receipt.key) != (stage, key):
            raise UserError(f"the mirror's receipt {stage}/{key} is another one", hint="check store.mirror")
        return receipt

    def _put_sealed(self, bucket: ObjectStore, key: str, source: Path) -> None:
        """Store a file after its seal, so that one is there for every file."""
        if self._secret:
            with TemporaryDirectory() as folder:
                seal = Path(folder) / "seal"
                seal.write_text(self._seal(key, source.read_bytes()), encoding="ascii")
                bucket.put(f"{key}{SEAL}", describe(seal))
        bucket.put(key, describe(source))

    def _get_sealed(self, bucket: ObjectStore, key: str, target: Path) -> None:
        """Fetch a file, and its seal where the machines share a secret.

        Raises:
            Refused: the seal is missing, or does not fit.
        """
        bucket.get(key, target)
        if not self._secret:
            return
        seal = target.with_name(f"{target.name}{SEAL}")
        found = ""
        if bucket.head(f"{key}{SEAL}") is not None:
            bucket.get(f"{key}{SEAL}", seal)
            found = seal.read_bytes()[:100].decode("ascii", "replace")
            seal.unlink()
        if not hmac.compare_digest(found.encode(), self._seal(key, target.read_bytes()).encode()):
            target.unlink()
            raise Refused(
                f"{key} in the mirror was not written by a machine with this store.mirror_secret",
                hint="set the same secret on all machines; `atlasflow run --record` where it was made sends it again",
            )

    def _seal(self, key: str, data: bytes) -> str:
        """HMAC-SHA256 over the key below the mirror and the bytes."""
        name = key.removeprefix(f"{self._prefix}/").encode()
        return hmac.new(self._secret, name + b"\0" + data, hashlib.sha256).hexdigest()

    def _fetch_artifact(self, bucket: ObjectStore, artifact: Artifact, store: ArtifactStore) -> None:
        _check_digest(artifact.sha256)
        if artifact.kind == "tree":
            path = store.tree_path(artifact.sha256)
            self._fetch_object(bucket, f"trees/{artifact.sha256}.json", path, artifact.sha256)
        for name, file in store.files(artifact).items():
            check_name(name, f"the mirror's artifact {artifact.sha256[:12]}")
            _check_digest(file.sha256)
            self._fetch_object(bucket, f"objects/{file.sha256}", file.path, file.sha256)
        store.verify(artifact, deep=True)

    def _fetch_object(self, bucket: ObjectStore, name: str, target: Path, digest: str) -> None:
        if target.exists() and file_digest(target) == digest:
            return
        make_folder(target.parent)
        try:
            bucket.get(f"{self._prefix}/{name}", target, digest)
        except Refused as error:
            if bucket.head(f"{self._prefix}/{name}") is not None:
                raise
            raise _MissingError(f"{self._prefix}/{name}") from error
        target.chmod(0o444)

    def _receipt_key(self, stage: str, key: str) -> str:
        return f"{self._prefix}/receipts/{stage}/{key}.json"


def _check_digest(text: str) -> None:
    """Refuse what is not a SHA-256 before it becomes a part of a path."""
    if not _DIGEST.fullmatch(text):
        raise Corrupt(f"the mirror names {text[:80]!a}, which is not a SHA-256", hint="check store.mirror")


def _files(receipt: Receipt, store: ArtifactStore) -> Mapping[str, LocalFile]:
    """All files of a receipt's artifacts, by their name below the prefix."""
    files: dict[str, LocalFile] = {}
    for artifact in receipt.outputs.values():
        if artifact.kind == "tree":
            path = store.tree_path(artifact.sha256)
            files[f"trees/{artifact.sha256}.json"] = LocalFile(path, artifact.sha256, path.stat().st_size)
        files |= {f"objects/{file.sha256}": file for file in store.files(artifact).values()}
    return files
