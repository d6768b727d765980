"""The command with one setting of the object-store client taken away, several times in one process.

    python -m tests.e2e.broken_client JSON    JSON: {case: {"config": {option: value or null}, "arguments": […]}}

Prints JSON: {case: [exit code, what it said on standard error]}. A null takes the option away.
"""

import contextlib
import io
import json
import sys
from typing import Any
from unittest import mock

import botocore.config

from flows.cli.app import main
from infra.obs import connection

CONFIG = botocore.config.Config


def attempt(change: dict[str, Any], arguments: list[str]) -> tuple[int, str]:
    def config(**options: Any) -> Any:
        changed = options | {name: value for name, value in change.items() if name in options}
        return CONFIG(**{name: value for name, value in changed.items() if value is not None})

    sent: Any = connection._add_content_md5
    if "content_md5" in change:
        sent = lambda request, **_: None  # noqa: E731
    said, code = io.StringIO(), 0
    with (
        mock.patch.object(botocore.config, "Config", config),
        mock.patch.object(connection, "_add_content_md5", sent),
        mock.patch.object(sys, "argv", ["atlasflow", *arguments]),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return code, said.getvalue()


if __name__ == "__main__":
    cases = json.loads(sys.argv[1])
    print(json.dumps({name: attempt(case["config"], case["arguments"]) for name, case in cases.items()}))
