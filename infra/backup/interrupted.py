"""A restore that is killed after the old home is moved aside, and before the new one takes its place.

A note next to the home tells of it: without one, the next command would begin an empty home and pay everything again.
"""

from pathlib import Path

from infra.errors import Refused
from infra.store.atomic import write_text


def staged_place(home: Path) -> Path:
    """Return the folder that a restore unpacks to; it need not exist."""
    return home.with_name(f".{home.name}.restoring")


def note(home: Path, before: Path) -> None:
    """Write down that a checked home waits in its staged place, and that the present one moves to `before`."""
    write_text(_note(home), before.name, mode=0o600)


def forget(home: Path) -> None:
    """Remove the note."""
    _note(home).unlink(missing_ok=True)


def previous(home: Path) -> Path | None:
    """Return where an interrupted restore moved the home; None when none was interrupted there, or it was mended."""
    if home.exists():
        return None
    try:
        before = home.with_name(_note(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return before if before.is_dir() else None


def refuse_interrupted(home: Path) -> None:
    """Refuse to begin an empty home where a restore was interrupted.

    Raises:
        Refused: with both ways out.
    """
    before, staged = previous(home), staged_place(home)
    if before is not None:
        new = f"; the restored one, checked, is {staged}" if staged.is_dir() else ""
        raise Refused(
            f"a restore was interrupted: there is no home {home}, the previous one is {before}{new}",
            hint=f"`atlasflow restore FILE` restores again; `mv {before} {home}` undoes it",
        )


def _note(home: Path) -> Path:
    return home.with_name(f".{home.name}.restoring.txt")
