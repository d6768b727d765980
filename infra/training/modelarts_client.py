"""ModelArts through its official SDK: the calls that AtlasFlow makes, and its errors as ours (ascend-domain.md §1)."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import huaweicloudsdkmodelarts.v1 as sdk
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import SdkException, ServiceResponseException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.http.http_handler import HttpHandler
from huaweicloudsdkcore.region.region import Region

from infra.errors import Refused, Transient, UserError
from infra.settings import ModelArtsSettings, ObsSettings
from infra.training.modelarts_codes import (
    DUPLICATE_NAME,
    FINAL_PHASES,
    JOB_MISSING,
    DuplicateName,
    JobMissing,
    digits,
    meaning,
)

_MARK = "X-AtlasFlow-Stand-In"
_SECONDS = (10, 60)  # to connect, to answer
_PAGE = 50  # the most that a search answers with (§1.3)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """What the platform says of a job.

    Attributes:
        phase: one of §1.3.
        queued_ms: from its creation to its start; None before that.
        running_ms: how long it has run.
        tasks: such as `worker-0`.
        exit_code: of the first task that failed; None while unknown.
        message: of that task.
        output: address of its first output channel.
    """

    id: str
    name: str
    phase: str
    created_ms: int
    queued_ms: int | None
    running_ms: int
    tasks: tuple[str, ...]
    exit_code: int | None
    message: str
    output: str

    @property
    def final(self) -> bool:
        """True when it does not change any more."""
        return self.phase in FINAL_PHASES


@dataclass(frozen=True)
class LogPreview:
    """The end of a log: at most 5 MB of text, its bytes, and the bytes of the whole log."""

    content: str
    shown: int
    total: int


def connect(settings: ModelArtsSettings, obs: ObsSettings, *, emulated: bool) -> "ModelArts":
    """A client; nothing is asked of the platform yet, except for the project when the settings do not name it.

    Args:
        settings: with an end point; keys that are empty are those of `obs`.
        obs: for its keys and its region.
        emulated: True when the end point is the stand-in.

    Raises:
        UserError: no end point or no keys.
        Refused: the keys are wrong, seen when the project is looked up.
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

    def open(self, credentials: BasicCredentials, settings: ModelArtsSettings, region: Region) -> None:
        """Build the SDK's client; with a region, the SDK looks up the project by its name."""
        handler = HttpHandler().add_response_handler(self._see)
        builder = (
            sdk.ModelArtsClient.new_builder()
            .with_http_config(HttpConfig(timeout=_SECONDS))
            .with_http_handler(handler)
            .with_credentials(credentials)
        )
        known = bool(settings.project_id)
        builder = builder.with_endpoint(settings.endpoint) if known else builder.with_region(region)
        self._client = self._call("look up the project", builder.build)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def submit(self, body: Mapping[str, object]) -> Job:
        """Create a job.

        Args:
            body: as JSON values (ascend-domain.md §1.2).

        Raises:
            DuplicateName: a job has this name already.
        """
        request = sdk.CreateTrainingJobRequest(body=dict(body))
        return self._job("create a job", lambda: self._client.create_training_job(request))

    def show(self, identity: str) -> Job:
        """One job.

        Raises:
            JobMissing: there is none.
        """
        request = sdk.ShowTrainingJobDetailsRequest(training_job_id=identity)
        return self._job("show a job", lambda: self._client.show_training_job_details(request))

    def find(self, part: str, workspace: str) -> Sequence[Job]:
        """All jobs whose name contains `part`, newest first."""
        return tuple(self._search(part, workspace))

    def stop(self, identity: str) -> Job:
        """Ask for the end of a job."""
        action = sdk.JobActionType(action_type="terminate")
        request = sdk.StopTrainingJobRequest(training_job_id=identity, body=action)
        return self._job("stop a job", lambda: self._client.stop_training_job(request))

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

        The SDK has no method for this path, so its answer is read as it came.
        """
        answer = self._call(
            "link to a log",
            lambda: self._client.do_http_request(
                "GET",
                "/v2/{project_id}/training-jobs/{job}/tasks/{task}/logs/url",
                path_params={"job": identity, "task": task},
                header_params={"Content-Type": "text/plain"},
                response_type="ShowTrainingJobLogsPreviewResponse",
            ),
        )
        return str(json.loads(answer.raw_content)["obs_url"]) if answer.status_code == 200 else None

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
        page = 0
        while True:
            body = sdk.JobSearches(
                offset=page,
                limit=_PAGE,
                workspace_id=workspace,
                filters=[sdk.Filter(key="name", operator="like", value=[part])],
            )
            request = sdk.ListTrainingJobsRequest(body=body)
            items = self._call("search for jobs", partial(self._client.list_training_jobs, request)).items or []
            yield from (job for job in map(_job, items) if part in job.name)
            page += 1
            if len(items) < _PAGE:
                return

    def _job(self, what: str, action: Callable[[], Any]) -> Job:
        return _job(self._call(what, action))

    def _call(self, what: str, action: Callable[[], Result]) -> Result:
        try:
            result = action()
        except ServiceResponseException as error:
            raise _mapped(what, error) from error
        except (SdkException, requests.RequestException) as error:
            words = error.error_msg if isinstance(error, SdkException) else type(error).__name__
            raise Transient(f"ModelArts does not answer ({what}): {words}", hint="check the network") from error
        if self._marked is not None and self._marked != self.emulated:
            raise Refused(
                "modelarts.endpoint is a stand-in" if self._marked else "this is the real ModelArts, not the stand-in",
                hint="leave modelarts.endpoint empty for the stand-in; what it makes is never taken for real",
            )
        return result

    def _see(self, response: requests.Response, **_: object) -> None:
        self._marked = _MARK in response.headers


def _mapped(what: str, error: ServiceResponseException) -> Exception:
    code = str(error.error_code or "")
    known = meaning(code, int(error.status_code))
    text = f"ModelArts refused to {what}: {error.error_msg} ({code or error.status_code}"
    text += f", request {error.request_id})" if error.request_id else ")"
    kind = {DUPLICATE_NAME: DuplicateName, JOB_MISSING: JobMissing}.get(digits(code), known.kind)
    return kind(text, hint=known.hint)


def _job(answer: Any) -> Job:
    """A job of any answer; what the platform leaves out while it creates a job is taken as not yet known."""
    status, metadata = answer.status, answer.metadata
    failed = next((item for item in status.task_statuses or [] if item.exit_code), None)
    outputs = (answer.algorithm.outputs if answer.algorithm else None) or []
    started = status.start_time or 0
    started_ms = started if started > 10**11 else started * 1000  # seen in both units
    created = metadata.create_time or 0
    return Job(
        id=metadata.id,
        name=metadata.name,
        phase=status.phase,
        created_ms=created,
        queued_ms=started_ms - created if started_ms else None,
        running_ms=status.duration or 0,
        tasks=tuple(status.tasks or ()),
        exit_code=failed.exit_code if failed else None,
        message=(failed.message or "") if failed else "",
        output=outputs[0].remote.obs.obs_url if outputs and outputs[0].remote and outputs[0].remote.obs else "",
    )
