import json
import time

import huaweicloudsdkmodelarts.v1 as sdk
import pytest

from infra.errors import UserError
from infra.modelarts.emulator.notebooks import IMAGE
from infra.modelarts.notebooks import Notebooks
from infra.settings import ModelArtsNotebookSettings
from tests.unit.infra.modelarts import doubles

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.fixture
def notebooks(tmp_path, store):
    """Makes the calls, with settings of one's own: `notebooks(hours=2)`."""
    with doubles.stand_in(tmp_path / "platform", store) as (_, settings), doubles.client_for(settings) as client:

        def make(image=IMAGE, changes=(), **values):
            notebook = ModelArtsNotebookSettings(image=image, **values)
            return Notebooks(client, settings.model_copy(update={"notebook": notebook, **dict(changes)}))

        yield make


def test_an_instance_through_its_life(notebooks):
    calls = notebooks(hours=2, storage_gb=20)
    made = calls.create("资料-1")
    assert (made.status, made.flavor) == ("RUNNING", "modelarts.vm.cpu.2u")
    assert made.url
    assert 1.9 * 3600 < made.until_ms / 1000 - time.time() < 2.1 * 3600
    assert calls.start("资料-1") == made
    stopped = calls.stop("资料-1")
    assert (stopped.status, stopped.url, stopped.until_ms) == ("STOPPED", "", None)
    assert calls.stop(made.id).status == "STOPPED"
    assert calls.start(made.id).status == "RUNNING"
    calls.delete("资料-1")
    assert calls.list() == []


def test_many_are_listed_in_pages_and_a_name_may_be_given_twice(notebooks, tmp_path):
    calls = notebooks()
    calls.create("one")
    with pytest.raises(UserError, match="a notebook 'one' already"):
        calls.create("one")
    body = sdk.NotebookCreateRequest(name="one", flavor="modelarts.vm.cpu.2u", image_id=IMAGE)  # by somebody else
    calls._client.call("create", lambda client: client.create_notebook(sdk.CreateNotebookRequest(body=body)))
    with pytest.raises(UserError, match="2 notebooks"):
        calls.stop("one")
    with pytest.raises(UserError, match="no notebook 'two'") as caught:
        calls.stop("two")
    assert "one" in caught.value.hint
    book = json.loads((tmp_path / "platform" / "notebooks.json").read_text())
    assert len(book) == 2


def test_the_images_are_named_when_none_is_set(notebooks):
    with pytest.raises(UserError, match="image is not set") as caught:
        notebooks(image="").create("n")
    assert IMAGE in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"cost_cap": 1.0}, "no price"),
        ({"cost_cap": 5.0, "prices": {"modelarts.vm.cpu.2u": 2.0}}, "could cost 6.00"),
    ],
)
def test_the_cap_holds_for_notebooks(notebooks, changes, match):
    calls = notebooks(changes=changes.items(), hours=3)
    with pytest.raises(UserError, match=match):
        calls.create("n")
    assert calls.list() == []


def test_storage_in_a_bucket_needs_a_credential(notebooks):
    with pytest.raises(UserError, match="storage_credential"):
        notebooks(storage="OBS", storage_address="obs://b/x/").create("n")
    made = notebooks(storage="OBS", storage_address="obs://b/x/", storage_credential="mine").create("n")
    assert made.status == "RUNNING"


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_pages_have_a_size(notebooks, limit):
    request = sdk.ListNotebooksRequest(limit=limit)
    with pytest.raises(UserError, match=r"ModelArts\.0104"):
        notebooks()._client.call("list", lambda client: client.list_notebooks(request))


@pytest.mark.parametrize("name", ["", "a b", "x" * 129])
def test_bad_names_are_refused(notebooks, name):
    with pytest.raises(UserError, match=r"ModelArts\.0104"):
        notebooks().create(name)
