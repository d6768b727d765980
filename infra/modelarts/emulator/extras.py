"""The rest of the training API of the stand-in: algorithms, experiments, tags, tasks, stages, quotas, many at once.

Paths and shapes are those of docs/reference/modelarts.md §1.1 and of the SDK's models.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.jobs import TASK, Record, Run
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.request import JsonObject, as_object, list_of, object_of, text_of
from infra.modelarts.emulator.route import Answer, Call, Route
from infra.modelarts.emulator.shelf import Shelf

_MAX_BATCH = 100  # modelarts.md §1.1
_MAX_TAGS = 20
_MAX_TAG_NAME, _MAX_TAG_VALUE = 128, 255


class Extras:
    """These calls.

    Args:
        platform: with the jobs.
        folder: for algorithms and experiments.
    """

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._book = platform.book
        self._algorithms = Shelf(folder / "algorithms.json", "algorithm")
        self._experiments = Shelf(folder / "experiments.json", "experiment")

    def routes(self) -> Sequence[Route]:
        """Return their routes."""
        jobs, tagged = "/v2/{project}/training-jobs", "/v2/{project}/modelarts-training-job"
        return [
            *_shelf_routes("algorithm", "/v2/{project}/algorithms", self._algorithms),
            *_shelf_routes("experiment", "/v2/{project}/training-experiments", self._experiments),
            Route("experiment-names", "GET", "/v2/{project}/training-experiment-names", self._experiment_name),
            Route("batch-delete", "POST", f"{jobs}/batch-delete", self._batch_delete),
            Route("tasks", "GET", f"{jobs}/{{job}}/tasks", self._tasks),
            Route("stages", "GET", f"{jobs}/{{job}}/stages", self._stages),
            Route("report", "POST", f"{jobs}/{{job}}/tasks/{{task}}/reports/{{kind}}", self._report),
            Route("quotas", "GET", "/v2/{project}/training-quotas", self._quotas),
            Route("quotas-change", "PUT", "/v2/{project}/training-quotas", self._change_quotas),
            Route("tags", "GET", f"{tagged}/{{job}}/tags", self._tags),
            Route("tags-create", "POST", f"{tagged}/{{job}}/tags/create", self._create_tags),
            Route("tags-delete", "DELETE", f"{tagged}/{{job}}/tags/delete", self._delete_tags),
            Route("tags-all", "GET", f"{tagged}/tags", self._all_tags),
            Route("tags-filter", "POST", f"{tagged}/resource-instances/filter", self._filter),
            Route("tags-count", "POST", f"{tagged}/resource-instances/count", self._count),
        ]

    def with_algorithm(self, body: object) -> object:
        """Return the body of a job with the parts of the algorithm that it names by `algorithm.id`.

        Raises:
            ApiError: there is no such algorithm.
        """
        algorithm = as_object(as_object(body).get("algorithm"))
        if not algorithm.get("id"):
            return body
        kept = as_object(self._algorithms.show(text_of(algorithm["id"], "algorithm.id")).get("job_config"))
        return {**as_object(body), "algorithm": {**kept, **algorithm}}

    def _experiment_name(self, call: Call) -> Answer:
        return 200, {"is_duplicate": self._experiments.is_taken(call.query.get("experiment_name", ""))}

    def _batch_delete(self, call: Call) -> Answer:
        items = list_of(object_of(call.json(), "the body").get("jobs"), "jobs")
        if not 1 <= len(items) <= _MAX_BATCH:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"jobs has 1 to {_MAX_BATCH} entries")
        names = [object_of(object_of(item, "a job").get("metadata"), "metadata").get("id") for item in items]
        records = [self._book.get(text_of(name, "the id of a job")) for name in names]
        for record in records:
            self._platform.delete(record)
        return 202, None

    def _tasks(self, call: Call) -> Answer:
        record = self._book.get(call.path["job"])
        runs = [{"task_id": TASK, "host_ip": "127.0.0.1", **_times(run)} for run in record.runs]
        return 200, runs or [{"task_id": TASK}]

    def _stages(self, call: Call) -> Answer:
        record = self._book.get(call.path["job"])
        return 200, {"total_count": len(record.runs), "running_records": [_times(run) for run in record.runs]}

    def _report(self, call: Call) -> Answer:
        record = self._book.get(call.path["job"])
        text = str(object_of(call.json(), "the body"))[:500]
        with self._book.lock:
            record.add_event(f"[{TASK}] {call.path['kind']}: {text}", source="Task")
            self._book.save(record)
        return 200, {}

    def _quotas(self, _call: Call) -> Answer:
        active = sum(not record.final for record in self._book.all())
        item = {"resource": "trainJob", "quota": -1, "used": active, "min_quota": -1, "max_quota": -1}
        return 200, {"quotas": [item]}

    def _change_quotas(self, _call: Call) -> Answer:
        raise ApiError(ErrorCode.NO_PERMISSION, "only an administrator changes quotas")

    def _tags(self, call: Call) -> Answer:
        return 200, {"tags": _tag_list(self._book.get(call.path["job"]).tags)}

    def _create_tags(self, call: Call) -> Answer:
        tags = _read_tags(call)
        with self._book.lock:
            record = self._book.get(call.path["job"])
            if len({**record.tags, **tags}) > _MAX_TAGS:
                raise ApiError(ErrorCode.INVALID_PARAMETER, f"a job has at most {_MAX_TAGS} tags")
            record.tags |= tags
            self._book.save(record)
        return 204, None

    def _delete_tags(self, call: Call) -> Answer:
        tags = _read_tags(call)
        with self._book.lock:
            record = self._book.get(call.path["job"])
            record.tags = {name: value for name, value in record.tags.items() if name not in tags}
            self._book.save(record)
        return 204, None

    def _all_tags(self, _call: Call) -> Answer:
        found: dict[str, set[str]] = {}
        for record in self._book.all():
            for name, value in record.tags.items():
                found.setdefault(name, set()).add(value)
        return 200, {"tags": [{"key": name, "values": sorted(values)} for name, values in sorted(found.items())]}

    def _filter(self, call: Call) -> Answer:
        offset, limit = call.number("offset", 0, 0, 999_999_999), call.number("limit", 100, 1, 1000)
        found = self._matching(call)
        items = [
            {"resource_id": record.id, "resource_name": record.name, "tags": _tag_list(record.tags)} for record in found
        ]
        return 200, {"resources": items[offset : offset + limit], "total_count": len(items)}

    def _count(self, call: Call) -> Answer:
        return 200, {"total_count": len(self._matching(call))}

    def _matching(self, call: Call) -> list[Record]:
        wanted: dict[str, list[str]] = {}
        for item in list_of(object_of(call.json(), "the body").get("tags"), "tags"):
            tag = object_of(item, "a tag")
            values = [text_of(value, "a value") for value in list_of(tag.get("values"), "values")]
            wanted[text_of(tag.get("key"), "key")] = values
        return [
            record
            for record in self._book.all()
            if all(
                name in record.tags and record.tags[name] in (values or [record.tags[name]])
                for name, values in wanted.items()
            )
        ]


def _shelf_routes(name: str, path: str, shelf: Shelf) -> list[Route]:
    """Return the five routes of a kind of document."""

    def page(call: Call) -> Answer:
        return 200, shelf.page(call.number("offset", 0, 0, 999_999_999), call.number("limit", 50, 1, 50))

    def delete(call: Call) -> Answer:
        shelf.delete(call.path["id"])
        return 202, None

    handlers: dict[tuple[str, str], Callable[[Call], Answer]] = {
        ("create", "POST"): lambda call: (201, shelf.create(call.json())),
        ("list", "GET"): page,
    }
    single: dict[tuple[str, str], Callable[[Call], Answer]] = {
        ("show", "GET"): lambda call: (200, shelf.show(call.path["id"])),
        ("change", "PUT"): lambda call: (200, shelf.change(call.path["id"], call.json())),
        ("delete", "DELETE"): delete,
    }
    return [
        *(Route(f"{name}-{verb}", method, path, handler) for (verb, method), handler in handlers.items()),
        *(Route(f"{name}-{verb}", method, f"{path}/{{id}}", handler) for (verb, method), handler in single.items()),
    ]


def _times(run: Run) -> JsonObject:
    return {name: value for name, value in asdict(run).items() if value}


def _tag_list(tags: dict[str, str]) -> list[JsonObject]:
    return [{"key": name, "value": value} for name, value in sorted(tags.items())]


def _read_tags(call: Call) -> dict[str, str]:
    """Read the tags of a body; of those to delete, the value may be missing."""
    items = [object_of(item, "a tag") for item in list_of(object_of(call.json(), "the body").get("tags"), "tags")]
    tags = {text_of(item.get("key"), "key"): text_of(item.get("value"), "value") for item in items}
    if not tags or any(
        not 1 <= len(name) <= _MAX_TAG_NAME or len(value) > _MAX_TAG_VALUE for name, value in tags.items()
    ):
        raise ApiError(ErrorCode.INVALID_PARAMETER, "a tag has a key of 1 to 128 characters and a value of at most 255")
    return tags
