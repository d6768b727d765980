"""The search with Optuna: the next trial, and the record of every trial. A study is one SQLite file.

Each trial gets a new sampler, seeded by the study's seed and the trial's number, so that a study that was killed
continues with the same trials.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from infra.errors import Corrupt, UserError
from infra.store.digests import value_digest
from infra.store.disk import is_damaged
from tasks.tune.space import Choice
from tasks.tune.trial import Cost, Outcome

STUDY = r"^([A-Za-z0-9][A-Za-z0-9_-]{0,63})?$"
CLUSTER = r"^((tcp|tls)://[^\s/:]+:\d+)?$"
"""Patterns of a study's name and of a Dask scheduler's address; both may be empty."""

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import optuna

    from tasks.tune.space import Factor, Space

Search = Literal["grid", "random", "tpe"]
DATABASE = "study.db"
KNOWN = "known"
"""Attribute of an Optuna trial that contains our record of it."""
_EXTRA = ("optuna", "prefect_dask")
_RANDOM_FIRST = 5  # trials that TPE draws at random before it learns from them
_REPEATS = 100  # known configurations drawn in a row, after which the space counts as exhausted


@dataclass(frozen=True)
class Trial:
    """The record of a trial.

    Attributes:
        number: from 0.
        levels: factor to value, as text.
        spec: the whole specification of its training; empty when its levels contradict each other.
        cost: of its network; None before the measurement.
        outcome: None while it runs, or when its process was killed.
    """

    number: int
    levels: Mapping[str, str]
    spec: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost | None = None
    outcome: Outcome | None = None

    @property
    def score(self) -> float | None:
        """The tuning score; None unless it is finished."""
        if self.cost is None or self.outcome is None or self.outcome.accuracy is None:
            return None
        return self.cost.score(self.outcome.accuracy)

    def to_json(self) -> dict[str, Any]:
        """The record in the study's database; an outcome `left` is not recorded."""
        done = self.outcome if self.outcome is not None and self.outcome.end != "left" else None
        return asdict(replace(self, outcome=done))

    @classmethod
    def from_json(cls, number: int, value: Mapping[str, Any]) -> Trial:
        """Read a record; the first one of a trial has only its levels."""
        cost, outcome = value.get("cost"), value.get("outcome")
        return cls(
            number,
            value["levels"],
            value.get("spec", {}),
            None if cost is None else Cost(**cost),
            None if outcome is None else Outcome.from_json(outcome),
        )


def check(search: Search, space: Space) -> None:
    """Refuse a search that cannot start, before anything else starts.

    Raises:
        UserError: a package of the extra `tuning` is not installed, or a grid has a range.
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise UserError(f"tuning needs {' and '.join(missing)}", hint="`make dev` installs it")
    if search == "grid" and space.size is None:
        raise UserError("a grid has no ranges", hint="list the values, or take --search random or --search tpe")


def check_names(study: str, cluster: str) -> None:
    """Refuse names that cannot be, before anything starts; empty ones are chosen later.

    Raises:
        UserError: the name of a study could not be that of a folder, or the cluster is not an address.
    """
    if not re.match(STUDY, study):
        raise UserError(f"'{study}' cannot name a search", hint="use up to 64 letters, digits, - and _")
    if not re.match(CLUSTER, cluster):
        raise UserError(f"'{cluster}' is not a Dask scheduler's address", hint="write tcp://HOST:8786")


def study_name(definition: Mapping[str, Any]) -> str:
    """Derive the name of a study from its definition, such as `grid-0123456789`."""
    return f"{definition['search']}-{value_digest(definition)[:10]}"


@contextmanager
def opened(folder: Path, definition: Mapping[str, Any], space: Space) -> Iterator[Study]:
    """Open the study in `folder`, or create it; one process at a time may have it open.

    Args:
        folder: of this study.
        definition: everything that the results depend on, as JSON; its `search` and `seed` choose the sampler.
        space: factors that are varied.

    Raises:
        UserError: the study in `folder` has another definition.
        Corrupt: its database is damaged.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    with _reporting_damage(folder / DATABASE), ExitStack() as stack:
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # stays with the file; a trial then waits for the disk less
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / DATABASE}")
        stack.callback(storage.engine.dispose)
        stack.callback(storage.remove_session)
        inner = optuna.create_study(storage=storage, study_name="atlasflow", direction="maximize", load_if_exists=True)
        _check_definition(inner, definition, folder)
        yield Study(inner, space, definition["search"], definition["seed"])


