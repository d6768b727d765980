"""The artifact store's copy in a bucket: a second machine starts from the first one's receipts.

Objects lie under `<prefix>/objects/<sha256>`, manifests under `<prefix>/trees/<sha256>.json`, receipts under
`<prefix>/receipts/<stage>/<key>.json`. A receipt is sent last and fetched last, so that one that is there is whole.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.errors import Corrupt, Refused, UserError
from infra.ports.storage import ObjectStore
from infra.ports.values import LocalFile
from infra.store.artifacts import ArtifactStore
from infra.store.digests import file_digest
from infra.store.receipts import Receipt, Receipts


class _LostError(Exception):
    """There is no object of this name, which a receipt names."""


class Mirror:
    """One prefix of one bucket; every method raises what the object store raises: unknown is not a miss.

    Args:
        open_store: opens the bucket, which must be there, when it is first needed.
        prefix: key prefix of the mirror, without a slash at its end.
    """

    def __init__(self, open_store: Callable[[], ObjectStore], prefix: str) -> None:
        self._open_store = cache(open_store)
        self._prefix = prefix

    def send(self, receipt: Receipt, receipts: Receipts, store: ArtifactStore) -> int:
        """Make the mirror hold a receipt and all that it names; returns the bytes that were sent."""
        bucket = self._open_store()
        if bucket.head(self._receipt_key(receipt.stage, receipt.key)) is not None:
            return 0
        sent = bucket.sync(self._prefix, _files(receipt, store)).bytes_sent
        path = receipts.path(receipt.stage, receipt.key)
        bucket.put(self._receipt_key(receipt.stage, receipt.key), _local(path, file_digest(path)))
        return sent

    def fetch(self, stage: str, key: str, receipts: Receipts, store: ArtifactStore) -> bool:
        """Bring a receipt and all that it names into the local store; False when the mirror has none.

        Raises:
            Corrupt: what came does not match its digest.
        """
        bucket, receipt_key = self._open_store(), self._receipt_key(stage, key)
        if bucket.head(receipt_key) is None:
            return False
        with TemporaryDirectory() as folder:
            other = Receipts(Path(folder))
            bucket.get(receipt_key, other.path(stage, key))
            receipt = other.load(stage, key)
            if receipt is None or receipt.key != key:
                raise UserError(f"the mirror's receipt {stage}/{key} is another one", hint="check store.mirror")
        try:
            for artifact in receipt.outputs.values():
                if artifact.kind == "tree":
                    path = store.tree_path(artifact.sha256)
                    self._get(bucket, f"trees/{artifact.sha256}.json", path, artifact.sha256)
                for file in store.files(artifact).values():
                    self._get(bucket, f"objects/{file.sha256}", file.path, file.sha256)
                store.verify(artifact, deep=True)
        except _LostError as error:
            raise Corrupt(
                f"the mirror has lost {error}, which its receipt of {stage} names",
                hint=f"remove {receipt_key} from the bucket; `atlasflow run --record` where it was made sends it",
            ) from error
        receipts.save(receipt)
        return True

    def send_file(self, name: str, source: Path) -> None:
        """Put a file that may change beside the artifacts, in the place of the one before."""
        self._open_store().put(f"{self._prefix}/{name}", _local(source, file_digest(source)))

    def fetch_file(self, name: str, target: Path) -> bool:
        """Fetch a file that `send_file` put there; False when there is none."""
        bucket = self._open_store()
        if bucket.head(f"{self._prefix}/{name}") is None:
            return False
        bucket.get(f"{self._prefix}/{name}", target)
        return True

    def _get(self, bucket: ObjectStore, name: str, target: Path, digest: str) -> None:
        if not target.exists() or file_digest(target) != digest:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                bucket.get(f"{self._prefix}/{name}", target, digest)
            except Refused as error:
                if bucket.head(f"{self._prefix}/{name}") is not None:
                    raise
                raise _LostError(f"{self._prefix}/{name}") from error
            target.chmod(0o444)

    def _receipt_key(self, stage: str, key: str) -> str:
        return f"{self._prefix}/receipts/{stage}/{key}.json"


def _files(receipt: Receipt, store: ArtifactStore) -> Mapping[str, LocalFile]:
    files = {}
    for artifact in receipt.outputs.values():
        if artifact.kind == "tree":
            path = store.tree_path(artifact.sha256)
            files[f"trees/{artifact.sha256}.json"] = _local(path, artifact.sha256)
        files |= {f"objects/{file.sha256}": file for file in store.files(artifact).values()}
    return files


def _local(path: Path, digest: str) -> LocalFile:
    return LocalFile(path, digest, path.stat().st_size)
