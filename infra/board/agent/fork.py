"""Run a release's program in a fork of this process, which has imported numpy and pyACL already.

On a board's slow cores these imports take longer than the inference. The parent only imports pyACL: the child is the
first to call `acl.init`, as in programs that use pyACL in worker processes.
"""

import json
import os
import runpy
import select
import signal
import sys
import tempfile
import traceback
from typing import Any, Callable, Dict, List, Tuple

from .failure import REFUSED, TRANSIENT, Failure


def run_forked(
    folder: str, arguments: List[str], seconds: float, begin: Callable[[], None]
) -> Tuple[int, bytes, bytes]:
    """Run `agent/main.py` of a release folder; at the time limit, kill it with all its children.

    Args:
        folder: of the release.
        arguments: of the command line.
        seconds: time limit.
        begin: called first in the child, to release resources of the parent.

    Returns:
        Exit code (negative: the signal that ended it), standard output, standard error.
    """
    reading, writing = os.pipe()  # closed when the child ends, in any way
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.close(reading)
            begin()
            _become(folder, arguments, output.fileno(), errors.fileno())
        os.close(writing)
        ready, _, _ = select.select([reading], [], [], seconds)
        os.close(reading)
        if not ready:
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not ready:
            raise Failure(TRANSIENT, f"the agent was stopped after {seconds:.0f} s")
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        output.seek(0)
        errors.seek(0)
        return code, output.read(), errors.read()


def run_agent(folder: str, arguments: List[str], seconds: float, begin: Callable[[], None]) -> Dict[str, Any]:
    """Run the agent in a folder to its end, as `run_forked` does; returns its JSON answer.

    Raises:
        Failure: the agent's own, or it ended without an answer.
    """
    code, output, errors = run_forked(folder, arguments, seconds, begin)
    try:
        answer = json.loads(output.decode().splitlines()[-1])
    except (ValueError, IndexError):
        tail = errors.decode("utf-8", "replace").strip().splitlines()[-5:]
        said = " / ".join(tail) or "no output"
        raise Failure(REFUSED, "the agent ended with code {}: {}".format(code, said)) from None
    if code != 0:
        raise Failure(code, answer["error"]["message"], answer["error"]["hint"])
    return answer  # type: ignore[no-any-return]


def _become(folder: str, arguments: List[str], output: int, errors: int) -> None:
    """Run the program and exit; never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        sys.argv = ["agent/main.py", *arguments]
        sys.path[0] = os.path.abspath("agent")  # as for a program that is started
        runpy.run_path("agent/main.py", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the process ends here with a traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
