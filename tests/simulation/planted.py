"""Faults that are planted into the real code, to see that the simulator finds them."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from infra import fleet, leases
from infra.board.agent import files, releases
from infra.board.agent.trust import Trust
from infra.modelarts import submit, trainer
from infra.notify.outbox import Outbox
from infra.store import artifacts, atomic, locks, mirror
from tasks.fleet import state


@dataclass(frozen=True)
class Planted:
    """A planted fault.

    Attributes:
        scenario: that finds it.
        plant: makes the patch.
        finds: a part of the violation that is expected, so that it is found for its own sake.
        seed: of a schedule that finds it.
    """

    scenario: str
    plant: Callable[[], Any]
    finds: str
    seed: int = 0


def _nothing(*_arguments: Any, **_options: Any) -> None:
    pass


def _attribute(owner: Any, name: str, value: Any) -> Callable[[], Any]:
    return lambda: mock.patch.object(owner, name, value)


def _no_flush_of_files(path: Path) -> None:
    if path.is_dir():
        _sync(path)


def _no_flush_of_folders(path: Path) -> None:
    if not path.is_dir():
        _sync(path)


_sync = atomic.sync


@contextmanager
def _released_early(path: Path, on_wait: Any = None, *, shared: bool = False) -> Iterator[bool]:
    with _hold(path, on_wait, shared=shared) as waited:
        pass
    yield waited


_hold = locks.hold


def _grant_without_comparison(client: Any, name: str) -> Any:
    """Take the lease of another limit when this one is taken."""
    return _request(client, name) or _request(client, f"{name}-again")


_request = leases._request


def _mirror_receipt_first(self: Any, receipt: Any, known: Any, store: Any) -> int:
    bucket = self._open_store()
    key = self._receipt_key(receipt.stage, receipt.key)
    if bucket.head(key) is not None:
        return 0
    self._put_sealed(bucket, key, known.path(receipt.stage, receipt.key))
    return int(bucket.sync(self._prefix, mirror._files(receipt, store)).bytes_sent)


def _another_name_after_loss(self: Any, name: str, body: dict[str, Any]) -> Any:
    """Submit again under another name when the answer was lost."""
    try:
        return self.client.submit(body)
    except Exception:  # noqa: BLE001 - that is the fault
        metadata = {**body["metadata"], "name": f"{name}0"}
        return self.client.submit({**body, "metadata": metadata})


def _always_new(self: Any, job: Any, latest: Any, report: Any) -> None:
    return None


def _delivered_before_sent(self: Any, path: Path, senders: Any, retry: Any, say: Any, sleep: Any) -> None:
    kept = path.rename(path.with_suffix(".sent"))
    try:
        _deliver(self, kept, senders, retry, say, sleep)
    finally:
        kept.unlink(missing_ok=True)


_deliver = Outbox._deliver


def _put_unflushed(self: Any, message: Any, channels: tuple[str, ...]) -> None:
    self.waiting.mkdir(parents=True, exist_ok=True)
    name = f"{int(time.time() * 1000)}-{message.subject}.json"
    (self.waiting / name).write_text(json.dumps({"message": asdict(message), "ways": channels}))


def _one_name_for_all(self: Any, message: Any, channels: tuple[str, ...]) -> None:
    """Name a notification by its second alone."""
    name = f"{int(time.time())}.json"
    atomic.write_text(self.waiting / name, json.dumps({"message": asdict(message), "ways": channels}))


def _move_unflushed(self: Any) -> None:
    """Settle a release without flushing what has arrived."""
    with mock.patch.object(files, "sync", _nothing), mock.patch.object(releases, "sync", _nothing):
        _settle(self)


_settle = releases.Releases.settle


def _unchecked(folder: str, wanted: Mapping[str, Any]) -> list[str]:
    """Take every part that has arrived as complete."""
    for name in wanted:
        part = os.path.join(folder, name) + files.PART  # noqa: PTH118
        if os.path.exists(part):  # noqa: PTH110
            os.replace(part, os.path.join(folder, name))  # noqa: PTH105, PTH118
    return [name for name in wanted if not os.path.exists(os.path.join(folder, name))]  # noqa: PTH110, PTH118


def _lowered(self: Any, manifest: Any, fallback: Any) -> None:
    self.make_folder()
    body = {"counter": manifest.counter, "fallback": fallback and fallback.sha256, "seen": 0}
    files.write(str(Path(self.folder) / "floor.json"), json.dumps(body), 0o600)


def _no_lock(self: Any, seconds: float, owner: str) -> None:
    os.makedirs(self.path("releases"), exist_ok=True)  # noqa: PTH103
    self.held._descriptor = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT, 0o600)


def _failures_forgotten(self: Any, event: Any) -> None:
    _apply(self, event)
    self._failed = [0] * len(self._failed)


_apply = state.Rollout.apply


def _next_wave_at_once(self: Any, now: float) -> Any:
    step = _next(self, now)
    if isinstance(step, state.Wait) and step.until is None and self.wave + 1 < len(self.policy.waves):
        following = self._waiting[self.wave + 1]
        if following:
            return state.Start(following[0])
    return step


_next = state.Rollout.next


@contextmanager
def _carried_out_by_all(self: Any) -> Iterator[None]:
    yield


PLANTED: dict[str, Planted] = {
    "missing fsync of files": Planted("work", _attribute(atomic, "sync", _no_flush_of_files), "", seed=3),
    "missing fsync of folders": Planted("work", _attribute(atomic, "sync", _no_flush_of_folders), "lost", seed=3),
    "bytes not compared with digests": Planted("work", _attribute(artifacts.ArtifactStore, "_check", _nothing), ""),
    "lock of a key released early": Planted(
        "work", lambda: mock.patch("tasks.engine.chain.hold", _released_early), "work on", seed=2
    ),
    "lease granted without comparison": Planted(
        "work", _attribute(leases, "_request", _grant_without_comparison), "two machines", seed=5
    ),
    "lease not renewed": Planted("work", _attribute(leases, "_keep", _nothing), "two machines", seed=5),
    "receipt sent before its bytes": Planted(
        "work", _attribute(mirror.Mirror, "send", _mirror_receipt_first), "mirror"
    ),
    "submitted again after a lost answer": Planted(
        "work", _attribute(submit.Submitter, "_create_once", _another_name_after_loss), "paid twice", seed=22
    ),
    "running job not looked for": Planted(
        "work", _attribute(trainer.ModelArtsTrainer, "_existing_job", _always_new), "paid twice"
    ),
    "notification removed before it is sent": Planted(
        "outbox", _attribute(Outbox, "_deliver", _delivered_before_sent), "lost to", seed=1
    ),
    "notification not flushed": Planted("outbox", _attribute(Outbox, "put", _put_unflushed), "lost to", seed=40),
    "id of a notification used again": Planted("outbox", _attribute(Outbox, "put", _one_name_for_all), "lost to"),
    "release not flushed": Planted("deploy", _attribute(releases.Releases, "settle", _move_unflushed), "", seed=8),
    "arrived files not checked": Planted("deploy", _attribute(releases, "settle_files", _unchecked), "", seed=3),
    "floor lowered": Planted("deploy", _attribute(Trust, "raise_floor", _lowered), "floor", seed=7),
    "arrived files not flushed": Planted("deploy", _attribute(files, "sync", _nothing), "", seed=8),
    "lock of a board not taken": Planted("deploy", _attribute(releases.Releases, "lock", _no_lock), "", seed=1),
    "failures forgotten": Planted(
        "rollout", _attribute(state.Rollout, "apply", _failures_forgotten), "before its order"
    ),
    "next wave at once": Planted("rollout", _attribute(state.Rollout, "next", _next_wave_at_once), "before its order"),
    "two rollouts at once": Planted(
        "rollout", _attribute(fleet.Fleet, "carrying_out", _carried_out_by_all), "at once", seed=1
    ),
}
