"""The registry: promotions and demotions that fit what stands, damage, concurrent writers, and the copy in a mirror."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.champions import Metrics, Registry, RegistryState
from infra.champions import registry as module
from infra.champions.records import serialised
from infra.errors import Corrupt, Refused, Transient, UserError
from infra.faults import NO_FAULTS
from infra.store.gc import retained
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt, Receipts
from infra.store.runs import Runs
from tests.unit.infra.champions import champion
from tests.unit.infra.store.test_mirror import FolderStore


def release_of(state: RegistryState) -> str:
    """The champion's release; empty for none."""
    return state.champion.release if state.champion else ""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "home")


def promote(registry: Registry, release: str, over: str = "", **changed: Any) -> RegistryState:
    return registry.promote(champion(release, **changed), [f"train {release}"], over=over, pending=True)


def test_an_empty_home_has_no_champion(registry: Registry) -> None:
    assert registry.read() == RegistryState()
    assert not registry.path.exists()


def test_promotions_and_demotions_are_recorded(registry: Registry) -> None:
    promote(registry, "a")
    promote(registry, "b", over="a")
    registry.keep("checkpoint", ["k"], "Bea", "it may be chance", over="b")
    state = registry.read()
    assert release_of(state) == "b"
    assert state.champion and state.champion.before == "a"
    assert state.predecessor() == state.models["a"]
    state = registry.demote("", "Ada", "trucks", pending=False)
    assert (release_of(state), state.pending, state.predecessor()) == ("a", False, None)
    assert [(event.kind, event.about, event.champion, event.who) for event in registry.read().history] == [
        ("promoted", "a", "a", "Ada"),
        ("promoted", "b", "b", "Ada"),
        ("kept", "", "b", "Bea"),
        ("demoted", "b", "a", "Ada"),
    ]
    assert registry.read().history[-1].checkpoint == "checkpoint of b"
    state = registry.demote("b", "Ada", "trucks are fine", pending=True)
    assert (release_of(state), state.pending) == ("b", True)
    assert state.revision == 5


def test_the_first_champion_can_be_taken_back_to_none(registry: Registry) -> None:
    promote(registry, "a")
    assert registry.demote("", "rollout", "its boards failed", of="a", pending=True).champion is None
    assert not registry.read().pending, "there is nothing to tell"
    promote(registry, "b", over="")


def test_a_refused_change_changes_nothing(registry: Registry) -> None:
    with pytest.raises(UserError, match="no champion"):
        registry.demote("", "Ada", "", pending=False)
    promote(registry, "a")
    before = registry.path.read_bytes()
    with pytest.raises(Refused, match="compared with z; the champion is a now"):
        promote(registry, "b", over="z")
    with pytest.raises(Refused, match="compared with none"):
        promote(registry, "b")
    with pytest.raises(Refused, match="compared with z; the champion is a now"):
        registry.keep("checkpoint", ["k"], "Bea", "it may be chance", over="z")
    with pytest.raises(Refused, match="release z is no longer"):
        registry.demote("", "Ada", "", of="z", pending=False)
    for wrong in ("z", "a"):
        with pytest.raises(UserError, match="not a former champion"):
            registry.demote(wrong, "Ada", "", pending=False)
    assert registry.path.read_bytes() == before


def test_only_the_rollout_of_the_present_champion_is_recorded(registry: Registry) -> None:
    promote(registry, "a")
    registry.mark_rolled_out("z")
    assert registry.read().pending
    registry.mark_rolled_out("a")
    revision = registry.read().revision
    assert not registry.read().pending
    registry.mark_rolled_out("a")
    assert registry.read().revision == revision


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"schema": 0}',
        '{"schema": 1, "revision": 1, "champion": "a", "pending": false, "models": {}, "history": []}',
        '{"schema": 1, "revision": 1, "champion": "", "pending": false, "models": {"a": {}}, "history": []}',
    ],
)
def test_a_damaged_registry_is_not_empty(registry: Registry, damage: str) -> None:
    registry.path.parent.mkdir(parents=True)
    registry.path.write_text(damage)
    with pytest.raises(Corrupt, match="is damaged"):
        registry.read()
    with pytest.raises(Corrupt):
        promote(registry, "a")
    assert registry.path.read_text() == damage


def test_a_newer_registry_is_refused_and_left_as_it_is(registry: Registry) -> None:
    registry.path.parent.mkdir(parents=True)
    registry.path.write_text('{"schema": 2, "what": "ever"}')
    for act in (registry.read, lambda: promote(registry, "a")):
        with pytest.raises(Refused, match=r"newer AtlasFlow \(schema 2, here 1\)"):
            act()
    assert registry.path.read_text() == '{"schema": 2, "what": "ever"}'


