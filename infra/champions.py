"""The registry of champions: `home/registry.json` says which release is in service, what it was made of, and why.

Every change takes the lock, reads, checks and replaces the file whole. With a mirror the newer of both copies counts
(by `revision`; of equals the mirror's), and each change is sent there before it is kept here, so that what the mirror
does not have was not changed. As object storage has no conditional put, machines keep each other out by a lease; where
they share no Prefect server, one of them should be the one that promotes.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from infra.errors import Corrupt, Refused, UserError
from infra.store.atomic import write_text
from infra.store.locks import hold
from infra.store.mirror import Mirror

if TYPE_CHECKING:
    from infra.leases import Leases

SCHEMA = 1
NAME = "registry.json"
LEASE = "atlasflow-registry"


@dataclass(frozen=True)
class Champion:
    """A release that is, or was, in service.

    Attributes:
        release: its id.
        checkpoint: SHA-256 of the checkpoint.
        recipe: name of the recipe, as it was asked for.
        spec: every field of the training specification.
        data: SHA-256 of the data set.
        code: digest over the digests of the modules that decide the training's bytes.
        metrics: of the evaluation when it was promoted: accuracy, its interval, images, loss.
        keys: stage to the key of its receipt.
        emulated: the stages whose bytes a stand-in had a hand in.
        published: where the release lies, as `obs://bucket/prefix/`.
        when: seconds since 1970.
        who: who promoted it.
        why: the reasons, and what the comparison found.
        before: the release that was champion before it; empty for the first.
    """

    release: str
    checkpoint: str
    recipe: str
    spec: Mapping[str, Any]
    data: str
    code: str
    metrics: Mapping[str, Any]
    keys: Mapping[str, str]
    emulated: Sequence[str]
    published: str
    when: float
    who: str
    why: str
    before: str = ""


@dataclass(frozen=True)
class Event:
    """What became of a challenge, or of a champion.

    Attributes:
        kind: `promoted`, `demoted`, or `kept`: the champion kept its place.
        champion: the release that is champion after it; empty when there is none.
        about: the release that was promoted or demoted; empty for a challenger that lost.
        checkpoint: SHA-256 of that release's, or of the challenger's, checkpoint.
        trainings: keys of the trainings that it was about.
        when: seconds since 1970.
        who: a person, or the flow.
        why: the reason in words.
    """

    kind: Literal["promoted", "demoted", "kept"]
    champion: str
    about: str
    checkpoint: str
    trainings: Sequence[str]
    when: float
    who: str
    why: str


@dataclass(frozen=True)
class State:
    """What the registry says.

    Attributes:
        revision: counts the changes.
        champion: the release in service; None when there is none.
        pending: True while the boards have not been told of the champion.
        models: every release that ever was champion, by its id.
        history: what happened, oldest first.
    """

    revision: int = 0
    champion: Champion | None = None
    pending: bool = False
    models: Mapping[str, Champion] = field(default_factory=dict)
    history: Sequence[Event] = ()

    def predecessor(self) -> Champion | None:
        """What a demotion goes back to."""
        return None if self.champion is None else self.models.get(self.champion.before)

    def kept_keys(self) -> set[str]:
        """Keys of the receipts of the champion and its predecessor; garbage collection leaves them alone."""
        return {key for model in (self.champion, self.predecessor()) if model for key in model.keys.values()}


class Registry:
    """The registry of one home.

    Args:
        home: AtlasFlow's home.
        mirror: where a copy is kept, for other machines.
        leases: the locks that those machines share.
    """

    def __init__(self, home: Path, mirror: Mirror | None = None, leases: "Leases | None" = None) -> None:
        self.path = home / NAME
        self._lock = home / "locks" / "registry"
        self._mirror = mirror
        self._leases = leases

    def read(self) -> State:
        """What the registry says now.

        Raises:
            Corrupt: the file is damaged. That is not an empty registry.
        """
        state = parse(self.path) if self.path.exists() else State()
        if self._mirror is not None:
            with TemporaryDirectory() as folder:
                copy = Path(folder) / NAME
                if self._mirror.fetch_file(NAME, copy):
                    state = max(parse(copy), state, key=lambda known: known.revision)  # the first of equals
        return state

    def promote(self, model: Champion, trainings: Sequence[str], *, over: str, pending: bool) -> State:
        """Make a release the champion.

        Args:
            model: the release; `before` is set here.
            trainings: keys of the trainings that took part in the challenge.
            over: the champion that it was compared with; empty for none.
            pending: True when boards are to be told.

        Raises:
            Refused: the champion is another one by now.
        """

        def change(state: State) -> State:
            _compared(state, over)
            new = replace(model, before=over)
            keys = tuple(trainings)
            event = Event("promoted", new.release, new.release, new.checkpoint, keys, new.when, new.who, new.why)
            return _after(state, event, new, pending)

        return self._change(change)

    def keep(self, checkpoint: str, trainings: Sequence[str], who: str, why: str, *, over: str) -> State:
        """Note that the champion `over` (empty: none) was challenged and kept its place.

        Raises:
            Refused: the champion is another one by now.
        """

        def change(state: State) -> State:
            name = _compared(state, over)
            event = Event("kept", name, "", checkpoint, tuple(trainings), time.time(), who, why)
            return _after(state, event, state.champion, state.pending)

        return self._change(change)

    def demote(self, to: str, who: str, why: str, *, of: str = "", pending: bool) -> State:
        """Put a former champion, by default the predecessor, back into the place of the present one.

        Args:
            to: a former champion's release; empty: the predecessor, which may be none.
            who: a person, or the flow.
            why: the reason.
            of: only when this release is the champion.
            pending: True when boards are to be told.

        Raises:
            UserError: there is no champion, or `to` never was one or is it.
            Refused: the champion is not `of`.
        """

        def change(state: State) -> State:
            current = state.champion
            if current is None:
                raise UserError("there is no champion", hint="`atlasflow retrain` makes the first")
            if of and current.release != of:
                raise Refused(f"the champion is not {of} by now", hint="see `atlasflow champion show`")
            if to and (to not in state.models or to == current.release):
                raise UserError(f"release {to} is no former champion", hint="see `atlasflow champion history`")
            back = state.models.get(to or current.before)
            keys = (current.keys["train"],)
            event = Event("demoted", _name(back), current.release, current.checkpoint, keys, time.time(), who, why)
            return _after(state, event, back, pending and back is not None)

        return self._change(change)

    def told(self, release: str) -> State:
        """Note that the boards were told of a champion; nothing happens when it is another one by now."""

        def change(state: State) -> State:
            if _name(state.champion) != release or not state.pending:
                return state
            return replace(state, pending=False, revision=state.revision + 1)

        return self._change(change)

    def _change(self, change: Callable[[State], State]) -> State:
        elsewhere = nullcontext() if self._leases is None else self._leases.hold(LEASE, lambda: None)
        with hold(self._lock), elsewhere:
            before = self.read()
            state = change(before)
            if state != before:
                self._send(state)
                write_text(self.path, serialised(state))
        return state

    def _send(self, state: State) -> None:
        if self._mirror is not None:
            with TemporaryDirectory() as folder:
                copy = Path(folder) / NAME
                write_text(copy, serialised(state))
                self._mirror.send_file(NAME, copy)


def _after(state: State, event: Event, champion: Champion | None, pending: bool) -> State:
    models = state.models if champion is None else {**state.models, champion.release: champion}
    return State(state.revision + 1, champion, pending, models, (*state.history, event))


def _compared(state: State, over: str) -> str:
    """The champion's release, which has to be the one that the challenger was compared with."""
    current = _name(state.champion)
    if current != over:
        raise Refused(
            f"the challenger was compared with {over or 'none'}; the champion is {current or 'none'} by now",
            hint="`atlasflow retrain` compares it with the present one",
        )
    return current


