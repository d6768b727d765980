"""The definition of a stage. Apart from `tasks/engine/chain.py`, so that a change of the engine changes no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from infra.ports.values import LocalFile, Producer
    from infra.settings import Settings
    from infra.store.artifacts import Artifact
    from infra.world import World


class Reporter(Protocol):
    """Receives what a stage reports while it runs."""

    def line(self, stage: str, text: str) -> None:
        """One line to read."""
        ...

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """The progress of the stage."""
        ...


@dataclass(frozen=True)
class StageContext:
    """Everything that a running stage works with.

    Attributes:
        settings: all settings; a stage may read only those that its `settings` function names.
        world: the ports.
        key: the stage key.
        inputs: artifacts by the names in `Stage.needs`.
        files: the files of each input, by path inside it.
        folder: scratch space of this key; kept after a failure only when the stage resumes.
        emulated: True when a stand-in contributed to an input.
        reporter: receives lines and progress.
        forced: True with `--force`, even when a receipt exists.
    """

    settings: Settings
    world: World
    key: str
    inputs: Mapping[str, Artifact]
    files: Mapping[str, Mapping[str, LocalFile]]
    folder: Path
    emulated: bool
    reporter: Reporter
    forced: bool = False

    def input(self, name: str) -> Path:
        """The path of a single-file input under its own name, as some tools check the suffix; read only."""
        return self.link_input(name, self.folder / "inputs" / name) / next(iter(self.files[name]))

    def link_input(self, name: str, folder: Path) -> Path:
        """Link the files of an input into `folder` under their own names; returns `folder`."""
        for relative, file in self.files[name].items():
            link = folder / relative
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(file.path)
        return folder


@dataclass(frozen=True)
class StageOutput:
    """The result of a stage: a file or folder for each output name, and a note for people."""

    outputs: Mapping[str, Path]
    note: str = ""


Needs = Mapping[str, tuple[str, str]]


def _nothing(_settings: Settings) -> Mapping[str, Any]:
    return {}


def _no_producer(_world: World) -> Producer | None:
    return None


@dataclass(frozen=True)
class Stage:
    """A named step of the chain.

    Attributes:
        name: one word.
        kind: `pure` makes bytes, `effect` changes the world.
        run: does the work; its docstring describes the stage.
        needs: input name to (stage, output), or a function of the settings that returns this mapping; an input that
            `external_inputs` provides need not be made by its stage.
        external_inputs: files that come from outside the chain, by input name.
        settings: the settings that this stage reads, as plain values; no paths, host names, secrets.
        code: modules whose closure is an ingredient, besides the stage's own module.
        producer: what makes the bytes, such as a compiler and its version.
        optional: inputs that may be missing, as their stage does not always make them.
        tools: distributions whose version may change the bytes.
        resumes: True when a killed run's scratch folder is worth keeping.
        recorded: for an effect, from this home's records alone: None when they say that the world matches, else what
            differs; the world is not asked.
        records: files below the home that `recorded` reads.
        prove: for an effect, from the files of its outputs: None when the world matches them, else what differs.
    """

    name: str
    kind: Literal["pure", "effect"]
    run: Callable[[StageContext], StageOutput]
    needs: Needs | Callable[[Settings], Needs] = field(default_factory=dict)
    external_inputs: Callable[[Settings], Mapping[str, Path]] = _nothing
    settings: Callable[[Settings], Mapping[str, Any]] = _nothing
    code: Callable[[Settings], tuple[str, ...]] = lambda _settings: ()
    producer: Callable[[World], Producer | None] = _no_producer
    optional: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    resumes: bool = False
    recorded: Callable[[StageContext], str | None] | None = None
    records: tuple[str, ...] = ()
    prove: Callable[[StageContext, Mapping[str, Mapping[str, LocalFile]]], str | None] | None = None
