"""Each fault of an answer at each call of the platform: in the right class, and nothing is done or paid for twice."""

import threading
from contextlib import contextmanager

import huaweicloudsdkmodelarts.v1 as sdk
import pytest

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.modelarts.emulator.notebooks import IMAGE
from infra.modelarts.notebooks import Notebooks
from infra.modelarts.plan import Attempt, Place, body
from infra.settings import ModelArtsNotebookSettings
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import KEY

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

PLACE = Place("bucket", "af")
BEFORE = {"throttle": Transient, "broken": Transient, "drop": Transient, "expired": Refused}
CALLS = {
    "create": lambda client, todo, _job: client.submit(
        body(todo, Attempt(2, PLACE.results(KEY), resume=False, installation="x"), doubles.settings_for(1), PLACE)
    ),
    "search": lambda client, _todo, _job: client.find("atlasflow-", "0"),
    "show": lambda client, _todo, job: client.show(job),
    "describe": lambda client, _todo, job: client.describe(job, "text"),
    "stop": lambda client, _todo, job: client.stop(job),
    "delete": lambda client, _todo, job: client.delete(job),
    "preview": lambda client, _todo, job: client.preview(job, "worker-0"),
    "link": lambda client, _todo, job: client.log_link(job, "worker-0"),
    "events": lambda client, _todo, job: client.events(job),
    "metrics": lambda client, _todo, job: client.metrics(job, "worker-0"),
    "engines": lambda client, _todo, _job: client.engines(),
    "flavors": lambda client, _todo, _job: client.flavors(),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_fault_of_a_call_ends_in_its_class_and_the_next_one_succeeds(world, job, call):
    faults = [f"{action}@modelarts.{call}#{visit}" for visit, action in enumerate(BEFORE, 1)]
    options = doubles.QUICK.model_copy(update={"creating_seconds": 600})
    with world(faults=",".join(faults), options=options) as (trainer, platform):
        todo, client = job(), trainer.client
        first = body(todo, Attempt(1, PLACE.results(KEY), False, "x"), doubles.settings_for(1), PLACE)
        record = platform.book.add(first, 600)
        for action, kind in BEFORE.items():
            with pytest.raises(kind) as caught:
                CALLS[call](client, todo, record.id)
            if action != "drop":
                assert f"planned fault at modelarts.{call}" in caught.value.message, "the platform's own words"
        assert (record.phase, len(platform.book.all())) == ("Creating", 1)
        CALLS[call](client, todo, record.id)


@pytest.mark.parametrize("action", [*BEFORE, "lost"])
@pytest.mark.parametrize("call", ["search", "create", "show", "preview", "describe"])
def test_a_training_survives_every_fault_with_one_job(world, job, store, tmp_path, call, action):
    fault = f"drop@modelarts.{call}.answer" if action == "lost" else f"{action}@modelarts.{call}"
    todo = job()
    with world(faults=fault) as (trainer, platform):
        if call == "describe":  # another installation has submitted it
            todo = job(wait_for=str(tmp_path / "go"))
            other = doubles.trainer_for(
                trainer.client, store, trainer._settings, tmp_path / "other", "error@train.job.submitted"
            )
            with pytest.raises(Transient):
                other.train(todo, print)
        errors = follow_through(trainer, todo, tmp_path)
        assert [record.name[-2:] for record in platform.book.all()] == ["-1"]
        assert platform.book.all()[0].phase == "Completed"
        assert all(type(error) is BEFORE.get(action, Transient) for error in errors)
        assert len(errors) <= 1
        assert trainer._ledger.read(KEY).settled
    assert (todo.folder / "history.json").exists()


def follow_through(trainer, todo, tmp_path) -> list[AtlasFlowError]:
    """Train as a stage that is retried does; returns what it met on its way."""
    errors = []
    for _ in range(4):
        try:
            trainer.train(todo, lambda line: (tmp_path / "go").touch() if "Running" in line else None)
        except AtlasFlowError as error:
            errors.append(error)
        else:
            return errors
    raise AssertionError(errors)


def test_what_a_job_died_of_is_told_though_its_events_are_asked_for_twice(world, job):
    with world(faults="stuck@modelarts.queue,broken@modelarts.events") as (trainer, platform):
        todo = job()
        stopper = threading.Timer(0.5, lambda: platform.stop(platform.book.all()[0]))
        stopper.start()
        with pytest.raises(Transient, match="events"):
            trainer.train(todo, print)
        stopper.join()
        with pytest.raises(Refused, match="stopped on the platform"):
            trainer.train(todo, print)
        assert [record.phase for record in platform.book.all()] == ["Terminated"]
        assert trainer._ledger.read(KEY).settled


NOTEBOOKS = {
    "images": lambda calls, _one: calls.images(),
    "notebooks": lambda calls, _one: calls.list(),
    "notebook-create": lambda calls, _one: calls.create("two"),
    "notebook": lambda calls, one: calls._client.call(
        "show", lambda client: client.show_notebook(sdk.ShowNotebookRequest(id=one))
    ),
    "notebook-start": lambda calls, one: calls.start(one),
    "notebook-stop": lambda calls, one: calls.stop(one),
    "notebook-delete": lambda calls, one: calls.delete(one),
}


@pytest.mark.parametrize("call", NOTEBOOKS)
def test_every_fault_of_a_notebook_s_call(tmp_path, store, call):
    with calling(tmp_path, store) as calls:
        one = calls.create("one").id
        if call == "notebook-start":
            calls.stop(one)
    faults = [f"{action}@modelarts.{call}#{visit}" for visit, action in enumerate(BEFORE, 1)]
    with calling(tmp_path, store, ",".join(faults)) as calls:
        for kind in BEFORE.values():
            with pytest.raises(kind):
                NOTEBOOKS[call](calls, one)
        assert [item.name for item in calls.list()] == ["one"]
        NOTEBOOKS[call](calls, one)
        expected = {"notebook-create": ["one", "two"], "notebook-delete": []}.get(call, ["one"])
        assert [item.name for item in calls.list()] == expected


def test_a_notebook_that_was_made_with_the_answer_lost_is_not_made_twice(tmp_path, store):
    with calling(tmp_path, store, "drop@modelarts.notebook-create.answer") as calls:
        with pytest.raises(Transient):
            calls.create("one")
        with pytest.raises(UserError, match="a notebook 'one' already"):
            calls.create("one")
        assert [item.name for item in calls.list()] == ["one"]


@contextmanager
def calling(folder, store, faults=""):
    """The calls of notebooks; the instances are kept in the folder."""
    with doubles.stand_in(folder, store, faults=faults) as (_, settings), doubles.client_for(settings) as client:
        yield Notebooks(client, settings.model_copy(update={"notebook": ModelArtsNotebookSettings(image=IMAGE)}))
