"""`python -m infra.health URL`: exit code 0 when that address answers well, for health checks of containers."""

import sys
from collections.abc import Mapping

_SECONDS = 5


def problem(url: str, headers: Mapping[str, str] | None = None) -> str:
    """Why a web server of this machine does not answer well at `url`; empty where it does. No proxy is asked."""
    import httpx  # noqa: PLC0415 - costs a tenth of a second, and a run that finds everything fresh asks nobody

    try:
        answer = httpx.get(url, headers=headers, timeout=_SECONDS, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
    return "" if answer.is_success else f"HTTP status {answer.status_code}"


def answers_http(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """True when a web server of this machine answers well at `url`."""
    return not problem(url, headers)


def main(url: str) -> int:
    """0 when `url` answers with a good status, else 1; says why on standard error."""
    if found := problem(url):
        print(f"{url}: {found}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