@contextmanager
def _reporting_damage(path: Path) -> Iterator[None]:
    """Turn an error of a damaged database into `Corrupt`."""
    try:
        yield
    except Exception as error:
        if not is_damaged(error):
            raise
        hint = "move it away and search again: finished trainings are reused"
        raise Corrupt(f"the study {path} is damaged: {error}", hint=hint) from error


def _check_definition(inner: optuna.Study, definition: Mapping[str, Any], folder: Path) -> None:
    known = inner.user_attrs.get("definition")
    if known is None:
        inner.set_user_attr("definition", dict(definition))
    elif known != json.loads(json.dumps(definition)):
        different = ", ".join(sorted(name for name in {*known, *definition} if known.get(name) != definition.get(name)))
        raise UserError(
            f"the study in {folder} was started with another {different}",
            hint="give this search another name with --study, or none",
        )


class Study:
    """A study that is open in this process."""

    def __init__(self, inner: optuna.Study, space: Space, search: Search, seed: int) -> None:
        self._inner = inner
        self._space = space
        self._search = search
        self._seed = seed

    @property
    def size(self) -> int | None:
        """Number of configurations; None when a factor is a range."""
        return self._space.size

    def trials(self) -> list[Trial]:
        """Every configuration that was tried or runs now, in order; one that was drawn twice counts once."""
        found = [trial for trial in self._inner.get_trials(deepcopy=False) if KNOWN in trial.user_attrs]
        return [Trial.from_json(trial.number, trial.user_attrs[KNOWN]) for trial in found]

    def under_way(self) -> list[Trial]:
        """The trials without an outcome: in a study that was just opened, the interrupted ones."""
        return [trial for trial in self.trials() if trial.outcome is None]

    def ask(self) -> Trial | None:
        """Choose the next configuration; None when all were tried."""
        seen = {tuple(sorted(trial.levels.items())) for trial in self.trials()}
        for _ in range(_REPEATS):
            if self._space.size is not None and len(seen) >= self._space.size:
                return None
            asked = self._ask()
            levels = {factor.name: _suggest(asked, factor) for factor in self._space.factors}
            if tuple(sorted(levels.items())) not in seen:
                asked.set_user_attr(KNOWN, {"levels": levels})
                return Trial(asked.number, levels)
            self._tell(asked.number, "failed")
        return None

    def note(self, trial: Trial) -> None:
        """Record a trial, and report it to Optuna once it has an outcome other than `left`."""
        inner = self._trial(trial.number)
        inner.set_user_attr(KNOWN, trial.to_json())
        outcome = trial.outcome
        if outcome is None or outcome.end == "left":
            return
        if trial.cost is not None and outcome.end == "stopped":
            for epoch, accuracy in outcome.curve.items():
                inner.report(trial.cost.score(accuracy), epoch)
        self._tell(trial.number, outcome.end, trial.score)

    def _trial(self, number: int) -> optuna.Trial:
        import optuna

        return optuna.Trial(self._inner, self._inner.get_trials(deepcopy=False)[number]._trial_id)

    def _ask(self) -> optuna.Trial:
        import optuna

        inner = self._inner
        number = len(inner.get_trials(deepcopy=False))
        own = zlib.crc32(f"{self._seed} {number}".encode())
        if self._search == "grid":
            grid = {factor.name: factor.values for factor in self._space.factors if isinstance(factor, Choice)}
            inner.sampler = optuna.samplers.GridSampler(grid, seed=self._seed)
        elif self._search == "random":
            inner.sampler = optuna.samplers.RandomSampler(seed=own)
        else:
            inner.sampler = optuna.samplers.TPESampler(seed=own, n_startup_trials=_RANDOM_FIRST)
        return inner.ask()

    def _tell(self, number: int, end: str, value: float | None = None) -> None:
        import optuna

        # The grid's sampler would stop Optuna's own `optimize` loop, which is not used here.
        self._inner.sampler = optuna.samplers.RandomSampler(seed=0)
        states = {
            "finished": optuna.trial.TrialState.COMPLETE,
            "stopped": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }
        self._inner.tell(number, value, state=states[end])


def _suggest(trial: optuna.Trial, factor: Factor) -> str:
    if isinstance(factor, Choice):
        return trial.suggest_categorical(factor.name, factor.values)
    if factor.whole:
        return str(trial.suggest_int(factor.name, int(factor.low), int(factor.high), log=factor.log))
    return f"{trial.suggest_float(factor.name, factor.low, factor.high, log=factor.log):.6g}"
