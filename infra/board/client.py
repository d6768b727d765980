"""The client of a board, real or stand-in: the port `Board` over SSH.

Each method logs in, does its work in one connection, and logs out. Nothing is installed on the board but releases:
what looks and changes there is sent along. Fault points: `board.connect`, `.preflight`, `.lock`, `.plan`,
`.copy` (before each file), `.copied`, `.settled`, `.smoke`, `.switch`, `.switched`, `.pictures`, `.fetch`; the action
`cut` cuts the connection there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.board import execution
from infra.board import install as deploy
from infra.board.agent.counts import QUANTITIES, add
from infra.board.check import examine
from infra.board.connection import fingerprint, host_key
from infra.board.preflight import Check
from infra.board.pull import Pulled, pull
from infra.board.session import Session
from infra.errors import Refused, UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.ports.board import BoardFacts, BoardState, Classification, Installed, Release, Seen
from infra.ports.values import Bytes
from infra.settings import BoardSettings
from infra.store.atomic import replacing

CLASSIFY_SECONDS = 600.0


class SshBoard:
    """One board over SSH.

    Args:
        name: in the settings.
        settings: address, login and pinned host key.
        faults: for tests.
        lock_seconds: how long a deployment waits for another one on the same board.
    """

    def __init__(
        self,
        name: str,
        settings: BoardSettings,
        faults: FaultPlan = NO_FAULTS,
        lock_seconds: float = deploy.LOCK_SECONDS,
    ) -> None:
        self._name = name
        self._settings = settings
        self._faults = faults
        self._lock_seconds = lock_seconds

    @property
    def name(self) -> str:
        """The board's name in the settings."""
        return self._name

    def facts(self) -> BoardFacts:
        """Ask the board what it is."""
        return _facts(self._name, asyncio.run(self._ask("facts")))

    def state(self) -> BoardState:
        """Ask the board what it runs."""
        return _state(asyncio.run(self._ask("state")))

    def journal(self) -> Sequence[Mapping[str, Any]]:
        """What was switched when, oldest first."""
        entries: Sequence[Mapping[str, Any]] = asyncio.run(self._ask("journal"))
        return entries

    def install(self, release: Release, progress: Bytes | None = None) -> Installed:
        """Preflight, copy what is missing, verify, smoke test, switch; see `infra.ports.Board.install`."""

        async def work() -> Installed:
            async with self._session() as session:
                return await deploy.install(session, release, progress, self._lock_seconds)

        return asyncio.run(work())

    def rollback(self) -> BoardState:
        """Put the previous release back into service."""

        async def work() -> BoardState:
            async with self._session() as session:
                await deploy.lock(session, self._lock_seconds)
                return _state(await session.ask("rollback", reason="asked for"))

        return asyncio.run(work())

    def prune(self, keep: int) -> Sequence[str]:
        """Remove all but the newest `keep` releases, never the current or the previous one; returns what went."""

        async def work() -> Sequence[str]:
            async with self._session() as session:
                await deploy.lock(session, self._lock_seconds)
                removed: Sequence[str] = await session.ask("prune", keep=keep)
                return removed

        return asyncio.run(work())

    def infer(self, release: Release, images: Path, logits: Path) -> float:
        """Run a release's model, without installing it, on an array of images; see `infra.ports.Board.infer`."""

        async def work() -> float:
            async with self._session() as session:
                return await execution.infer(session, release, images, logits)

        return asyncio.run(work())

    def classify(self, pictures: Sequence[Path], folder: Path) -> Sequence[Classification]:
        """Classify pictures with the active release and fetch the annotated copies into `folder`.

        Raises:
            UserError: no picture, or one that is not there.
            Refused: no release is in service.
        """
        missing = [str(picture) for picture in pictures if not picture.is_file()]
        if missing or not pictures:
            raise UserError(f"there is no picture {', '.join(missing)}" if missing else "no picture was given")

        async def work() -> Sequence[Classification]:
            async with self._session() as session:
                return await _classify(session, pictures, folder)

        return asyncio.run(work())

    def seen(self) -> Seen | None:
        """What the board has seen while it watched; None when it has not."""
        said = asyncio.run(self._ask("seen"))
        return None if said is None else _seen(said)

    def status(self) -> Mapping[str, Any]:
        """The state, how many live images a new release still has to answer (`probation`), the last of the journal."""
        said: Mapping[str, Any] = asyncio.run(self._ask("status"))
        return said

    def check(self, release: Release | None = None) -> list[Check]:
        """Look at everything that a deployment rests on, in order; a `wrong` step ends it or would refuse `release`."""
        return asyncio.run(examine(self._session(), release))

    def pull(self, folder: Path) -> Pulled:
        """Fetch what the agent's `watch` left on the board since the last time, with a report of its latency."""

        async def work() -> Pulled:
            async with self._session() as session:
                return await pull(session, folder)

        return asyncio.run(work())

    def trust(self) -> tuple[str, str]:
        """The board's public host key (for `host_key` in the settings) and its fingerprint, for a person to compare."""
        key = asyncio.run(host_key(self._name, self._settings))
        return key.export_public_key().decode().strip(), fingerprint(key)

    def _session(self) -> Session:
        return Session(self._name, self._settings, self._faults)

    async def _ask(self, operation: str) -> Any:
        async with self._session() as session:
            return await session.ask(operation)


async def _classify(session: Session, pictures: Sequence[Path], folder: Path) -> Sequence[Classification]:
    active = (await session.ask("state"))["active"]
    if active is None:
        raise Refused(f"board {session.name} has no release in service", hint="deploy one first")
    work = await session.ask("make_work")
    session.step("pictures")
    names = [f"{work}/{index}{picture.suffix}" for index, picture in enumerate(pictures)]
    for picture, name in zip(pictures, names, strict=True):
        await session.send(picture, name, None)
    answer = await session.ask(
        "agent",
        timeout=CLASSIFY_SECONDS + 30,
        release=active,
        arguments=["classify", "--json", "--output", f"{work}/out", *names],
        seconds=CLASSIFY_SECONDS,
    )
    session.step("fetch")
    return [
        await _answer(session, said, pictures[index], folder / f"{index:03}-{pictures[index].stem}.png")
        for index, said in enumerate(answer["pictures"])
    ]


async def _answer(session: Session, said: Mapping[str, Any], picture: Path, target: Path) -> Classification:
    if "error" in said:
        return Classification(str(picture), (), 0.0, None, said["error"].replace(said["picture"], picture.name))
    with replacing(target) as temporary:
        await session.fetch(said["annotated"], temporary)
    top = tuple((str(label), float(probability)) for label, probability in said["top"])
    return Classification(str(picture), top, float(said["milliseconds"]), target)


def _seen(said: Mapping[str, Any]) -> Seen:
    """One summary of all days."""
    first, *others = days = said["days"]
    counts = {name: list(first[name]) for name in QUANTITIES}
    for day in others:
        add(counts, day)
    images, skipped = (sum(day[name] for day in days) for name in ("images", "skipped"))
    return Seen(said["release"], first["since"], days[-1]["until"], images, skipped, counts)


def _state(said: Mapping[str, Any]) -> BoardState:
    return BoardState(said["active"], said["previous"], tuple(said["releases"]))


def _facts(name: str, said: Mapping[str, Any]) -> BoardFacts:
    return BoardFacts(
        name=name,
        soc_version=said["soc_version"],
        cann=said["cann"],
        architecture=said["architecture"],
        python=said["python"],
        free_bytes=said["free_bytes"],
        emulated=said["emulated"],
        npu=said["npu"],
    )
