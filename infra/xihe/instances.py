"""The limits of the platform on trainings of one repository, for the stand-in.

Source: docs/reference/xihe.md §7.1.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import Refused
from infra.modelarts.scripts.script import base_name
from infra.store.atomic import write_text
from infra.store.bookkeeping import read_json
from infra.store.locks import hold

if TYPE_CHECKING:
    from infra.modelarts.job import Job

MOST = 5


@dataclass(frozen=True)
class Instances:
    """The trainings of one repository.

    Attributes:
        path: the file with the names of all repositories' trainings.
        repository: its name.
        find: lists the jobs with a text in their name.
    """

    path: Path
    repository: str
    find: "Callable[[str], Sequence[Job]]"

    def admit(self, name: str) -> None:
        """Take note of a training that is about to be created.

        Raises:
            Refused: one is running, there are five, or one has this name.
        """
        with hold(self.path.with_suffix(".lock")):
            book = read_json(self.path, _names) or {}
            jobs = [job for known in book.get(self.repository, []) for job in self._jobs(known)]
            running = next((job.name for job in jobs if not job.final), None)
            if running is not None:
                raise Refused(
                    f"xihe runs one training of a repository at a time: {running} of {self.repository} has not ended",
                    hint=f"wait for it, or `atlasflow jobs stop {running}`",
                )
            if len(jobs) >= MOST:
                raise Refused(
                    f"xihe keeps at most {MOST} trainings of a repository, and {self.repository} has as many",
                    hint=f"`atlasflow jobs delete {jobs[0].name}` deletes the oldest",
                )
            if base_name(name) in {base_name(job.name) for job in jobs if job.name != name}:
                raise Refused(
                    f"{self.repository} has a training {base_name(name)} already, and xihe keeps names apart",
                    hint="give this one another: --name",
                )
            book[self.repository] = [*dict.fromkeys(job.name for job in jobs if job.name != name), name]
            write_text(self.path, json.dumps(book, indent=1))

    def _jobs(self, name: str) -> "list[Job]":
        return [job for job in self.find(name) if job.name == name]


def _names(body: Any) -> dict[str, list[str]]:
    return {str(repository): [str(name) for name in names] for repository, names in body.items()}
