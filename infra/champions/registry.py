"""The registry of champions, `home/registry.json`: the release in service, its predecessors, and what happened.

Every change takes the lock, reads, checks and replaces the file atomically. With a mirror, the copy with the higher
`revision` counts (of equal ones the mirror's), and each change is sent to the mirror before it is written here, so that
a change that fails there does not happen. Object storage has no conditional put, so machines exclude each other by a
lease; machines that share no Prefect server should leave promotions to one of them.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from infra.champions.records import Champion, Event, RegistryState, parse, serialised
from infra.errors import Refused, UserError
from infra.store.atomic import write_text
from infra.store.locks import hold
from infra.store.mirror import Mirror

if TYPE_CHECKING:
    from infra.leases import Leases

NAME = "registry.json"
LEASE = "atlasflow-registry"


class Registry:
    """The registry of one home.

    Args:
        home: AtlasFlow's home.
        mirror: the copy for other machines.
        leases: the locks that those machines share.
    """

    def __init__(self, home: Path, mirror: Mirror | None = None, leases: "Leases | None" = None) -> None:
        self.path = home / NAME
        self._lock = home / "locks" / "registry"
        self._mirror = mirror
        self._leases = leases

    def read(self) -> RegistryState:
        """Read the registry, from the mirror when its copy is newer.

        Raises:
            Corrupt: the file is damaged. A damaged registry is not an empty one.
        """
        state = parse(self.path) if self.path.exists() else RegistryState()
        if self._mirror is not None:
            with TemporaryDirectory() as folder:
                copy = Path(folder) / NAME
                if self._mirror.fetch_file(NAME, copy):
                    state = max(parse(copy), state, key=lambda known: known.revision)  # the first of equals
        return state

    def promote(self, model: Champion, trainings: Sequence[str], *, over: str, pending: bool) -> RegistryState:
        """Make a release the champion.

        Args:
            model: the release; `before` is set here.
            trainings: keys of the trainings of the challenge.
            over: the champion that it was compared with; empty for none.
            pending: True when a rollout follows.

        Raises:
            Refused: the champion has changed meanwhile.
        """

        def change(state: RegistryState) -> RegistryState:
            _check_compared(state, over)
            new = replace(model, before=over)
            keys = tuple(trainings)
            event = Event("promoted", new.release, new.release, new.checkpoint, keys, new.when, new.who, new.why)
            return _after(state, event, new, pending)

        return self._change(change)

    def keep(self, checkpoint: str, trainings: Sequence[str], who: str, why: str, *, over: str) -> RegistryState:
        """Record that the champion `over` (empty: none) was challenged and kept its place.

        Raises:
            Refused: the champion has changed meanwhile.
        """

        def change(state: RegistryState) -> RegistryState:
            name = _check_compared(state, over)
            event = Event("kept", name, "", checkpoint, tuple(trainings), time.time(), who, why)
            return _after(state, event, state.champion, state.pending)

        return self._change(change)

    def demote(self, to: str, who: str, why: str, *, of: str = "", pending: bool) -> RegistryState:
        """Replace the champion by a former one, by default its predecessor.

        Args:
            to: a former champion's release; empty: the predecessor, which may be none.
            who: a person, or the rollout.
            why: the reason.
            of: the release that must be the champion; empty: any.
            pending: True when a rollout follows.

        Raises:
            UserError: there is no champion, or `to` is not a former one.
            Refused: the champion is not `of`.
        """

        def change(state: RegistryState) -> RegistryState:
            current = state.champion
            if current is None:
                raise UserError("there is no champion", hint="`atlasflow retrain` makes the first")
            if of and current.release != of:
                raise Refused(f"release {of} is no longer the champion", hint="see `atlasflow champion show`")
            if to and (to not in state.models or to == current.release):
                raise UserError(f"release {to} is not a former champion", hint="see `atlasflow champion history`")
            back = state.models.get(to or current.before)
            keys = (current.keys["train"],)
            event = Event("demoted", _name(back), current.release, current.checkpoint, keys, time.time(), who, why)
            return _after(state, event, back, pending and back is not None)

        return self._change(change)

    def mark_rolled_out(self, release: str) -> RegistryState:
        """Record that a champion's rollout was started. Without effect when the champion has changed meanwhile."""

        def change(state: RegistryState) -> RegistryState:
            if _name(state.champion) != release or not state.pending:
                return state
            return replace(state, pending=False, revision=state.revision + 1)

        return self._change(change)

    def _change(self, change: Callable[[RegistryState], RegistryState]) -> RegistryState:
        elsewhere = nullcontext() if self._leases is None else self._leases.hold(LEASE, lambda: None)
        with hold(self._lock), elsewhere:
            before = self.read()
            state = change(before)
            if state != before:
                self._send(state)
                write_text(self.path, serialised(state))
        return state

    def _send(self, state: RegistryState) -> None:
        if self._mirror is not None:
            with TemporaryDirectory() as folder:
                copy = Path(folder) / NAME
                write_text(copy, serialised(state))
                self._mirror.send_file(NAME, copy)


def _after(state: RegistryState, event: Event, champion: Champion | None, pending: bool) -> RegistryState:
    models = state.models if champion is None else {**state.models, champion.release: champion}
    return RegistryState(state.revision + 1, champion, pending, models, (*state.history, event))


def _check_compared(state: RegistryState, over: str) -> str:
    """Check that the champion is the one that the challenger was compared with, and return its release."""
    current = _name(state.champion)
    if current != over:
        raise Refused(
            f"the challenger was compared with {over or 'none'}; the champion is {current or 'none'} now",
            hint="`atlasflow retrain` compares it with the present champion",
        )
    return current


def _name(champion: Champion | None) -> str:
    return "" if champion is None else champion.release
