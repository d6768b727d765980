"""Break a stage at each of its boundaries, from the same beginning, and let the next run heal it."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tasks.pipeline import NAMES
from tests.resilience.places import check_healed, check_home, copy_home


class Sweep:
    """The breaks of one stage.

    Args:
        driver: runs the cases.
        reference: the real run to compare with.
        folder: for homes.
        stage: what is broken.
        at_once: how many cases run at the same time, each in a home of its own; what they share must allow it.
        done: the stage itself is done in the beginning too.
        files: changes of files are boundaries too.
        real_board: False to play the board back.
    """

    def __init__(
        self,
        driver: Any,
        reference: Any,
        folder: Any,
        stage: Any,
        *,
        at_once: int = 2,
        done: bool = False,
        files: bool = False,
        real_board: bool = True,
    ) -> None:
        self.names: list[str] = []
        self.restore: Callable[[], object] = lambda: None  # puts the world back to its beginning
        self.check: Callable[[], object] = lambda: None  # looks at the world after a break
        self._driver, self._reference, self._folder = driver, reference, folder
        self._stage, self._at_once, self._files = stage, at_once, files
        self._every = {"stage": stage, "real_board": real_board}
        self._done = NAMES[: NAMES.index(stage) + done]

    def boundaries(self) -> Any:
        """The numbers of all boundaries of an undisturbed run; their names are kept."""
        self.restore()
        [found] = self._driver.run({"home": self._home(0), "alone": True, "files": self._files, **self._every})
        assert found["error"] is None
        self.names = found["passed"]
        return range(1, len(self.names) + 1)

    def until_made(self) -> Any:
        """The numbers of those boundaries that come before the engine keeps what the stage has made."""
        return self.boundaries()[: self._made()]

    def behind(self) -> Any:
        """Samples of the boundaries that come when the engine keeps what the stage has made."""
        return self.samples(self.boundaries()[self._made() :])

    def samples(self, numbers: Any) -> Any:
        """Of boundaries that differ only in the file they are about: the first, one in the middle, and the last."""
        alike = defaultdict(list)
        for number in numbers:
            alike[_kind(self.names[number - 1])].append(number)
        return sorted({some[place] for some in alike.values() for place in (0, len(some) // 2, -1)})

    def _made(self) -> Any:
        return self.names.index(f"stage.{self._stage}.made") + 1

    def kill_each(self, numbers: Any) -> Any:
        """Kill a run at each of these boundaries; gives how many they were."""
        return self._each(numbers, "kill_at", self._was_killed)

    def fill_each(self, numbers: Any) -> Any:
        """Let the disk be full at each of these boundaries; gives how many they were."""
        return self._each(numbers, "full_at", self._was_refused)

    def _each(self, numbers: Any, how: Any, check_end: Any) -> Any:
        count = 0
        left = list(numbers)
        while left:
            some, left = left[: self._at_once], left[self._at_once :]
            try:
                self._break(some, how, check_end)
            except AssertionError as error:
                error.add_note(f"{how} {' | '.join(self.names[number - 1] for number in some)}")
                raise
            count += len(some)
        return count

    def _break(self, numbers: Any, how: Any, check_end: Any) -> None:
        self.restore()
        homes = [self._home(number) for number in numbers]
        cases = [{"home": home, "alone": True, "files": self._files, **self._every} for home in homes]
        for case, number in zip(cases, numbers, strict=True):
            case[how] = number
        for found in self._driver.run(*cases):
            check_end(found)
        whole = [self._stage in check_home(home) for home in homes]
        self.check()
        healed = self._driver.run(*({"home": home, **self._every} for home in homes))
        for home, there, found in zip(homes, whole, healed, strict=True):
            assert found["error"] is None
            assert list(found["ran"]) == ([] if there else [self._stage])
            check_home(home)
            check_healed(home, self._reference.home)

    def _was_killed(self, found: Any) -> None:
        assert found is None, "the boundary was not reached"

    def _was_refused(self, found: Any) -> None:
        kind, code, text = found["error"]
        assert (kind, code) == ("Refused", 4)
        assert "the disk is full" in text or "No space left" in text
        assert "free s" in text

    def _home(self, number: Any) -> Any:
        home = self._folder / str(number)
        copy_home(self._reference.home, home, self._done)
        return home


def _kind(name: Any) -> Any:
    """A point of the fault plan, or what is done in which folder, without digests and other chance names."""
    event, _, path = name.partition(" ")
    folder = path.rpartition("/")[0]
    return event, re.sub(r"(?<=^/objects/)..$|(?<=^/trees/)..$|(?<=/\.atc-).+", "", folder)
