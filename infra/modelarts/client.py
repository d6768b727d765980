"""The client of ModelArts, over its official SDK (docs/reference/modelarts.md §1)."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import huaweicloudsdkmodelarts.v1 as sdk

from infra.errors import AtlasFlowError, Transient, UserError
from infra.modelarts.codes import Unauthorised, UnknownEngine, UnknownFlavor
from infra.modelarts.configuration import Configuration, read_configuration
from infra.modelarts.connection import OriginCheck, open_sdk
from infra.modelarts.errors import map_errors, unreadable
from infra.modelarts.job import Job, LogPreview, read_job
from infra.modelarts.phases import FINAL_PHASES, Phase
from infra.settings import ModelArtsSettings, ObsSettings

_PAGE = 50  # the page size limit of a search (modelarts.md §1.3)

Result = TypeVar("Result")


def connect(settings: ModelArtsSettings, obs: ObsSettings, *, emulated: bool) -> "ModelArts":
    """Build a client; the only request is the project lookup, when the settings do not name the project.

    Args:
        settings: with an endpoint; empty keys fall back to those of `obs`.
        obs: for its keys and its region.
        emulated: True when the endpoint is the stand-in.

    Raises:
        UserError: no endpoint, no keys, or no project id where the region has no project, or several.
        Refused: the project lookup rejects the keys.
        Transient: the project lookup gets no response.
    """
    origin = OriginCheck(emulated=emulated)
    final_phases = FINAL_PHASES if settings.abnormal_is_final else FINAL_PHASES - {Phase.ABNORMAL}
    client, keys = open_sdk(settings, obs, origin.note)
    return ModelArts(client, origin, final_phases, keys.renew)


class ModelArts:
    """The API calls. Each raises `Transient`, `Refused` or `UserError` with the platform's own message and a hint.

    Args:
        client: of the SDK.
        origin: checks each response.
        final_phases: the phases that a job does not leave.
        renew: takes new keys, when there are any, after an answer that the old ones are not accepted.
    """

    def __init__(
        self,
        client: Any,
        origin: OriginCheck,
        final_phases: Collection[Phase],
        renew: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._origin = origin
        self._final_phases = final_phases
        self._renew = renew

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def submit(self, body: Mapping[str, object]) -> Job:
        """Create a job.

        Args:
            body: JSON values (docs/reference/modelarts.md §1.2).

        Raises:
            DuplicateName: a job has this name already.
            UserError: a wrong body; for an unknown engine or flavor the hint lists those of the region.
        """
        request = sdk.CreateTrainingJobRequest(body=dict(body))
        try:
            return self._job("create a job", lambda: self._client.create_training_job(request))
        except UnknownEngine as error:
            raise _with_offers(error, "engines", self.engines) from error
        except UnknownFlavor as error:
            raise _with_offers(error, "flavors", self.flavors) from error

    def show(self, identity: str) -> Job:
        """Return one job.

        Raises:
            JobMissing: there is no such job.
        """
        request = sdk.ShowTrainingJobDetailsRequest(training_job_id=identity)
        return self._job("show a job", lambda: self._client.show_training_job_details(request))

    def configuration(self, identity: str) -> Configuration:
        """Return what a job runs, on what, with what.

        Raises:
            JobMissing: there is no such job.
        """
        request = sdk.ShowTrainingJobDetailsRequest(training_job_id=identity)
        action = "show a job"
        answer = self._call(action, lambda: self._client.show_training_job_details(request))
        with map_errors(action):
            return read_configuration(answer)

    def find(self, part: str, workspace: str) -> Sequence[Job]:
        """Return all jobs with `part` in their name (empty: all jobs), newest first.

        Raises:
            Transient: also for a response without a list of jobs, which does not mean that there are none.
        """
        return tuple(self._search(part, workspace))

    def find_by_name(self, name: str, workspace: str) -> Job | None:
        """Return the job of exactly this name; None when there is none.

        Raises:
            Transient: as for `find`.
        """
        return next((job for job in self.find(name, workspace) if job.name == name), None)

    def stop(self, identity: str) -> Job:
        """Request the end of a job."""
        action = sdk.JobActionType(action_type="terminate")
        request = sdk.StopTrainingJobRequest(training_job_id=identity, body=action)
        return self._job("stop a job", lambda: self._client.stop_training_job(request))

    def describe(self, identity: str, text: str) -> None:
        """Change the description of a job."""
        body = sdk.JobUpdateRequestBody(description=text)
        request = sdk.ChangeTrainingJobDescriptionRequest(training_job_id=identity, body=body)
        self._call("describe a job", lambda: self._client.change_training_job_description(request))

    def tag(self, identity: str, tags: Mapping[str, str]) -> None:
        """Add tags to a job."""
        body = sdk.TagRequest(tags=[sdk.TmsTag(key=key, value=value) for key, value in tags.items()])
        request = sdk.CreateTrainJobTagsRequest(training_job_id=identity, body=body)
        self._call("tag a job", lambda: self._client.create_train_job_tags(request))

    def delete(self, identity: str) -> None:
        """Delete a job with its records; its outputs stay in the bucket."""
        request = sdk.DeleteTrainingJobRequest(training_job_id=identity)
        self._call("delete a job", lambda: self._client.delete_training_job(request))

    def preview(self, identity: str, task: str) -> LogPreview | None:
        """Return the end of a task's log; None while it is not ready."""
        request = sdk.ShowTrainingJobLogsPreviewRequest(training_job_id=identity, task_id=task)
        answer = self._call("read a log", lambda: self._client.show_training_job_logs_preview(request))
        if answer.status_code == 204 or answer.content is None:
            return None
        with map_errors("read a log"):
            shown = int(answer.current_size or len(answer.content.encode()))
            return LogPreview(answer.content, shown, int(answer.full_size or shown))

    def log_link(self, identity: str, task: str) -> str | None:
        """Return a URL for downloading a task's whole log, valid for five minutes; None while there is no log.

        The SDK has no method for this path, so its raw response is read. The content type asks for the whole log;
        `text/plain` would ask for its end (modelarts.md §1.1). The trailing space, which HTTP strips, keeps the SDK
        from sending a file.
        """
        action = "link to a log"
        answer = self._call(
            action,
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
        with map_errors(action):
            content = json.loads(answer.raw_content)
        if not isinstance(content, dict) or not isinstance(content.get("obs_url"), str):
            raise unreadable(action)
        return str(content["obs_url"])

    def events(self, identity: str) -> Sequence[str]:
        """Return the latest 50 events of a job, oldest first, each with its time and level."""
        request = sdk.ListTrainingJobEventsRequest(training_job_id=identity, limit=50, order="desc", x_language="en-us")
        answer = self._call("list events", lambda: self._client.list_training_job_events(request))
        return tuple(f"{event.time} {event.level}: {event.message}" for event in reversed(answer.events or []))

    def metrics(self, identity: str, task: str) -> dict[str, Sequence[float]]:
        """Return the utilisation of CPU, memory, GPU and NPU in percent, a value a minute, -1 where it is unknown."""
        request = sdk.ShowTrainingJobMetricsRequest(training_job_id=identity, task_id=task)
        answer = self._call("show metrics", lambda: self._client.show_training_job_metrics(request))
        with map_errors("show metrics"):
            return {item.metric: tuple(float(value) for value in item.value) for item in answer.metrics or []}

    def engines(self) -> Sequence[str]:
        """Return the ids of all engines of the region."""
        request = sdk.ShowTrainingJobEnginesRequest()
        answer = self._call("list engines", lambda: self._client.show_training_job_engines(request))
        return tuple(item.engine_id for item in answer.items or [])

    def flavors(self) -> Sequence[str]:
        """Return the ids of all flavors of the region."""
        request = sdk.ShowTrainingJobFlavorsRequest()
        answer = self._call("list flavors", lambda: self._client.show_training_job_flavors(request))
        return tuple(item.flavor_id for item in answer.flavors or [])

    def call(self, action: str, request: Callable[[Any], Result]) -> Result:
        """Make any other call of the SDK's client, with the same error mapping."""
        return self._call(action, lambda: request(self._client))

    def _search(self, part: str, workspace: str) -> Iterator[Job]:
        page, action = 0, "search for jobs"
        while True:
            body = sdk.JobSearches(
                offset=page,  # counts pages
                limit=_PAGE,
                workspace_id=workspace,
                filters=[sdk.Filter(key="name", operator="like", value=[part])] if part else [],
            )
            request = sdk.ListTrainingJobsRequest(body=body)
            answer = self._call(action, partial(self._client.list_training_jobs, request))
            if answer.items is None and (answer.total is None or answer.total > page * _PAGE):
                raise unreadable(action)
            items = answer.items or []
            yield from (job for job in (self._read(action, item) for item in items) if part in job.name)
            page += 1
            if len(items) < _PAGE:
                return

    def _job(self, action: str, request: Callable[[], Any]) -> Job:
        return self._read(action, self._call(action, request))

    def _read(self, action: str, answer: Any) -> Job:
        if answer.metadata is None or not answer.metadata.id or not answer.metadata.name:
            raise unreadable(action)
        with map_errors(action):
            return read_job(answer, self._final_phases)

    def _call(self, action: str, request: Callable[[], Result]) -> Result:
        try:
            return self._once(action, request)
        except Unauthorised:
            if not self._renew():
                raise
            return self._once(action, request)

    def _once(self, action: str, request: Callable[[], Result]) -> Result:
        self._origin.after = 0.0
        try:
            with map_errors(action):
                result = request()
        except Transient as error:
            error.after = self._origin.after
            raise
        self._origin.check()
        return result


def _with_offers(error: UserError, what: str, list_offers: Callable[[], Sequence[str]]) -> UserError:
    """Add the region's engines or flavors to the hint, if they can be listed."""
    try:
        known = ", ".join(list_offers())
    except AtlasFlowError as unknown:
        return UserError(error.message, hint=f"{error.hint} (the {what} could not be listed: {unknown.message})")
    return UserError(error.message, hint=f"{error.hint}; this region has the {what} {known or '(none)'}")
