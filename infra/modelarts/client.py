"""ModelArts through its official SDK: the calls that AtlasFlow makes, and its errors as ours.

Source: docs/reference/modelarts.md §1.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import huaweicloudsdkmodelarts.v1 as sdk
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.http.http_handler import HttpHandler
from huaweicloudsdkcore.region.region import Region
from requests.adapters import HTTPAdapter

from infra.errors import AtlasFlowError, Refused, UserError
from infra.modelarts.codes import FINAL_PHASES, UnknownEngine, UnknownFlavor
from infra.modelarts.errors import mapped, mapped_look_up, unreadable
from infra.modelarts.job import Job, LogPreview, read_job
from infra.settings import ModelArtsSettings, ObsSettings

_MARK = "X-AtlasFlow-Stand-In"
_SECONDS = (10, 60)  # to connect, to answer
_PAGE = 50  # the most that a search answers with (modelarts.md §1.3)

Result = TypeVar("Result")


def connect(settings: ModelArtsSettings, obs: ObsSettings, *, emulated: bool) -> "ModelArts":
    """A client; nothing is asked of the platform yet, except for the project when the settings do not name it.

    Args:
        settings: with an end point; keys that are empty are those of `obs`.
        obs: for its keys and its region.
        emulated: True when the end point is the stand-in.

    Raises:
        UserError: no end point, no keys, or a project that must be named as the region has none or several.
        Refused: the keys are wrong, seen when the project is looked up.
        Transient: nobody answers when the project is looked up.
    """
    own = bool(settings.access_key.get_secret_value())
    keys = settings if own else obs
    access, secret = keys.access_key.get_secret_value(), keys.secret_key.get_secret_value()
    if not settings.endpoint.startswith(("http://", "https://")):
        raise UserError("modelarts.endpoint is not an http:// or https:// address")
    if not access or not secret:
        raise UserError(
            "there are no keys for ModelArts",
            hint="set ATLASFLOW_MODELARTS__ACCESS_KEY and …__SECRET_KEY, or those of OBS, which serve both",
        )
    credentials = BasicCredentials(access, secret, settings.project_id or None)
    token = keys.security_token.get_secret_value()
    if token:
        credentials.with_security_token(token)
    if settings.iam_endpoint:
        credentials.with_iam_endpoint(settings.iam_endpoint)
    client = ModelArts(emulated=emulated)
    client.open(credentials, settings, Region(obs.region, settings.endpoint))
    return client


class ModelArts:
    """The calls. Each raises `Transient`, `Refused` or `UserError` with the platform's own words and a hint."""

    def __init__(self, *, emulated: bool) -> None:
        self.emulated = emulated
        self._marked: bool | None = None
        self._final = FINAL_PHASES

    def open(self, credentials: BasicCredentials, settings: ModelArtsSettings, region: Region) -> None:
        """Build the SDK's client; with a region, the SDK looks up the project by its name."""
        handler = HttpHandler().add_response_handler(self._see)
        builder = (
            sdk.ModelArtsClient.new_builder()
            .with_http_config(HttpConfig(timeout=_SECONDS))
            .with_http_handler(handler)
            .with_credentials(credentials)
        )
        if settings.project_id:
            self._client = builder.with_endpoint(settings.endpoint).build()
        else:
            with mapped_look_up():
                self._client = builder.with_region(region).build()
        # The SDK's own adapter answers a 429 to a GET with urllib3's words; this one lets the platform's through,
        # and there is no other way to it than the private name.
        session = self._client.get_http_client()._session
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter())
        if not settings.abnormal_is_final:
            self._final = FINAL_PHASES - {"Abnormal"}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def submit(self, body: Mapping[str, object]) -> Job:
        """Create a job.

        Args:
            body: as JSON values (docs/reference/modelarts.md §1.2).

        Raises:
            DuplicateName: a job has this name already.
            UserError: as for engine and flavor, with what the region offers instead.
        """
        request = sdk.CreateTrainingJobRequest(body=dict(body))
        try:
            return self._job("create a job", lambda: self._client.create_training_job(request))
        except UnknownEngine as error:
            raise _offering(error, "engines", self.engines) from error
        except UnknownFlavor as error:
            raise _offering(error, "flavors", self.flavors) from error

    def show(self, identity: str) -> Job:
        """One job.

        Raises:
            JobMissing: there is none.
        """
        request = sdk.ShowTrainingJobDetailsRequest(training_job_id=identity)
        return self._job("show a job", lambda: self._client.show_training_job_details(request))

    def find(self, part: str, workspace: str) -> Sequence[Job]:
        """All jobs whose name contains `part`, newest first.

        Raises:
            Transient: also when the answer does not say which jobs there are; that is not the same as none.
        """
        return tuple(self._search(part, workspace))

    def stop(self, identity: str) -> Job:
        """Ask for the end of a job."""
        action = sdk.JobActionType(action_type="terminate")
        request = sdk.StopTrainingJobRequest(training_job_id=identity, body=action)
        return self._job("stop a job", lambda: self._client.stop_training_job(request))

    def describe(self, identity: str, text: str) -> None:
        """Change the description of a job."""
        body = sdk.JobUpdateRequestBody(description=text)
        request = sdk.ChangeTrainingJobDescriptionRequest(training_job_id=identity, body=body)
        self._call("describe a job", lambda: self._client.change_training_job_description(request))

    def delete(self, identity: str) -> None:
        """Delete a job with its records; its outputs stay where they are."""
        request = sdk.DeleteTrainingJobRequest(training_job_id=identity)
        self._call("delete a job", lambda: self._client.delete_training_job(request))

    def preview(self, identity: str, task: str) -> LogPreview | None:
        """The end of a task's log; None while it is not ready."""
        request = sdk.ShowTrainingJobLogsPreviewRequest(training_job_id=identity, task_id=task)
        answer = self._call("read a log", lambda: self._client.show_training_job_logs_preview(request))
        if answer.status_code == 204 or answer.content is None:
            return None
        shown = answer.current_size or len(answer.content.encode())
        return LogPreview(answer.content, shown, answer.full_size or shown)

    def log_link(self, identity: str, task: str) -> str | None:
        """An address for downloading a task's whole log, valid for five minutes; None while there is none.

        The SDK has no method for this path, so its answer is read as it came. The content type asks for the whole
        log; `text/plain` would ask for its end (modelarts.md §1.1). The space behind it, which HTTP takes away, keeps
        the SDK from sending a file.
        """
        what = "link to a log"
        answer = self._call(
            what,
            lambda: self._client.do_http_request(
                "GET",
                "/v2/{project_id}/training-jobs/{job}/tasks/{task}/logs/url",
                path_params={"job": identity, "task": task},
                header_params={"Content-Type": "application/octet-stream "},
                response_type="ShowTrainingJobLogsPreviewResponse",
            ),
        )
        if answer.status_code != 200:
            return None
        with mapped(what):
            told = json.loads(answer.raw_content)
        if not isinstance(told, dict) or not isinstance(told.get("obs_url"), str):
            raise unreadable(what)
        return str(told["obs_url"])

    def events(self, identity: str) -> Sequence[str]:
        """The latest events of a job, oldest first, each with its time and level."""
        request = sdk.ListTrainingJobEventsRequest(training_job_id=identity, limit=50, order="desc", x_language="en-us")
        answer = self._call("list events", lambda: self._client.list_training_job_events(request))
        return tuple(f"{event.time} {event.level}: {event.message}" for event in reversed(answer.events or []))

    def metrics(self, identity: str, task: str) -> dict[str, Sequence[float]]:
        """Use of processor, memory, GPU and NPU in percent, one value a minute, -1 where it is unknown."""
        request = sdk.ShowTrainingJobMetricsRequest(training_job_id=identity, task_id=task)
        answer = self._call("show metrics", lambda: self._client.show_training_job_metrics(request))
        return {item.metric: tuple(float(value) for value in item.value) for item in answer.metrics or []}

    def engines(self) -> Sequence[str]:
        """The ids of all engines of the region."""
        request = sdk.ShowTrainingJobEnginesRequest()
        answer = self._call("list engines", lambda: self._client.show_training_job_engines(request))
        return tuple(item.engine_id for item in answer.items or [])

    def flavors(self) -> Sequence[str]:
        """The ids of all flavors of the region."""
        request = sdk.ShowTrainingJobFlavorsRequest()
        answer = self._call("list flavors", lambda: self._client.show_training_job_flavors(request))
        return tuple(item.flavor_id for item in answer.flavors or [])

    def call(self, what: str, action: Callable[[Any], Result]) -> Result:
        """Make any other call of the SDK's client, with the same errors."""
        return self._call(what, lambda: action(self._client))

    def _search(self, part: str, workspace: str) -> Iterator[Job]:
        page, what = 0, "search for jobs"
        while True:
            body = sdk.JobSearches(
                offset=page,
                limit=_PAGE,
                workspace_id=workspace,
                filters=[sdk.Filter(key="name", operator="like", value=[part])],
            )
            request = sdk.ListTrainingJobsRequest(body=body)
            answer = self._call(what, partial(self._client.list_training_jobs, request))
            if answer.items is None and (answer.total is None or answer.total > page * _PAGE):
                raise unreadable(what)
            items = answer.items or []
            yield from (job for job in (self._read(what, item) for item in items) if part in job.name)
            page += 1
            if len(items) < _PAGE:
                return

    def _job(self, what: str, action: Callable[[], Any]) -> Job:
        return self._read(what, self._call(what, action))

    def _read(self, what: str, answer: Any) -> Job:
        if answer.metadata is None or not answer.metadata.id or not answer.metadata.name:
            raise unreadable(what)
        return read_job(answer, self._final)

    def _call(self, what: str, action: Callable[[], Result]) -> Result:
        with mapped(what):
            result = action()
        if self._marked is not None and self._marked != self.emulated:
            raise Refused(
                "modelarts.endpoint is a stand-in" if self._marked else "this is the real ModelArts, not the stand-in",
                hint="leave modelarts.endpoint empty for the stand-in; what it makes is never taken for real",
            )
        return result

    def _see(self, response: requests.Response, **_: object) -> None:
        self._marked = _MARK in response.headers


def _offering(error: UserError, what: str, ask: Callable[[], Sequence[str]]) -> UserError:
    """The error with what there is instead in its hint; as it was when the platform does not say."""
    try:
        known = ", ".join(ask())
    except AtlasFlowError as unknown:
        return UserError(error.message, hint=f"{error.hint} (the {what} could not be listed: {unknown.message})")
    return UserError(error.message, hint=f"{error.hint}; this region has the {what} {known or '(none)'}")
