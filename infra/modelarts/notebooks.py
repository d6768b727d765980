"""Notebook instances on ModelArts, over the official SDK (`/v1/{project_id}/notebooks`)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

import huaweicloudsdkmodelarts.v1 as sdk

from infra.errors import Refused, Transient, UserError
from infra.modelarts.client import ModelArts
from infra.modelarts.cost import check_notebook_cost
from infra.modelarts.errors import unreadable
from infra.modelarts.phases import NotebookStatus
from infra.settings import ModelArtsNotebookSettings, ModelArtsSettings

_HOUR_MS = 3_600_000
_PAGE = 50
_SETTLE_SECONDS = 900


_SETTLED = (NotebookStatus.RUNNING, NotebookStatus.STOPPED)
_CHANGING = (
    NotebookStatus.INIT,
    NotebookStatus.CREATING,
    NotebookStatus.STARTING,
    NotebookStatus.STOPPING,
    NotebookStatus.SNAPSHOTTING,
    NotebookStatus.DELETING,
)


@dataclass(frozen=True)
class Notebook:
    """One instance.

    Attributes:
        url: its address for a browser; empty unless it runs.
        until_ms: when the platform stops it, in milliseconds since 1970; None when unknown.
        reason: why it failed, if it did.
    """

    id: str
    name: str
    status: NotebookStatus
    flavor: str
    image: str
    url: str
    until_ms: int | None
    reason: str


class Notebooks:
    """The instances of the project.

    Args:
        client: the API calls.
        settings: of ModelArts, with those of notebooks.
        sleep: waits for seconds.
    """

    def __init__(
        self, client: ModelArts, settings: ModelArtsSettings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._all_settings = settings
        self._settings = settings.notebook
        self._sleep = sleep

    def create(self, name: str) -> Notebook:
        """Create an instance and wait until it runs.

        Raises:
            UserError: image or flavor are not set, the cost may exceed the cap, or an instance has this name: the
                platform would create a second one, and bill both.
            Refused: the platform could not create it.
        """
        flavor = self._settings.flavor or self._all_settings.flavor
        if not flavor:
            raise UserError("modelarts.notebook.flavor is not set", hint="`doctor` lists what your region offers")
        if not self._settings.image:
            known = ", ".join(f"{image} ({title})" for image, title in self.images())
            raise UserError("modelarts.notebook.image is not set", hint=f"this region has: {known}")
        check_notebook_cost(self._all_settings, flavor)
        if any(item.name == name for item in self.list()):
            raise UserError(
                f"there is a notebook '{name}' already", hint="`atlasflow notebook start` uses it; or choose a new name"
            )
        body = sdk.NotebookCreateRequest(
            name=name,
            flavor=flavor,
            image_id=self._settings.image,
            feature="NOTEBOOK",
            workspace_id=self._all_settings.workspace,
            volume=_volume(self._settings),
            duration=self._settings.hours * _HOUR_MS,
        )
        request = sdk.CreateNotebookRequest(body=body)
        created = self._client.call("create a notebook", lambda client: client.create_notebook(request))
        return self._settle(created.id)

    def list(self) -> Sequence[Notebook]:
        """Return all instances of the workspace."""
        found: list[Notebook] = []
        while True:
            request = sdk.ListNotebooksRequest(
                limit=_PAGE, offset=len(found), workspace_id=self._all_settings.workspace
            )
            answer = self._client.call("list notebooks", methodcaller("list_notebooks", request))
            if answer.data is None and (answer.total is None or answer.total > len(found)):
                raise unreadable("list notebooks")
            items = answer.data or []
            found += map(_read_notebook, items)
            if len(items) < _PAGE:
                return found

    def find(self, name: str) -> Notebook:
        """Return the instance of this name or id.

        Raises:
            UserError: no instance has the name, or several have it.
        """
        instances = self.list()
        found = [item for item in instances if name in (item.name, item.id)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{len(found)} notebooks are called '{name}'", hint="give the id of one of them")
        known = ", ".join(sorted({item.name for item in instances})) or "none"
        raise UserError(f"there is no notebook '{name}'", hint=f"there are: {known}")

    def start(self, name: str) -> Notebook:
        """Start an instance and wait until it runs; a running one stays as it is."""
        found = self.find(name)
        if found.status == NotebookStatus.RUNNING:
            return found
        check_notebook_cost(self._all_settings, found.flavor)
        request = sdk.StartNotebookRequest(id=found.id, duration=self._settings.hours * _HOUR_MS)
        self._client.call("start a notebook", lambda client: client.start_notebook(request))
        return self._settle(found.id)

    def stop(self, name: str) -> Notebook:
        """Stop an instance and wait until it has stopped; its disk is kept, and may be billed."""
        found = self.find(name)
        if found.status == NotebookStatus.STOPPED:
            return found
        request = sdk.StopNotebookRequest(id=found.id)
        self._client.call("stop a notebook", lambda client: client.stop_notebook(request))
        return self._settle(found.id)

    def delete(self, name: str) -> None:
        """Delete an instance with its disk."""
        request = sdk.DeleteNotebookRequest(id=self.find(name).id)
        self._client.call("delete a notebook", lambda client: client.delete_notebook(request))

    def images(self) -> Sequence[tuple[str, str]]:
        """Return id and name of every image of the region."""
        request = sdk.ListImageRequest(limit=100)
        answer = self._client.call("list images", lambda client: client.list_image(request))
        return [(image.id, image.name) for image in answer.data or []]

    def _settle(self, identity: str) -> Notebook:
        """Wait until an instance runs or has stopped.

        Raises:
            Refused: it failed.
            Transient: it took longer than 15 minutes.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        request = sdk.ShowNotebookRequest(id=identity)
        while True:
            answer = self._client.call("show a notebook", lambda client: client.show_notebook(request))
            found = _read_notebook(answer)
            if found.status in _SETTLED:
                return found
            if found.status not in _CHANGING:
                raise Refused(f"the notebook {found.name} is {answer.status}: {found.reason}", hint="delete it")
            if time.monotonic() > deadline:
                raise Transient(f"the notebook {found.name} is still {found.status}", hint="check it again later")
            self._sleep(self._all_settings.poll_seconds)


def _volume(settings: ModelArtsNotebookSettings) -> Any:
    if settings.storage == "EVS":
        return sdk.VolumeMountRequest(category="EVS", ownership="MANAGED", capacity=settings.storage_gb)
    if not settings.storage_address or not settings.storage_credential:
        raise UserError(
            "storage in OBS needs modelarts.notebook.storage_address and .storage_credential",
            hint="create the credential in the console of the Data Encryption Workshop",
        )
    return sdk.VolumeMountRequest(
        category="OBS",
        ownership="DEDICATED",
        uri=settings.storage_address,
        dew_secret_name=settings.storage_credential,
        mount_path="/data/obs",
    )


def _read_notebook(answer: Any) -> Notebook:
    status = NotebookStatus(answer.status)
    lease, running = answer.lease, status == NotebookStatus.RUNNING
    ends = lease.update_at + lease.duration if running and lease and lease.update_at and lease.duration else None
    return Notebook(
        id=answer.id,
        name=answer.name,
        status=status,
        flavor=answer.flavor or "",
        image=answer.image.name if answer.image else "",
        url=answer.url or "" if running else "",
        until_ms=ends,
        reason=answer.fail_reason or "",
    )
