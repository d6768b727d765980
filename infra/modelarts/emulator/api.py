"""The API of the ModelArts stand-in: the paths of docs/reference/modelarts.md §1.1, and those of notebooks."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.modelarts.emulator.container import Stores
from infra.modelarts.emulator.errors import ApiError
from infra.modelarts.emulator.jobs import TASK, Record
from infra.modelarts.emulator.notebooks import IMAGES, Notebooks
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.request import as_object
from infra.modelarts.emulator.search import search
from infra.modelarts.emulator.validation import ENGINES, FLAVORS, check_job
from infra.obs.address import ObjectAddress

PREVIEW_BYTES = 5_000_000  # modelarts.md §1.3
_LINK_SECONDS = 300  # modelarts.md §1.1


@dataclass(frozen=True)
class Call:
    """One parsed request: values in the path, the query, the body, and its content type."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    content_type: str

    def json(self) -> Any:
        """Parse the body as JSON.

        Raises:
            ApiError: it is not JSON.
        """
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise ApiError("2787", "the body is not JSON") from None

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Return a whole number from the query.

        Raises:
            ApiError: it is not a number, or out of range.
        """
        text = self.query.get(name, str(default))
        if not re.fullmatch(r"-?\d{1,9}", text) or not minimum <= int(text) <= maximum:
            raise ApiError("0104", f"{name} must be between {minimum} and {maximum}")
        return int(text)


Answer = tuple[int, object]
"""HTTP status and JSON value of the body; None for an empty body."""


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
        job, task = "training-jobs/{job}", "training-jobs/{job}/tasks/{task}"
        self._routes: list[tuple[str, str, str, Callable[[Call], Answer]]] = [
            ("create", "POST", "/v2/{project}/training-jobs", self._create),
            ("search", "POST", "/v2/{project}/training-job-searches", lambda call: (200, self._search(call))),
            ("show", "GET", f"/v2/{{project}}/{job}", lambda call: (200, self._job(call).to_api())),
            ("describe", "PUT", f"/v2/{{project}}/{job}", self._describe),
            ("stop", "POST", f"/v2/{{project}}/{job}/actions", self._stop),
            ("delete", "DELETE", f"/v2/{{project}}/{job}", self._delete),
            ("preview", "GET", f"/v2/{{project}}/{task}/logs/preview", self._preview),
            ("link", "GET", f"/v2/{{project}}/{task}/logs/url", self._link),
            ("lines", "GET", f"/v2/{{project}}/{job}/logs/{{task}}", self._lines),
            ("events", "GET", f"/v2/{{project}}/{job}/events", self._events),
            ("metrics", "GET", f"/v2/{{project}}/{job}/metrics/{{task}}", self._metrics),
            ("names", "GET", "/v2/{project}/training-job-names", self._names),
            ("engines", "GET", "/v2/{project}/training-job-engines", self._engines),
            ("flavors", "GET", "/v2/{project}/training-job-flavors", self._flavors),
            ("images", "GET", "/v1/{project}/images", lambda _call: (200, {"total": len(IMAGES), "data": IMAGES})),
            ("notebook-create", "POST", "/v1/{project}/notebooks", self._create_notebook),
            ("notebooks", "GET", "/v1/{project}/notebooks", self._list_notebooks),
            ("notebook", "GET", "/v1/{project}/notebooks/{id}", lambda call: (200, notebooks.show(call.path["id"]))),
            ("notebook-start", "POST", "/v1/{project}/notebooks/{id}/start", self._start_notebook),
            ("notebook-stop", "POST", "/v1/{project}/notebooks/{id}/stop", self._stop_notebook),
            ("notebook-delete", "DELETE", "/v1/{project}/notebooks/{id}", self._delete_notebook),
        ]

    def find(self, method: str, path: str) -> tuple[str, Mapping[str, str], Callable[[Call], Answer]] | None:
        """Find the route of a path: its name, the values in the path, its function.

        Raises:
            ApiError: the path exists, but not with this method.
        """
        path_exists = False
        for name, route_method, pattern, function in self._routes:
            match = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern), path)
            if match is not None and route_method == method:
                return name, match.groupdict(), function
            path_exists = path_exists or match is not None
        if path_exists:
            raise ApiError("2803", f"{method} is not allowed here")
        return None

    def _create(self, call: Call) -> Answer:
        request = check_job(call.json(), self._stores)
        return 201, self._book.add(request, self._platform.options.creating_seconds).to_api()

    def _search(self, call: Call) -> object:
        query = call.json()
        if not isinstance(query, dict):
            raise ApiError("2787", "the body is not a JSON object")
        return search(self._book.all(), query)

    def _job(self, call: Call) -> Record:
        record = self._book.get(call.path["job"])
        if call.path.get("task", TASK) != TASK:
            raise ApiError("0104", f"the job has no task {call.path['task']}")
        return record

    def _describe(self, call: Call) -> Answer:
        description = as_object(call.json()).get("description")
        if not isinstance(description, str) or len(description) > 256:
            raise ApiError("0104", "a description has at most 256 characters")
        with self._book.lock:
            record = self._job(call)
            record.request = record.request.with_description(description)
            self._book.save(record)
            return 200, record.to_api()

    def _stop(self, call: Call) -> Answer:
        if as_object(call.json()).get("action_type") != "terminate":
            raise ApiError("0104", "the only action is terminate")
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
            raise ApiError("0104", f"the content type {call.content_type} of a request for a link is not supported")
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

    def _create_notebook(self, call: Call) -> Answer:
        return 200, self._notebooks.create(call.json())

    def _start_notebook(self, call: Call) -> Answer:
        duration = call.number("duration", 0, 0, 999_999_999) or None
        return 200, self._notebooks.start(call.path["id"], duration)

    def _stop_notebook(self, call: Call) -> Answer:
        return 200, self._notebooks.stop(call.path["id"])

    def _delete_notebook(self, call: Call) -> Answer:
        return 200, self._notebooks.delete(call.path["id"])