def _name(champion: Champion | None) -> str:
    return "" if champion is None else champion.release


def serialised(state: State) -> str:
    """The text of the file."""
    body = {
        "schema": SCHEMA,
        "revision": state.revision,
        "champion": _name(state.champion),
        "pending": state.pending,
        "models": {name: asdict(model) for name, model in state.models.items()},
        "history": [asdict(event) for event in state.history],
    }
    return json.dumps(body, indent=1, ensure_ascii=False)


def parse(path: Path) -> State:
    """Read a registry file.

    Raises:
        Corrupt: it is damaged.
        Refused: a newer AtlasFlow wrote it.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["schema"] > SCHEMA:
            raise Refused(
                f"the registry {path} was written by a newer AtlasFlow (schema {body['schema']}, here {SCHEMA})",
                hint="update this checkout, or take another ATLASFLOW_HOME; nothing was changed",
            )
        if body["schema"] != SCHEMA:
            raise ValueError(f"its schema is {body['schema']}, not {SCHEMA}")
        models = {name: Champion(**said) for name, said in body["models"].items()}
        history = tuple(Event(**said) for said in body["history"])
        champion = models[body["champion"]] if body["champion"] else None
        return State(int(body["revision"]), champion, bool(body["pending"]), models, history)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "put a copy back (with store.mirror the bucket has one); removing it makes the next retraining the first"
        raise Corrupt(f"the registry {path} is damaged: {error}", hint=hint) from error
