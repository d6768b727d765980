"""`python -m infra.health URL`: exit code 0 when that address answers well, for health checks of containers."""

import sys
import urllib.error
import urllib.request

_SECONDS = 5


def main(url: str) -> int:
    """0 when `url` answers with a good status, else 1; says why on standard error."""
    if not url.startswith(("http://", "https://")):
        print(f"{url} is no http(s) address", file=sys.stderr)
        return 1
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS):  # noqa: S310 - checked above
            return 0
    except (urllib.error.URLError, OSError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