def test_a_writer_that_dies_leaves_the_old_file(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(registry, "a")
    before = registry.path.read_bytes()

    def dies(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_text", dies)
    with pytest.raises(OSError, match="No space"):
        promote(registry, "b", over="a")
    assert registry.path.read_bytes() == before


def test_of_two_promotions_over_the_same_champion_one_wins(registry: Registry) -> None:
    promote(registry, "a")
    barrier = threading.Barrier(2, timeout=10)
    outcomes: list[str] = []

    def compete(name: str) -> None:
        barrier.wait()
        try:
            promote(registry, name, over="a")
            outcomes.append(name)
        except Refused:
            outcomes.append("refused")

    threads = [threading.Thread(target=compete, args=(name,)) for name in "bc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes)[1] == "refused"
    assert release_of(registry.read()) == sorted(outcomes)[0]


EARLIER = {
    "schema": 1,
    "revision": 1,
    "champion": "a",
    "pending": False,
    "models": {
        "a": {
            "release": "a",
            "checkpoint": "c",
            "recipe": "lenet5-sample",
            "spec": {"epochs": 2},
            "data": "d",
            "code": "e",
            "metrics": {"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6], "images": 100, "loss": 1.5},
            "keys": {"train": "k"},
            "emulated": ["convert"],
            "published": "obs://atlasflow/releases/a/",
            "when": 1.0,
            "who": "Ada",
            "why": "there is no champion yet",
            "before": "",
        }
    },
    "history": [
        {
            "kind": "promoted",
            "champion": "a",
            "about": "a",
            "checkpoint": "c",
            "trainings": ["k"],
            "when": 1.0,
            "who": "Ada",
            "why": "there is no champion yet",
        }
    ],
}


def test_the_file_keeps_its_form(registry: Registry) -> None:
    registry.path.parent.mkdir(parents=True)
    registry.path.write_text(json.dumps(EARLIER))
    state = registry.read()
    assert state.champion
    assert state.champion.metrics == Metrics(0.5, (0.4, 0.6), 100, 1.5)
    assert (state.champion.emulated, state.history[0].trainings) == (("convert",), ("k",))
    registry.mark_rolled_out("a")
    assert json.loads(serialised(state)) == EARLIER


def test_people_can_read_the_file(registry: Registry) -> None:
    promote(registry, "a")
    values = json.loads(registry.path.read_text())
    assert (values["schema"], values["champion"]) == (1, "a")
    assert values["models"]["a"]["keys"]["train"] == "train a"


def test_garbage_collection_keeps_the_champion_and_its_predecessor_with_what_they_came_from(
    registry: Registry, tmp_path: Path
) -> None:
    receipts = Receipts(tmp_path / "home", NO_FAULTS)
    for release in "abc":
        promote(registry, release, over=chr(ord(release) - 1) if release != "a" else "")
        for stage in ("train", "publish"):
            receipts.save(Receipt(stage, f"{stage} {release}", {"inputs": {}, "settings": {}}, {}))
    kept = retained(receipts, Runs(tmp_path / "home"), 1, registry.read().kept_keys()).keys
    assert kept == {"train b", "publish b", "train c", "publish c"}


class TestMirror:
    @pytest.fixture
    def bucket(self, tmp_path: Path) -> FolderStore:
        return FolderStore(tmp_path / "bucket")

    @pytest.fixture
    def machines(self, tmp_path: Path, bucket: FolderStore) -> list[Registry]:
        store: Any = bucket
        return [Registry(tmp_path / name, Mirror(lambda: store, "team")) for name in ("one", "two")]

    def test_another_machine_sees_the_champion_and_can_replace_it(self, machines: list[Registry]) -> None:
        one, two = machines
        promote(one, "a")
        assert release_of(two.read()) == "a"
        promote(two, "b", over="a")
        assert release_of(one.read()) == "b"
        with pytest.raises(Refused):
            promote(one, "c", over="a")

    def test_a_mirror_that_does_not_answer_is_not_an_empty_registry(
        self, machines: list[Registry], bucket: FolderStore
    ) -> None:
        promote(machines[0], "a")
        bucket.broken = True
        for registry in machines:
            with pytest.raises(Transient):
                registry.read()

    def test_a_change_that_the_mirror_refuses_does_not_happen(
        self, machines: list[Registry], bucket: FolderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = machines
        promote(one, "a")

        def broken(key: str, source: Path, progress: object = None) -> None:
            raise Transient("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(bucket, "put", broken)
            with pytest.raises(Transient):
                promote(one, "b", over="a")
        promote(two, "c", over="a")
        assert one.read() == two.read()
        assert release_of(one.read()) == "c"

    def test_of_two_equally_old_copies_the_mirror_s_counts(self, machines: list[Registry], tmp_path: Path) -> None:
        one, two = machines
        promote(one, "a")
        promote(Registry(tmp_path / "one"), "b", over="a")
        promote(two, "c", over="a")
        assert release_of(one.read()) == release_of(two.read()) == "c"

    def test_a_change_holds_the_lock_of_all_machines(self, tmp_path: Path, bucket: FolderStore) -> None:
        seen: list[tuple[str, object]] = []

        class Leases:
            @contextmanager
            def hold(self, name: str, waiting: object) -> Iterator[bool]:
                seen.append((name, bucket.head("team/registry.json")))
                yield False
                seen.append((name, bucket.head("team/registry.json")))

        store: Any = bucket
        leases: Any = Leases()
        registry = Registry(tmp_path / "one", Mirror(lambda: store, "team"), leases)
        promote(registry, "a")
        (before, after) = seen
        assert before == ("atlasflow-registry", None)
        assert after[0] == "atlasflow-registry"
        assert after[1] is not None, "it was sent while the lock was held"

    def test_a_newer_own_copy_counts(self, machines: list[Registry], tmp_path: Path) -> None:
        promote(machines[0], "a")
        alone = Registry(tmp_path / "one")
        promote(alone, "b", over="a")
        assert release_of(machines[0].read()) == "b"
        machines[0].mark_rolled_out("b")
        assert release_of(machines[1].read()) == "b"
