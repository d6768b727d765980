"""Each fault of a response, at each call: it has the right class, and nothing is done or billed twice."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import huaweicloudsdkmodelarts.v1 as sdk
import pytest

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.modelarts.client import ModelArts
from infra.modelarts.codes import Unauthorised
from infra.modelarts.emulator.notebooks import IMAGE
from infra.modelarts.emulator.request import read_request
from infra.modelarts.notebooks import Notebooks
from infra.modelarts.phases import Phase
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.training import TrainJob
from infra.settings import ModelArtsNotebookSettings
from tests.unit.infra.local_training.doubles import ignore
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import Json, MakeBody, MakeJob, OpenWorld
from tests.unit.infra.modelarts.jobs import KEY

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

FAULTS: Mapping[str, type[AtlasFlowError]] = {
    "throttle": Transient,
    "broken": Transient,
    "drop": Transient,
    "expired": Unauthorised,
}
CALLS: Mapping[str, Callable[[ModelArts, Json, str], object]] = {
    "create": lambda client, body, _job: client.submit(body),
    "search": lambda client, _body, _job: client.find("atlasflow-", "0"),
    "show": lambda client, _body, job: client.show(job),
    "describe": lambda client, _body, job: client.describe(job, "text"),
    "stop": lambda client, _body, job: client.stop(job),
    "delete": lambda client, _body, job: client.delete(job),
    "preview": lambda client, _body, job: client.preview(job, "worker-0"),
    "link": lambda client, _body, job: client.log_link(job, "worker-0"),
    "events": lambda client, _body, job: client.events(job),
    "metrics": lambda client, _body, job: client.metrics(job, "worker-0"),
    "engines": lambda client, _body, _job: client.engines(),
    "flavors": lambda client, _body, _job: client.flavors(),
}


@pytest.mark.parametrize("call", CALLS)
def test_each_fault_of_a_call_has_its_class_and_the_next_call_succeeds(
    open_world: OpenWorld, body: MakeBody, call: str
) -> None:
    faults = [f"{action}@modelarts.{call}#{visit}" for visit, action in enumerate(FAULTS, 1)]
    options = doubles.QUICK.model_copy(update={"creating_seconds": 600})
    with open_world(faults=",".join(faults), options=options) as world:
        client, second = world.trainer.client, body(attempt=2)
        record = world.platform.book.add(read_request(body()), 600)
        for action, error_class in FAULTS.items():
            with pytest.raises(error_class) as caught:
                CALLS[call](client, second, record.id)
            if action != "drop":
                assert f"planned fault at modelarts.{call}" in caught.value.message, "the platform's own message"
        assert (record.phase, world.attempts) == (Phase.CREATING, [1])
        CALLS[call](client, second, record.id)


@pytest.mark.parametrize("action", [*FAULTS, "lost"])
@pytest.mark.parametrize("call", ["search", "create", "show", "preview", "describe"])
def test_a_training_survives_each_fault_with_one_job(
    open_world: OpenWorld, job: MakeJob, tmp_path: Path, call: str, action: str
) -> None:
    fault = f"drop@modelarts.{call}.answer" if action == "lost" else f"{action}@modelarts.{call}"
    todo = job()
    with open_world(faults=fault) as world:
        if call == "describe":  # another installation has submitted it
            todo = job(wait_for=str(tmp_path / "go"))
            other = world.another_trainer("error@train.job.submitted", installation="other")
            with pytest.raises(Transient):
                other.train(todo, ignore)
        errors = retry(world.trainer, todo, tmp_path)
        assert world.attempts == [1]
        assert world.platform.book.all()[0].phase == Phase.COMPLETED
        assert all(type(error) is FAULTS.get(action, Transient) for error in errors)
        assert len(errors) <= 1
        intent = world.trainer.ledger.read(KEY)
        assert intent is not None
        assert intent.settled
    assert (todo.folder / "history.json").exists()


def retry(trainer: ModelArtsTrainer, todo: TrainJob, tmp_path: Path) -> list[AtlasFlowError]:
    """Train with retries, as the flow does; return the errors on the way."""
    errors: list[AtlasFlowError] = []
    for _ in range(4):
        try:
            trainer.train(todo, lambda event: (tmp_path / "go").touch() if "Running" in str(event) else None)
        except AtlasFlowError as error:
            errors.append(error)
        else:
            return errors
    raise AssertionError(errors)


def test_the_end_of_a_job_is_reported_although_its_events_fail_to_load(open_world: OpenWorld, job: MakeJob) -> None:
    with open_world(faults="stuck@modelarts.queue,broken@modelarts.events") as world:
        todo = job()

        def stop() -> None:
            deadline = time.monotonic() + 60
            while not (jobs := world.platform.book.all()):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            world.platform.stop(jobs[0])

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(Refused, match=r"(?s)stopped on the platform.*events cannot be read"):
            world.trainer.train(todo, ignore)
        stopper.join()
        assert [record.phase for record in world.platform.book.all()] == [Phase.TERMINATED]
        intent = world.trainer.ledger.read(KEY)
        assert intent is not None
        assert intent.settled


Calls = tuple[ModelArts, Notebooks]

NOTEBOOK_CALLS: Mapping[str, Callable[[ModelArts, Notebooks, str], object]] = {
    "images": lambda _client, notebooks, _id: notebooks.images(),
    "notebooks": lambda _client, notebooks, _id: notebooks.list(),
    "notebook-create": lambda _client, notebooks, _id: notebooks.create("two"),
    "notebook": lambda client, _notebooks, one: client.call(
        "show", lambda call: call.show_notebook(sdk.ShowNotebookRequest(id=one))
    ),
    "notebook-start": lambda _client, notebooks, one: notebooks.start(one),
    "notebook-stop": lambda _client, notebooks, one: notebooks.stop(one),
    "notebook-delete": lambda _client, notebooks, one: notebooks.delete(one),
}


@pytest.mark.parametrize("call", NOTEBOOK_CALLS)
def test_each_fault_of_a_notebook_call(tmp_path: Path, store: doubles.FolderStore, call: str) -> None:
    with open_notebooks(tmp_path, store) as (_, notebooks):
        one = notebooks.create("one").id
        if call == "notebook-start":
            notebooks.stop(one)
    faults = [f"{action}@modelarts.{call}#{visit}" for visit, action in enumerate(FAULTS, 1)]
    with open_notebooks(tmp_path, store, ",".join(faults)) as (client, notebooks):
        for error_class in FAULTS.values():
            with pytest.raises(error_class):
                NOTEBOOK_CALLS[call](client, notebooks, one)
        assert [item.name for item in notebooks.list()] == ["one"]
        NOTEBOOK_CALLS[call](client, notebooks, one)
        expected = {"notebook-create": ["one", "two"], "notebook-delete": []}.get(call, ["one"])
        assert [item.name for item in notebooks.list()] == expected


def test_a_notebook_is_not_created_twice_after_a_lost_response(tmp_path: Path, store: doubles.FolderStore) -> None:
    with open_notebooks(tmp_path, store, "drop@modelarts.notebook-create.answer") as (_, notebooks):
        with pytest.raises(Transient):
            notebooks.create("one")
        with pytest.raises(UserError, match="a notebook 'one' already"):
            notebooks.create("one")
        assert [item.name for item in notebooks.list()] == ["one"]


@contextmanager
def open_notebooks(folder: Path, store: doubles.FolderStore, faults: str = "") -> Iterator[Calls]:
    """Open the notebooks of a stand-in, whose instances are stored in the folder."""
    with doubles.stand_in(folder, store, faults=faults) as (_, settings), doubles.client_for(settings) as client:
        notebook = ModelArtsNotebookSettings(image=IMAGE)
        yield client, Notebooks(client, settings.model_copy(update={"notebook": notebook}))
