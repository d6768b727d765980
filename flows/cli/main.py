"""The command `atlasflow`. A run that has nothing to do is answered here, before anything heavy is imported."""

import gc
import sys

from flows.cli.encoding import make_printable
from infra.home import enter_project, home
from infra.store.fresh_cache import recall


def main() -> None:
    """Entry point of the installed command."""
    make_printable(sys.stdout, sys.stderr)
    enter_project()
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        fresh = recall(home(), arguments[1:])
        if fresh is not None:
            from flows.cli.fresh_run import show  # noqa: PLC0415 - rich is for those who have something to show

            show(fresh["rows"], home(), fresh["facts"])
            return
    # Imports make next to no garbage; looking for it costs a tenth of a quick command. Long ones enable it again.
    gc.disable()
    from flows.cli.app import main as full  # noqa: PLC0415 - Typer and the settings take longer than a no-op run may

    full()


if __name__ == "__main__":
    main()
