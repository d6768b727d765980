"""Calls of the training API about things that the stand-in does not have, in the forms of the SDK's models.

There is no hyper-parameter search, no fine-tuning, no gallery and no image repository here: lists are empty, a single
thing is refused as unknown, and what would make one is refused. Which codes the platform gives is unconfirmed.
"""

from collections.abc import Sequence

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.jobs import TASK, JobBook, Record
from infra.modelarts.emulator.offers import FLAVORS
from infra.modelarts.emulator.request import JsonObject, as_object, object_of, text_of
from infra.modelarts.emulator.route import Answer, Call, Route

_CATEGORIES = ("Job", "Task")  # the sources of this stand-in's events


class Apart:
    """These calls.

    Args:
        book: the jobs.
    """

    def __init__(self, book: JobBook) -> None:
        self._book = book

    def routes(self) -> Sequence[Route]:
        """Return their routes."""
        v2, job = "/v2/{project}", "/v2/{project}/training-jobs/{job}"
        image = f"{job}/tasks/{{task}}/save-image-job"
        templates = f"{v2}/training-jobs/autosearch/yaml-templates"
        return [
            Route("event-categories", "GET", f"{v2}/training-event-categories", _categories),
            Route("pool-flavors", "GET", f"{v2}/training-pool-flavors", _largest),
            Route("route-plan", "GET", f"{job}/route_plan", self._route_plan),
            Route("search-algorithms", "GET", f"{v2}/search-algorithms", _no_search_algorithms),
            Route("search-templates", "GET", templates, lambda _call: (200, {"yaml_templates": []})),
            Route("search-template", "GET", f"{templates}/{{kind}}/{{name}}", _no_template),
            Route("trials", "GET", f"{job}/autosearch-trials", self._no_trials),
            Route("trial", "GET", f"{job}/autosearch-trials/{{trial}}", self._no_trial),
            Route("trial-stop", "POST", f"{job}/autosearch-trial-earlystop/{{trial}}", self._no_trial),
            Route("analysis", "GET", f"{job}/autosearch-parameter-analysis", self._no_analysis),
            Route("analysis-file", "GET", f"{job}/autosearch-parameter-analysis/{{name}}", self._no_trial),
            Route("tuning", "GET", f"{job}/ft-detail", self._not_tuned),
            Route("tuning-metrics", "GET", f"{job}/ft-metrics", self._not_tuned),
            Route("tuning-models", "GET", f"{job}/ft-artifacts", self._no_artifacts),
            Route("tuning-publish", "POST", f"{job}/ft-artifacts/publish", self._not_tuned),
            Route("image-save", "POST", image, self._save_image),
            Route("image-saved", "GET", image, self._no_image),
            Route("gallery-publish", "POST", f"{v2}/gallery-algorithm-publication", _no_gallery),
        ]

    def _record(self, call: Call) -> Record:
        return self._book.get(call.path["job"])

    def _route_plan(self, call: Call) -> Answer:
        return 200, {"job_id": self._record(call).id, "status": "disabled", "rank_mapping": ""}

    def _no_trials(self, call: Call) -> Answer:
        self._record(call)
        limit, offset = call.number("limit", 50, 1, 50), call.number("offset", 0, 0, 999_999_999)
        page = {"total": 0, "count": 0, "limit": limit, "offset": offset, "group_by": ""}
        return 200, {**page, "items": {"header": [], "data": []}}

    def _no_analysis(self, call: Call) -> Answer:
        self._record(call)
        return 200, {"header": [], "data": []}

    def _no_trial(self, call: Call) -> Answer:
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"job {self._record(call).id} searches no hyper-parameters")

    def _no_artifacts(self, call: Call) -> Answer:
        self._record(call)
        return 200, {"total": 0, "artifact_info": []}

    def _not_tuned(self, call: Call) -> Answer:
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"job {self._record(call).id} is no fine-tuning")

    def _save_image(self, call: Call) -> Answer:
        body = object_of(call.json(), "the body")
        for name in ("name", "namespace", "tag"):
            if not text_of(body.get(name), name):
                raise ApiError(ErrorCode.INVALID_PARAMETER, f"{name} is empty")
        self._task(call)
        raise ApiError(ErrorCode.NO_PERMISSION, "this stand-in has no image repository to save a container to")

    def _no_image(self, call: Call) -> Answer:
        self._task(call)
        raise ApiError(ErrorCode.INVALID_PARAMETER, "no image was saved of this task")

    def _task(self, call: Call) -> None:
        record = self._record(call)
        if call.path["task"] != TASK:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"job {record.id} has no task {call.path['task'][:64]}")


def _categories(_call: Call) -> Answer:
    found: list[JsonObject] = [
        {"id": name, "name": name, "description": f"events of a {name.lower()}", "notification": False}
        for name in _CATEGORIES
    ]
    return 200, {"event-categories": found}


def _largest(call: Call) -> Answer:
    """Return the cores and the gigabytes of a flavor in a pool; the stand-in's pools have what it offers elsewhere."""
    flavor, pool = call.query.get("flavor_id", ""), call.query.get("pool_id", "")
    if not pool:
        raise ApiError(ErrorCode.INVALID_PARAMETER, "pool_id is empty")
    offered = next((item for item in FLAVORS if item["flavor_id"] == flavor), None)
    if offered is None:
        raise ApiError(ErrorCode.UNKNOWN_FLAVOR, f"there is no flavor {flavor[:64]}")
    info = as_object(offered["flavor_info"])
    cores, memory = as_object(info["cpu"])["core_num"], as_object(info["memory"])["size"]
    return 200, {"cpu_core_num": cores, "mem_size": memory}


def _no_search_algorithms(_call: Call) -> Answer:
    return 200, {"search_algo_count": 0, "search_algo_list": []}


def _no_template(call: Call) -> Answer:
    raise ApiError(ErrorCode.INVALID_PARAMETER, f"there is no template {call.path['name'][:64]}")


def _no_gallery(_call: Call) -> Answer:
    raise ApiError(ErrorCode.NO_PERMISSION, "this stand-in has no gallery to publish to")
