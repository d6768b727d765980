import errno
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.errors import Corrupt, Refused, Transient, UserError
from infra.faults import Fault, FaultPlan
from infra.ports.values import Producer
from infra.settings import load
from infra.store.proofs import proofs
from infra.world import World
from tasks.engine.chain import Chain
from tasks.engine.diff import Cause
from tasks.engine.reporter import Silent
from tasks.engine.stage import Stage, StageOutput


class Recorder(Silent):
    """Counts which stages really ran, and holds the world that an effect changes."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.world: set[str] = set()


def run_source(work: Any) -> Any:
    work.reporter.ran.append("source")
    (work.folder / "data").mkdir()
    (work.folder / "data" / "a.txt").write_text(work.settings.data.source)
    return StageOutput({"data": work.folder / "data"})


def run_refine(work: Any) -> Any:
    work.reporter.ran.append("refine")
    text = work.files["data"]["a.txt"].path.read_text()
    result = work.folder / "refined.txt"
    result.write_text(text[:3])
    return StageOutput({"refined": result}, "refined")


def run_send(work: Any) -> Any:
    work.reporter.ran.append("send")
    work.reporter.world.add(work.input("refined").read_text())
    listing = work.folder / "listing.json"
    listing.write_text(json.dumps(["sent"]))
    return StageOutput({"listing": listing})


def prove_send(work: Any, made: Any) -> Any:
    assert json.loads(made["listing"]["listing.json"].path.read_text()) == ["sent"]
    return None if work.input("refined").read_text() in work.reporter.world else "it is gone"


SOURCE = Stage("source", "pure", run_source, settings=lambda settings: {"source": settings.data.source})
REFINE = Stage("refine", "pure", run_refine, needs={"data": ("source", "data")})
SEND = Stage("send", "effect", run_send, needs={"refined": ("refine", "refined")}, prove=prove_send)


@pytest.fixture
def recorder() -> "Recorder":
    return Recorder()


@pytest.fixture
def chain_of(tmp_path: Path, recorder: Any) -> Any:
    def make(*stages: Any, source: str = "sample", faults: Any = None) -> Any:
        settings = load(overrides={"data.source": source})
        arguments = (settings, tmp_path / "home", cast("World", SimpleNamespace()), recorder)
        return Chain(stages or (SOURCE, REFINE, SEND), *arguments, *([faults] if faults else []))

    return make


def run_all(chain: Any) -> Any:
    return {name: chain.run(stage) for name, stage in chain.stages.items()}


def test_the_second_run_does_nothing_but_look_at_the_world(chain_of: Any, recorder: Any, tmp_path: Path) -> None:
    run_all(chain_of())
    results = run_all(chain_of())
    assert recorder.ran == ["source", "refine", "send"]
    assert all(result.reused for result in results.values())
    assert list(proofs(tmp_path / "home").values()) == [pytest.approx(time.time(), abs=60)]


def test_an_effect_that_no_longer_holds_is_done_again(chain_of: Any, recorder: Any) -> None:
    run_all(chain_of())
    recorder.world.clear()
    results = run_all(chain_of())
    assert recorder.ran == ["source", "refine", "send", "send"]
    assert str(results["send"].reason) == "it is gone"


def test_equal_outputs_cut_the_rest_off(chain_of: Any, recorder: Any) -> None:
    run_all(chain_of(source="sample"))
    results = run_all(chain_of(source="sam"))
    assert recorder.ran == ["source", "refine", "send", "source", "refine"]
    assert results["send"].reused


def test_the_reason_names_the_setting(chain_of: Any) -> None:
    run_all(chain_of(source="sample"))
    assert str(chain_of(source="full").look_at_all()[0].reason) == "settings source: sample → full"


def test_nothing_is_known_behind_a_missing_stage(chain_of: Any) -> None:
    looks = chain_of().look_at_all()
    assert [(look.state, str(look.reason)) for look in looks] == [
        ("missing", "never ran"),
        ("missing", "waits for source"),
        ("missing", "waits for refine"),
    ]


def test_a_stage_alone_uses_what_is_there_and_names_what_is_not(chain_of: Any, recorder: Any) -> None:
    chain = chain_of()
    with pytest.raises(UserError, match="refine needs the output of source"):
        chain.run(REFINE)
    run_all(chain_of())
    chain = chain_of()
    chain.look(SOURCE)
    assert chain.run(REFINE).reused


def test_force_runs_a_fresh_stage(chain_of: Any, recorder: Any) -> None:
    run_all(chain_of())
    chain = chain_of()
    result = chain.run(SOURCE, force=True)
    assert not result.reused
    assert recorder.ran.count("source") == 2


def test_a_flipped_byte_makes_the_stage_run_again_and_heals_the_store(chain_of: Any, recorder: Any) -> None:
    chain = chain_of()
    run_all(chain)
    damaged = chain.store.files(chain.known["source"].outputs["data"])["a.txt"].path
    damaged.chmod(0o644)
    damaged.write_text("other")
    results = run_all(chain_of())
    assert "a.txt" in str(results["source"].reason)
    assert recorder.ran == ["source", "refine", "send", "source"]
    assert all(look.state == "fresh" for look in chain_of().look_at_all())


def test_a_damaged_receipt_is_an_error_and_no_reason_to_run(chain_of: Any, recorder: Any) -> None:
    chain = chain_of()
    run_all(chain)
    path = chain.receipts.path("source", chain.known["source"].key)
    path.write_text(path.read_text()[:-5])
    with pytest.raises(Corrupt, match="receipt"):
        run_all(chain_of())
    assert recorder.ran.count("source") == 1


def test_changed_code_is_named(chain_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run_all(chain_of())
    monkeypatch.setattr("tasks.engine.keys.closure", lambda modules, checkout: {"models/new.py": "0" * 64})
    reason = chain_of().look_at_all()[0].reason
    assert "code models/new.py is new: 000000000000" in [str(item) for item in reason.differences]


def test_an_emulated_producer_taints_every_later_receipt(chain_of: Any) -> None:
    stand_in = Producer("stand-in", "1", emulated=True)
    run_all(chain_of(SOURCE, REFINE, SEND))
    chain = chain_of(SOURCE, replace(REFINE, producer=lambda world: stand_in), SEND)
    results = run_all(chain)
    assert [result.receipt.emulated for result in results.values()] == [False, True, True]
    assert not results["send"].reused, "the receipt of the real chain must not pass for the emulated one"


def test_a_missing_output_of_an_optional_kind_is_named(chain_of: Any) -> None:
    wants_more = replace(REFINE, needs={"data": ("source", "air")})
    chain = chain_of(SOURCE, wants_more)
    chain.run(SOURCE)
    with pytest.raises(UserError, match="refine needs air of source"):
        chain.run(wants_more)


def test_an_outside_input_replaces_the_stage_that_would_make_it(chain_of: Any, tmp_path: Path, recorder: Any) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.txt").write_text("mine")
    chain = chain_of(SOURCE, replace(REFINE, external_inputs=lambda settings: {"data": own}))
    chain.run(chain.stages["refine"])
    assert recorder.ran == ["refine"]
    (own / "a.txt").write_text("other")
    assert not chain.run(chain.stages["refine"]).reused


def test_a_missing_outside_input_is_named(chain_of: Any, tmp_path: Path) -> None:
    chain = chain_of(SOURCE, replace(REFINE, external_inputs=lambda settings: {"data": tmp_path / "absent"}))
    with pytest.raises(UserError, match="absent"):
        chain.run(chain.stages["refine"])


def test_a_failed_stage_leaves_neither_receipt_nor_scratch(chain_of: Any, tmp_path: Path) -> None:
    def fail(work: Any) -> StageOutput:
        (work.folder / "half").write_text("half")
        raise Transient("broken")

    chain = chain_of(replace(SOURCE, run=fail))
    with pytest.raises(Transient):
        run_all(chain)
    assert chain.receipts.latest("source") is None
    assert list((tmp_path / "home" / "work").iterdir()) == []


@pytest.mark.parametrize("point", ["object.start", "object.written", "tree.written", "receipt.written", "receipt.done"])
def test_a_full_disk_is_refused_in_plain_words(chain_of: Any, point: str, tmp_path: Path) -> None:
    chain = chain_of(faults=FaultPlan([Fault("full", point)]))
    with pytest.raises(Refused, match="source: the disk is full"):
        run_all(chain)
    assert list((tmp_path / "home" / "work").iterdir()) == []
    run_all(chain_of())


def test_a_proof_leaves_no_scratch(chain_of: Any, tmp_path: Path) -> None:
    run_all(chain_of())
    run_all(chain_of())
    chain = chain_of()
    chain.look_at_all()
    chain.prove([SEND])
    assert list((tmp_path / "home" / "work").iterdir()) == []


def test_what_a_killed_run_left_goes_when_its_work_is_reused(chain_of: Any, tmp_path: Path) -> None:
    chain = chain_of()
    run_all(chain)
    scratch = tmp_path / "home" / "work" / f"source-{chain.known['source'].key[:16]}"
    scratch.mkdir()
    run_all(chain_of())
    assert not scratch.exists()


def test_two_runs_at_once_show_whole_outputs(chain_of: Any, tmp_path: Path) -> None:
    chains = [chain_of(), chain_of()]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            list(pool.map(run_all, chains))
    assert (tmp_path / "home" / "latest" / "refine" / "refined.txt").read_text() == "sam"
    assert not [path for path in (tmp_path / "home" / "latest").iterdir() if path.name.startswith(".")]


def test_the_outputs_are_shown_under_readable_names(chain_of: Any, tmp_path: Path) -> None:
    run_all(chain_of())
    assert (tmp_path / "home" / "latest" / "refine" / "refined.txt").read_text() == "sam"
    assert (tmp_path / "home" / "latest" / "source" / "data" / "a.txt").read_text() == "sample"


def test_to_prove_is_to_look_at_effects_alone_and_to_put_them_right(
    chain_of: Any, recorder: Any, tmp_path: Path
) -> None:
    run_all(chain_of())
    chain = chain_of()
    chain.look_at_all()
    recorder.world.clear()
    chain.prove(chain.stages.values())
    assert recorder.ran == ["source", "refine", "send", "send"]
    assert recorder.world == {"sam"}
    assert [name.partition(" ")[0] for name in proofs(tmp_path / "home")] == ["send"]


def test_an_optional_input_may_be_missing(chain_of: Any) -> None:
    wants_more = replace(REFINE, needs={"data": ("source", "data"), "air": ("source", "air")}, optional=("air",))
    chain = chain_of(SOURCE, wants_more)
    chain.run(SOURCE)
    assert chain.run(wants_more).note == "refined"


def recorded_send(context: Any) -> Any:
    """What this home has recorded, apart from the world itself."""
    sent = context.reporter.records
    return None if sent[-1:] == [context.input("refined").read_text()] else f"{sent[-1]} was sent since"


def run_recorded_send(context: Any) -> Any:
    context.reporter.records.append(context.input("refined").read_text())
    return run_send(context)


RECORDED = replace(SEND, run=run_recorded_send, recorded=recorded_send)


def test_an_effect_is_stale_when_another_one_was_recorded_since(chain_of: Any, recorder: Any) -> None:
    recorder.records = []
    run_all(chain_of(SOURCE, REFINE, RECORDED, source="sample"))
    run_all(chain_of(SOURCE, REFINE, RECORDED, source="full"))
    first = chain_of(SOURCE, REFINE, RECORDED, source="sample")
    state = first.look_at_all()[-1]
    assert (state.state, state.reason.cause) == ("stale", Cause.RECORD_DIFFERS)
    assert "ful was sent since" in str(state.reason)
    assert not run_all(first)["send"].reused
    assert chain_of(SOURCE, REFINE, RECORDED, source="sample").look_at_all()[-1].state == "fresh"


def test_a_fresh_chain_shows_its_own_outputs_again(chain_of: Any, tmp_path: Path) -> None:
    run_all(chain_of(source="sample"))
    run_all(chain_of(source="full"))
    first = chain_of(source="sample")
    first.look_at_all()
    first.update_latest(["source", "refine"])
    assert (tmp_path / "home" / "latest" / "source" / "data" / "a.txt").read_text() == "sample"
    assert (tmp_path / "home" / "latest" / "refine" / "refined.txt").read_text() == "sam"


def test_a_reason_compares_with_the_nearest_receipt(chain_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run_all(chain_of(source="sample"))
    monkeypatch.setattr("tasks.engine.keys.closure", lambda modules, checkout: {"models/x.py": "0" * 64})
    run_all(chain_of(source="full"))
    monkeypatch.undo()
    assert str(chain_of(source="other").look_at_all()[0].reason) == "settings source: sample → other"


def test_a_hit_reads_one_receipt(chain_of: Any) -> None:
    run_all(chain_of(source="sample"))
    run_all(chain_of(source="full"))
    chain = chain_of(source="sample")
    for path in chain.receipts.folder.glob("source/*.json"):
        if path.stem != run_all(chain_of(source="sample"))["source"].receipt.key:
            path.write_text("damaged")
    assert chain.look(SOURCE).state == "fresh"


def test_a_stage_whose_input_is_missing_does_not_run_alone(chain_of: Any, recorder: Any) -> None:
    chain = chain_of()
    with pytest.raises(UserError, match="refine needs the output of source, which is missing"):
        chain.run(chain.stages["refine"])
    assert recorder.ran == []


def test_receipts_of_an_earlier_run_are_taken_when_all_are_there(chain_of: Any) -> None:
    made = chain_of(SOURCE)
    key = made.run(made.stages["source"]).receipt.key
    chain = chain_of()
    assert chain.adopt({"source": key})
    assert chain.known["source"].key == key
    assert not chain.adopt({"source": key, "refine": "0" * 64})


def test_an_error_of_the_system_is_a_full_disk_only_if_it_says_so(chain_of: Any) -> None:
    def stopped(number: int) -> Stage:
        def run(work: Any) -> StageOutput:
            raise OSError(number, os.strerror(number))

        return Stage("source", "pure", run, settings=lambda _: {})

    full, forbidden = chain_of(stopped(errno.ENOSPC)), chain_of(stopped(errno.EACCES))
    with pytest.raises(Refused, match="source: the disk is full"):
        full.run(full.stages["source"])
    with pytest.raises(PermissionError):
        forbidden.run(forbidden.stages["source"])
