"""The API of the ModelArts stand-in: the paths of docs/reference/modelarts.md §1.1, and those of notebooks."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from infra.modelarts.emulator.apart import Apart
from infra.modelarts.emulator.container import Stores
from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.extras import Extras
from infra.modelarts.emulator.jobs import TASK, Record
from infra.modelarts.emulator.notebooks import IMAGES, Notebooks
from infra.modelarts.emulator.offers import ENGINES, FLAVORS
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.request import object_of, text_of
from infra.modelarts.emulator.route import Answer, Call, Route
from infra.modelarts.emulator.search import search
from infra.modelarts.emulator.validation import check_job
from infra.obs.address import ObjectAddress

PREVIEW_BYTES = 5_000_000  # modelarts.md §1.3
_LINK_SECONDS = 300  # modelarts.md §1.1


class Api:
    """All calls of the API."""

    def __init__(
        self, platform: Platform, notebooks: Notebooks, stores: Stores, *, preview_bytes: int = PREVIEW_BYTES
    ) -> None:
        self._platform = platform
        self._book = platform.book
        self._notebooks = notebooks
        self._stores = stores
        self._preview_bytes = preview_bytes
        self._extras = Extras(platform, platform.book.folder.parent)
        job, task = "training-jobs/{job}", "training-jobs/{job}/tasks/{task}"
        self._routes = [
            Route("create", "POST", "/v2/{project}/training-jobs", self._create),
            Route("search", "POST", "/v2/{project}/training-job-searches", lambda call: (200, self._search(call))),
            Route("show", "GET", f"/v2/{{project}}/{job}", lambda call: (200, self._job(call).to_api())),
            Route("describe", "PUT", f"/v2/{{project}}/{job}", self._describe),
            Route("stop", "POST", f"/v2/{{project}}/{job}/actions", self._stop),
            Route("delete", "DELETE", f"/v2/{{project}}/{job}", self._delete),
            Route("preview", "GET", f"/v2/{{project}}/{task}/logs/preview", self._preview),
            Route("link", "GET", f"/v2/{{project}}/{task}/logs/url", self._link),
            Route("lines", "GET", f"/v2/{{project}}/{job}/logs/{{task}}", self._lines),
            Route("events", "GET", f"/v2/{{project}}/{job}/events", self._events),
            Route("metrics", "GET", f"/v2/{{project}}/{job}/metrics/{{task}}", self._metrics),
            Route("names", "GET", "/v2/{project}/training-job-names", self._names),
            Route("engines", "GET", "/v2/{project}/training-job-engines", self._engines),
            Route("flavors", "GET", "/v2/{project}/training-job-flavors", self._flavors),
            Route("images", "GET", "/v1/{project}/images", lambda _call: (200, {"total": len(IMAGES), "data": IMAGES})),
            Route("notebook-create", "POST", "/v1/{project}/notebooks", self._create_notebook),
            Route("notebooks", "GET", "/v1/{project}/notebooks", self._list_notebooks),
            Route(
                "notebook", "GET", "/v1/{project}/notebooks/{id}", lambda call: (200, notebooks.show(call.path["id"]))
            ),
            Route("notebook-start", "POST", "/v1/{project}/notebooks/{id}/start", self._start_notebook),
            Route("notebook-stop", "POST", "/v1/{project}/notebooks/{id}/stop", self._stop_notebook),
            Route("notebook-delete", "DELETE", "/v1/{project}/notebooks/{id}", self._delete_notebook),
            *self._extras.routes(),
            *Apart(platform.book).routes(),
        ]

    @property
    def routes(self) -> Sequence[Route]:
        """All calls."""
        return self._routes

    def jobs(self) -> Sequence[Record]:
        """All jobs, oldest first."""
        return self._book.all()

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """Find the route of a path, and the values in the path; None for an unknown path.

        Raises:
            ApiError: the path exists, but not with this method.
        """
        found = [(route, values) for route in self._routes if (values := route.match(path)) is not None]
        for route, values in found:
            if route.method == method:
                return route, values
        if found:
            raise ApiError(ErrorCode.METHOD_NOT_ALLOWED, f"{method} is not allowed here")
        return None

    def _create(self, call: Call) -> Answer:
        request = check_job(self._extras.with_algorithm(call.json()), self._stores)
        return 201, self._book.add(request, self._platform.options.creating_seconds).to_api()

    def _search(self, call: Call) -> object:
        query = call.json()
        if not isinstance(query, dict):
            raise ApiError(ErrorCode.INVALID_JSON, "the body is not a JSON object")
        return search(self._book.all(), query)

    def _job(self, call: Call) -> Record:
        record = self._book.get(call.path["job"])
        if call.path.get("task", TASK) != TASK:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"the job has no task {call.path['task']}")
        return record

    def _describe(self, call: Call) -> Answer:
        description = text_of(object_of(call.json(), "the body").get("description"), "description")
        if len(description) > 256:
            raise ApiError(ErrorCode.INVALID_PARAMETER, "a description has at most 256 characters")
        with self._book.lock:
            record = self._job(call)
            record.request = record.request.with_description(description)
            self._book.save(record)
            return 200, record.to_api()

    def _stop(self, call: Call) -> Answer:
        if object_of(call.json(), "the body").get("action_type") != "terminate":
            raise ApiError(ErrorCode.INVALID_PARAMETER, "the only action is terminate")
        record = self._job(call)
        self._platform.stop(record)
        return 202, record.to_api()

    def _delete(self, call: Call) -> Answer:
        self._platform.delete(self._job(call))
        return 202, None

    def _log(self, call: Call) -> bytes | None:
        """Return the log so far; None while it is not available."""
        record = self._job(call)
        path = self._platform.container(record).log
        if not record.runs or not path.exists():
            return None
        late = time.time() < (record.started or 0) + self._platform.options.log_seconds
        return None if late and not record.final else path.read_bytes()

    def _preview(self, call: Call) -> Answer:
        log = self._log(call)
        if log is None:
            return 204, None
        shown = log[-self._preview_bytes :]
        text = shown.decode(errors="replace")
        return 200, {"content": text, "current_size": len(shown), "full_size": len(log)}

    def _link(self, call: Call) -> Answer:
        """Return a link to the whole log or, for the content type text/plain, to its end (modelarts.md §1.1)."""
        record = self._job(call)
        if not record.request.log_folder or not record.final:
            return 204, None
        bucket, prefix = ObjectAddress.parse_folder(record.request.log_folder).parts
        log, store = self._platform.container(record).log, self._stores(bucket)
        key = f"{prefix}/{log.name}"
        if call.content_type.startswith("text/plain"):
            end = log.with_suffix(".preview")
            end.write_bytes(log.read_bytes()[-self._preview_bytes :])
            key = f"{key}.preview"
            store.put_bare(key, end)
        elif not call.content_type.startswith("application/octet-stream"):
            raise ApiError(
                ErrorCode.INVALID_PARAMETER,
                f"the content type {call.content_type} of a request for a link is not supported",
            )
        return 200, {"obs_url": store.link(key, _LINK_SECONDS)}

    def _lines(self, call: Call) -> Answer:
        log = self._log(call)
        if log is None:
            return 204, None
        lines = log.decode(errors="replace").splitlines()
        count, order = call.number("lines", 50, 1, 500), call.query.get("order", "desc")
        base = call.number("base_line", 0 if order == "asc" else len(lines), 0, 999_999_999)
        start, end = (base, base + count) if order == "asc" else (max(0, base - count), base)
        part = lines[start:end]
        return 200, {
            "start_line": str(start),
            "end_line": str(start + len(part)),
            "lines": len(part),
            "content": "\n".join(part),
        }

    def _events(self, call: Call) -> Answer:
        offset, limit = call.number("offset", 0, 0, 999_999_999), call.number("limit", 50, 1, 100)
        level, pattern = call.query.get("level", ""), call.query.get("pattern", "")
        order = call.query.get("order", "desc")
        found = [
            event
            for event in self._job(call).events
            if level in ("", event.level) and pattern.lower() in event.message.lower()
        ]
        if order == "desc":
            found.reverse()
        page = [asdict(event) for event in found[offset : offset + limit]]
        return 200, {"total": len(found), "limit": limit, "offset": offset, "order": order, "events": page}

    def _metrics(self, call: Call) -> Answer:
        """Return one value a minute, -1 for what a CPU does not have (modelarts.md §1.3)."""
        samples = self._job(call).samples
        values = {name: [-1.0] * len(samples) for name in ("gpuUtil", "gpuMemUsage", "npuUtil", "npuMemUsage")}
        values |= {"cpuUsage": [sample[0] for sample in samples], "memUsage": [sample[1] for sample in samples]}
        return 200, {"metrics": [{"metric": name, "value": value} for name, value in values.items()]}

    def _names(self, call: Call) -> Answer:
        name = call.query.get("job_name", "")
        return 200, {"is_duplicate": any(record.name == name for record in self._book.all())}

    def _engines(self, _call: Call) -> Answer:
        return 200, {"total": len(ENGINES), "items": ENGINES}

    def _flavors(self, call: Call) -> Answer:
        found = [item for item in FLAVORS if call.query.get("flavor_type", "") in ("", item["flavor_type"])]
        return 200, {"total_count": len(found), "flavors": found}

    def _list_notebooks(self, call: Call) -> Answer:
        offset, limit = call.number("offset", 0, 0, 999_999_999), call.number("limit", 10, 1, 100)
        return 200, self._notebooks.page(call.query, offset, limit)

    def _show_notebook(self, call: Call) -> Answer:
        return 200, self._notebooks.show(call.path["id"])

    def _create_notebook(self, call: Call) -> Answer:
        return 200, self._notebooks.create(call.json())

    def _start_notebook(self, call: Call) -> Answer:
        duration = call.number("duration", 0, 0, 999_999_999) or None
        return 200, self._notebooks.start(call.path["id"], duration)

    def _stop_notebook(self, call: Call) -> Answer:
        return 200, self._notebooks.stop(call.path["id"])

    def _delete_notebook(self, call: Call) -> Answer:
        return 200, self._notebooks.delete(call.path["id"])
