"""The search for jobs of the ModelArts stand-in (docs/reference/modelarts.md §1.3)."""

from collections.abc import Callable, Sequence

from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.jobs import Record
from infra.modelarts.emulator.request import JsonObject, as_list, as_object


def search(records: Sequence[Record], query: JsonObject) -> JsonObject:
    """Return a page of jobs, newest first by default.

    Args:
        records: all jobs, oldest first.
        query: the body of the request.

    Raises:
        ApiError: an unsupported filter, or an offset or limit out of range.
    """
    offset, limit = query.get("offset", 0), query.get("limit", 50)
    if not isinstance(offset, int) or not isinstance(limit, int) or offset < 0 or not 1 <= limit <= 50:
        raise ApiError(ErrorCode.INVALID_PARAMETER, "offset must be 0 or more and limit between 1 and 50")
    conditions = [_condition(as_object(item)) for item in as_list(query.get("filters"))]
    found = [record for record in records if all(matches(record) for matches in conditions)]
    if query.get("order", "desc") == "desc":
        found.reverse()
    page = found[offset * limit : (offset + 1) * limit]  # the offset counts pages
    return {
        "total": len(found),
        "count": len(page),
        "limit": limit,
        "offset": offset,
        "sort_by": query.get("sort_by", "create_time"),
        "order": query.get("order", "desc"),
        "group_by": query.get("group_by", ""),
        "workspace_id": query.get("workspace_id", "0"),
        "ai_project": "default-ai-project",
        "items": [record.to_api() for record in page],
    }


_FIELDS: dict[str, Callable[[Record], str]] = {
    "name": lambda record: record.name,
    "phase": lambda record: record.phase,
    "id": lambda record: record.id,
}


def _condition(item: JsonObject) -> Callable[[Record], bool]:
    """Build the test that one filter of a search makes.

    Raises:
        ApiError: the filter is not supported.
    """
    key, operator = str(item.get("key")), item.get("operator")
    wanted = [str(value) for value in as_list(item.get("value"))]
    if key == "create_time":
        return _created_between(operator, wanted)
    if key not in _FIELDS:
        raise ApiError(ErrorCode.UNSUPPORTED_SEARCH_KEY, f"searching by {key} is not supported")
    read = _FIELDS[key]
    if operator == "in":
        return lambda record: read(record) in wanted
    if operator == "not":
        return lambda record: read(record) not in wanted
    if operator == "like":
        return lambda record: any(part in read(record) for part in wanted)
    raise ApiError(ErrorCode.UNSUPPORTED_OPERATOR, f"the operator {operator} is not supported for {key}")


def _created_between(operator: object, wanted: Sequence[str]) -> Callable[[Record], bool]:
    if operator != "between":
        raise ApiError(ErrorCode.UNSUPPORTED_OPERATOR, f"the operator {operator} is not supported for create_time")
    if len(wanted) != 2 or not all(end.isdigit() for end in wanted):
        raise ApiError(ErrorCode.INVALID_SEARCH_VALUE, "between needs two times in milliseconds")
    first, last = map(int, wanted)
    return lambda record: first <= record.created * 1000 <= last
