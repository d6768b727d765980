"""Regions and end points of Huawei Cloud and its siblings: `SERVICE.REGION.DOMAIN`, such as myhuaweicloud.eu."""

import re
from urllib.parse import urlsplit

_HOST = re.compile(
    r"(?P<service>[a-z]+)\.(?P<region>[a-z]{2}-[a-z]+(?:-[0-9]+)?)\.(?P<domain>[a-z0-9-]+(?:\.[a-z0-9-]+)+)"
)


def region_of(endpoint: str, service: str) -> str:
    """Return the region in the host name of a service's end point; empty when it names none.

    Args:
        endpoint: a URL.
        service: such as `obs` or `modelarts`.
    """
    match = _HOST.fullmatch(urlsplit(endpoint).hostname or "")
    return match["region"] if match and match["service"] == service else ""


def sibling(endpoint: str, service: str) -> str:
    """Return the end point of another service of the same region and domain; empty when the region is not known."""
    parts = urlsplit(endpoint)
    match = _HOST.fullmatch(parts.hostname or "")
    return f"{parts.scheme}://{service}.{match['region']}.{match['domain']}" if match else ""
