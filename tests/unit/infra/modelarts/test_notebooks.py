import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import huaweicloudsdkmodelarts.v1 as sdk
import pytest

from infra.errors import UserError
from infra.modelarts.client import ModelArts
from infra.modelarts.emulator.notebooks import IMAGE
from infra.modelarts.notebooks import Notebooks
from infra.settings import ModelArtsNotebookSettings
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import StandIn

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


MakeNotebooks = Callable[..., Notebooks]


@pytest.fixture
def notebooks(client: ModelArts, running: StandIn) -> MakeNotebooks:
    """Make the instances of a stand-in, with changed settings: `notebooks(hours=2)`."""

    def make(image: str = IMAGE, changes: Iterable[tuple[str, object]] = (), **values: Any) -> Notebooks:
        notebook = ModelArtsNotebookSettings(image=image, **values)
        settings = doubles.settings_for(running.port)
        return Notebooks(client, settings.model_copy(update={"notebook": notebook, **dict(changes)}))

    return make


def test_an_instance_through_its_life(notebooks: MakeNotebooks) -> None:
    calls = notebooks(hours=2, storage_gb=20)
    made = calls.create("资料-1")
    assert (made.status, made.flavor) == ("RUNNING", "modelarts.vm.cpu.2u")
    assert made.url
    assert made.until_ms is not None
    assert 1.9 * 3600 < made.until_ms / 1000 - time.time() < 2.1 * 3600
    assert calls.start("资料-1") == made
    stopped = calls.stop("资料-1")
    assert (stopped.status, stopped.url, stopped.until_ms) == ("STOPPED", "", None)
    assert calls.stop(made.id).status == "STOPPED"
    assert calls.start(made.id).status == "RUNNING"
    calls.delete("资料-1")
    assert calls.list() == []


def test_a_name_is_not_unique_on_the_platform(notebooks: MakeNotebooks, client: ModelArts, tmp_path: Path) -> None:
    calls = notebooks()
    calls.create("one")
    with pytest.raises(UserError, match="a notebook 'one' already"):
        calls.create("one")
    body = sdk.NotebookCreateRequest(name="one", flavor="modelarts.vm.cpu.2u", image_id=IMAGE)  # from the console
    client.call("create", lambda call: call.create_notebook(sdk.CreateNotebookRequest(body=body)))
    with pytest.raises(UserError, match="2 notebooks"):
        calls.stop("one")
    with pytest.raises(UserError, match="no notebook 'two'") as caught:
        calls.stop("two")
    assert "one" in caught.value.hint
    book = json.loads((tmp_path / "platform" / "notebooks.json").read_text())
    assert len(book) == 2


def test_the_hint_lists_the_images_when_none_is_set(notebooks: MakeNotebooks) -> None:
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
def test_the_cap_holds_for_notebooks(notebooks: MakeNotebooks, changes: dict[str, object], match: str) -> None:
    calls = notebooks(changes=changes.items(), hours=3)
    with pytest.raises(UserError, match=match):
        calls.create("n")
    assert calls.list() == []


def test_storage_in_a_bucket_needs_a_credential(notebooks: MakeNotebooks) -> None:
    with pytest.raises(UserError, match="storage_credential"):
        notebooks(storage="OBS", storage_address="obs://b/x/").create("n")
    made = notebooks(storage="OBS", storage_address="obs://b/x/", storage_credential="mine").create("n")
    assert made.status == "RUNNING"


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_page_size_has_limits(client: ModelArts, limit: int) -> None:
    request = sdk.ListNotebooksRequest(limit=limit)
    with pytest.raises(UserError, match=r"ModelArts\.0104"):
        client.call("list", lambda call: call.list_notebooks(request))


@pytest.mark.parametrize("name", ["", "a b", "x" * 129])
def test_invalid_names_are_refused(notebooks: MakeNotebooks, name: str) -> None:
    with pytest.raises(UserError, match=r"ModelArts\.0104"):
        notebooks().create(name)
