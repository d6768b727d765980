"""The command `atlasflow`. A run that has nothing to do is answered here, before anything heavy is imported."""

import gc
import os
import signal
import sys

INTERRUPTED, TERMINATED = 130, 143  # as shells count them: 128 and the number of the signal


def _terminate(_number: int, _frame: object) -> None:
    """End as after Ctrl-C, so that what was opened is closed and no child outlives the command."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the closing
    raise SystemExit(TERMINATED)


def main() -> None:
    """Entry point of the installed command."""
    try:
        _main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


def _main() -> None:
    from flows.cli.encoding import make_printable  # noqa: PLC0415 - as below

    make_printable(sys.stdout, sys.stderr)
    from infra.home import enter_project, home  # noqa: PLC0415 - Ctrl-C during imports ends in `main`
    from infra.store.fresh_cache import recall  # noqa: PLC0415

    enter_project()
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        fresh = recall(home(), arguments[1:])
        if fresh is not None:
            from flows.cli.fresh_run import FreshStage, show  # noqa: PLC0415 - rich is for those who have something to show

            show([FreshStage(*values) for values in fresh["stages"]], home(), fresh["facts"])
            return
    # Imports make next to no garbage; looking for it costs a tenth of a quick command. Long ones enable it again.
    gc.disable()
    signal.signal(signal.SIGTERM, _terminate)
    os.umask(os.umask(0o077) | 0o077)  # what a home holds is its owner's alone
    from flows.cli.app import main as full  # noqa: PLC0415 - Typer and the settings take longer than a no-op run may

    full()


if __name__ == "__main__":
    main()
