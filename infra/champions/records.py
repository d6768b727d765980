"""The records of `registry.json`, with its reader and writer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from infra.errors import Corrupt, Refused

SCHEMA = 1


@dataclass(frozen=True)
class Metrics:
    """The evaluation of a champion at its promotion.

    Attributes:
        accuracy: 0 to 1.
        accuracy_interval_95: Wilson interval of the accuracy.
        images: number of evaluation images.
        loss: mean loss.
    """

    accuracy: float
    accuracy_interval_95: tuple[float, float]
    images: int
    loss: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the metrics, and ignore all others, of an evaluation or of the registry."""
        low, high = values["accuracy_interval_95"]
        return cls(values["accuracy"], (low, high), values["images"], values["loss"])


@dataclass(frozen=True)
class Champion:
    """A release that is, or was, in service.

    Attributes:
        release: its id.
        checkpoint: SHA-256 of the checkpoint.
        recipe: name of the recipe.
        spec: every field of the training specification.
        data: SHA-256 of the data set.
        code: digest over the digests of the modules that can change the training.
        metrics: its evaluation at the promotion.
        keys: stage to the key of its receipt.
        emulated: the stages whose bytes a stand-in contributed to.
        published: address of the release, `obs://bucket/prefix/`.
        when: time of the promotion, seconds since 1970.
        who: who promoted it.
        why: the reasons of the challenge and the result of the comparison, for people.
        before: the release that was champion before it; empty for the first.
    """

    release: str
    checkpoint: str
    recipe: str
    spec: Mapping[str, Any]
    data: str
    code: str
    metrics: Metrics
    keys: Mapping[str, str]
    emulated: Sequence[str]
    published: str
    when: float
    who: str
    why: str
    before: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the JSON form, which `asdict` writes."""
        return cls(**{**values, "metrics": Metrics.from_json(values["metrics"]), "emulated": tuple(values["emulated"])})


@dataclass(frozen=True)
class Event:
    """The end of a challenge, or of a champion's service.

    Attributes:
        kind: `promoted`, `demoted`, or `kept`: the champion kept its place.
        champion: the release that is champion after it; empty when there is none.
        about: the release that was promoted or demoted; empty for a challenger that lost.
        checkpoint: SHA-256 of that release's, or of the challenger's, checkpoint.
        trainings: keys of the trainings of the challenge.
        when: seconds since 1970.
        who: a person, or the schedule.
        why: the reason, for people.
    """

    kind: Literal["promoted", "demoted", "kept"]
    champion: str
    about: str
    checkpoint: str
    trainings: Sequence[str]
    when: float
    who: str
    why: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the JSON form, which `asdict` writes."""
        return cls(**{**values, "trainings": tuple(values["trainings"])})


@dataclass(frozen=True)
class RegistryState:
    """The content of the registry.

    Attributes:
        revision: counts the changes.
        champion: the release in service; None when there is none.
        pending: True while the champion's rollout has not been started.
        models: every release that ever was champion, by its id.
        history: the events, oldest first.
    """

    revision: int = 0
    champion: Champion | None = None
    pending: bool = False
    models: Mapping[str, Champion] = field(default_factory=dict)
    history: Sequence[Event] = ()

    def predecessor(self) -> Champion | None:
        """The champion before the present one, to which a demotion returns by default."""
        return None if self.champion is None else self.models.get(self.champion.before)

    def kept_keys(self) -> set[str]:
        """Keys of the receipts of the champion and its predecessor, which garbage collection keeps."""
        return {key for model in (self.champion, self.predecessor()) if model for key in model.keys.values()}


def serialised(state: RegistryState) -> str:
    """Write the JSON form of the registry."""
    body = {
        "schema": SCHEMA,
        "revision": state.revision,
        "champion": state.champion.release if state.champion else "",
        "pending": state.pending,
        "models": {name: asdict(model) for name, model in state.models.items()},
        "history": [asdict(event) for event in state.history],
    }
    return json.dumps(body, indent=1, ensure_ascii=False)


def parse(path: Path) -> RegistryState:
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
                hint="update this checkout, or use another ATLASFLOW_HOME; nothing was changed",
            )
        if body["schema"] != SCHEMA:
            raise ValueError(f"its schema is {body['schema']}, not {SCHEMA}")
        models = {name: Champion.from_json(values) for name, values in body["models"].items()}
        history = tuple(Event.from_json(values) for values in body["history"])
        champion = models[body["champion"]] if body["champion"] else None
        return RegistryState(int(body["revision"]), champion, bool(body["pending"]), models, history)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        hint = (
            "restore a copy (with store.mirror the bucket has one); without the file, the next retraining is the first"
        )
        raise Corrupt(f"the registry {path} is damaged: {error}", hint=hint) from error
