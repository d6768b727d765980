"""The calls that the ModelArts stand-in answers: training jobs and notebooks.

Source: docs/reference/modelarts.md §1.1.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.modelarts import addresses
from infra.modelarts.codes import ApiError
from infra.modelarts.emulator.container import Stores
from infra.modelarts.emulator.jobs import TASK, Record
from infra.modelarts.emulator.notebooks import IMAGES, Notebooks
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.validation import ENGINES, FLAVORS, check_job

_PREVIEW_BYTES = 5_000_000  # modelarts.md §1.3
_LINK_SECONDS = 300  # modelarts.md §1.1


@dataclass(frozen=True)
class Call:
    """One request, taken apart: values in the path, the query, the body, and its content type."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    kind: str

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ApiError: it is none.
        """
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise ApiError("2787", "the body is not JSON") from None

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number of the query.

        Raises:
            ApiError: it is none, or out of range.
        """
        text = self.query.get(name, str(default))
        if not re.fullmatch(r"-?\d{1,9}", text) or not least <= int(text) <= most:
            raise ApiError("0104", f"{name} must be between {least} and {most}")
        return int(text)


Answer = tuple[int, Any]
"""HTTP status and what the body holds; None for an empty body."""


class Answers:
    """Everything that can be asked."""

    def __init__(self, platform: Platform, notebooks: Notebooks, stores: Stores) -> None:
        self._platform = platform
        self._book = platform.book
        self._notebooks = notebooks
        self._stores = stores
        job, task = "training-jobs/{job}", "training-jobs/{job}/tasks/{task}"
        self._routes: list[tuple[str, str, str, Callable[[Call], Answer]]] = [
            ("create", "POST", "/v2/{project}/training-jobs", self._create),
            ("search", "POST", "/v2/{project}/training-job-searches", lambda call: (200, self._search(call))),
            ("show", "GET", f"/v2/{{project}}/{job}", lambda call: (200, self._job(call).answer())),
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
            ("notebook-create", "POST", "/v1/{project}/notebooks", self._notebook_create),
            ("notebooks", "GET", "/v1/{project}/notebooks", self._notebook_page),
            ("notebook", "GET", "/v1/{project}/notebooks/{id}", lambda call: (200, notebooks.show(call.path["id"]))),
            ("notebook-start", "POST", "/v1/{project}/notebooks/{id}/start", self._notebook_start),
            ("notebook-stop", "POST", "/v1/{project}/notebooks/{id}/stop", self._notebook_stop),
            ("notebook-delete", "DELETE", "/v1/{project}/notebooks/{id}", self._notebook_delete),
        ]

    def find(self, method: str, path: str) -> tuple[str, Mapping[str, str], Callable[[Call], Answer]] | None:
        """The call that a path means: its name, the values in the path, its function.

        Raises:
            ApiError: the path exists, but not with this method.
        """
        other = False
        for name, wanted, pattern, function in self._routes:
            match = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern), path)
            if match is not None and wanted == method:
                return name, match.groupdict(), function
            other = other or match is not None
        if other:
            raise ApiError("2803", f"{method} is not allowed here")
        return None

    def _create(self, call: Call) -> Answer:
        body = check_job(call.json(), self._stores)
        return 201, self._book.add(body, self._platform.options.creating_seconds).answer()

    def _search(self, call: Call) -> Any:
        query = call.json()
        if not isinstance(query, dict):
            raise ApiError("2787", "the body is not a JSON object")
        return self._book.search(query)

    def _job(self, call: Call) -> Record:
        record = self._book.get(call.path["job"])
        if call.path.get("task", TASK) != TASK:
            raise ApiError("0104", f"the job has no task {call.path['task']}")
        return record

    def _describe(self, call: Call) -> Answer:
        description = call.json().get("description")
        if not isinstance(description, str) or len(description) > 256:
            raise ApiError("0104", "a description has at most 256 characters")
        with self._book.lock:
            record = self._job(call)
            record.body["metadata"]["description"] = description
            self._book.save(record)
            return 200, record.answer()

    def _stop(self, call: Call) -> Answer:
        if call.json().get("action_type") != "terminate":
            raise ApiError("0104", "the only action is terminate")
        record = self._job(call)
        self._platform.stop(record)
        return 202, record.answer()

    def _delete(self, call: Call) -> Answer:
        self._platform.delete(self._job(call))
        return 202, None

    def _log(self, call: Call) -> bytes | None:
        """The log so far; None while it is not there yet."""
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
        shown = log[-_PREVIEW_BYTES:]
        text = shown.decode(errors="replace")
        return 200, {"content": text, "current_size": len(shown), "full_size": len(log)}

    def _link(self, call: Call) -> Answer:
        """A link to the log or, asked with another content type, to its end alone (modelarts.md §1.1)."""
        record = self._job(call)
        where = (record.body["spec"].get("log_export_path") or {}).get("obs_url")
        if not where or not record.final:
            return 204, None
        bucket, prefix = addresses.split(where)
        log, store = self._platform.container(record).log, self._stores(bucket)
        key = f"{prefix}/{log.name}"
        if call.kind.startswith("text/plain"):
            end = log.with_suffix(".preview")
            end.write_bytes(log.read_bytes()[-_PREVIEW_BYTES:])
            key = f"{key}.preview"
            store.put_bare(key, end)
        elif not call.kind.startswith("application/octet-stream"):
            raise ApiError("0104", f"a link is asked for with another content type than {call.kind}")
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
            if level in ("", event["level"]) and pattern.lower() in event["message"].lower()
        ]
        if order == "desc":
            found.reverse()
        page = found[offset : offset + limit]
        return 200, {"total": len(found), "limit": limit, "offset": offset, "order": order, "events": page}

    def _metrics(self, call: Call) -> Answer:
        """One value a minute, -1 for what a CPU does not have (modelarts.md §1.3)."""
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

    def _notebook_page(self, call: Call) -> Answer:
        offset, limit = call.number("offset", 0, 0, 999_999_999), call.number("limit", 10, 1, 100)
        return 200, self._notebooks.page(call.query, offset, limit)

    def _notebook_create(self, call: Call) -> Answer:
        return 200, self._notebooks.create(call.json())

    def _notebook_start(self, call: Call) -> Answer:
        duration = call.number("duration", 0, 0, 999_999_999) or None
        return 200, self._notebooks.start(call.path["id"], duration)

    def _notebook_stop(self, call: Call) -> Answer:
        return 200, self._notebooks.stop(call.path["id"])

    def _notebook_delete(self, call: Call) -> Answer:
        return 200, self._notebooks.delete(call.path["id"])
