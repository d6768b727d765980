"""A board that runs, where its files are, and how tests disturb it."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from infra.faults import FaultPlan
from infra.settings import BoardSettings

NAME = "bench-1"


@dataclasses.dataclass
class Site:
    """A board that runs, and where its files are."""

    settings: BoardSettings
    folder: Path

    @property
    def home(self) -> Any:
        return self.folder / "home"


def root(site: Any) -> Any:
    return site.home / site.settings.folder


def snapshot(folder: Any) -> Any:
    """Every path with its inode and time of change; the lock's content says who deployed last."""
    return {
        path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in folder.rglob("*") if path.name not in {"lock"}
    }


class pretended_toolkit:  # noqa: N801 - used like a function
    """Another `acl` in place of the stand-in's."""

    def __init__(self, site: Any, source: Any) -> None:
        self.script = site.home / "Ascend" / "ascend-toolkit" / "set_env.sh"
        self.folder = site.folder / "pretended"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "acl.py").write_text(source)

    def __enter__(self) -> None:
        self.text = self.script.read_text()
        self.script.write_text(f'{self.text}export PYTHONPATH={shlex.quote(str(self.folder))}:"$PYTHONPATH"\n')

    def __exit__(self, *error: object) -> None:
        self.script.write_text(self.text)


class Meddling(FaultPlan):
    """Does something when a point is reached for the first time."""

    def __init__(self, point: Any, deed: Any) -> None:
        super().__init__()
        self.point = point
        self.deed = deed

    def reach(self, point: Any) -> Any:
        if point == self.point and not self.visits[point]:
            self.deed()
        return super().reach(point)
