"""The client of a board, real or stand-in: the ports `Board` and `BoardUpkeep` over SSH.

Each method logs in, does its work in one connection, and logs out. Only releases are installed on the board: the
client sends its own helper along. Fault points: `board.connect`, `.preflight`, `.lock`, `.plan`, `.copy` (before each
file), `.copied`, `.settled`, `.smoke`, `.switch`, `.switched`, `.pictures`, `.fetch`; the action `cut` cuts the
connection there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from infra.board import answers, bench, classify, collect, execution, install, pull
from infra.board.check import examine
from infra.board.connection import fingerprint, host_key
from infra.board.release_folder import releases_in
from infra.board.session import Session
from infra.faults import NO_FAULTS, FaultPlan
from infra.ports.bench import Bench
from infra.ports.board import BoardFacts, BoardState, Classification, Installed
from infra.ports.release import Release
from infra.ports.upkeep import BoardCheck, BoardStatus, HostKey, Observations, Pulled, RollbackCause
from infra.ports.values import OnBytes
from infra.settings import BoardSettings
from infra.store.artifacts import folder_files

T = TypeVar("T")

VERIFY_SECONDS = 600.0


class SshBoard:
    """One board over SSH.

    Args:
        name: in the settings.
        settings: address, login and pinned host key.
        faults: for tests.
        lock_seconds: how long a deployment waits for another one on the same board.
        downgrade: let the board accept a release that is older than its floor.
        devices: of the board to use: numbers with commas between them, or `all`.
    """

    def __init__(
        self,
        name: str,
        settings: BoardSettings,
        faults: FaultPlan = NO_FAULTS,
        lock_seconds: float = install.LOCK_SECONDS,
        *,
        downgrade: bool = False,
        devices: str = "0",
    ) -> None:
        self._name = name
        self._settings = settings
        self._faults = faults
        self._lock_seconds = lock_seconds
        self._downgrade = downgrade
        self._devices = devices

    @property
    def name(self) -> str:
        """The board's name in the settings."""
        return self._name

    def facts(self) -> BoardFacts:
        """Ask the board for its chip, toolkit, Python and free space."""
        return self._run(lambda session: session.facts()).board

    def state(self) -> BoardState:
        """Ask the board for its releases."""
        return self._run(lambda session: session.ask("state", answers.state))

    def install(self, release: Release, progress: OnBytes | None = None) -> Installed:
        """Preflight, copy what is missing, verify, smoke test, switch; see `infra.ports.board.Board.install`."""
        return self._run(
            lambda session: install.install(
                session, release, progress, self._lock_seconds, downgrade=self._downgrade, devices=self._devices
            )
        )

    def infer(self, release: Path, images: Path, logits: Path) -> float:
        """Run a model on an array of images; see `infra.ports.board.Board.infer`."""
        (found,) = releases_in(folder_files(release)[1], str(release)).values()
        return self._run(lambda session: execution.infer(session, found, images, logits))

    def rollback(self) -> BoardState:
        """Activate the previous release."""

        async def work(session: Session) -> BoardState:
            await install.lock(session, self._lock_seconds)
            return await install.rollback(session, "an operator asked for it", RollbackCause.OPERATOR)

        return self._run(work)

    def classify(self, pictures: Sequence[Path], folder: Path, *, inside: bool = False) -> Sequence[Classification]:
        """Classify pictures with the active release and fetch the annotated copies into `folder`.

        Args:
            pictures: their paths here.
            folder: for the copies, which keep the names of the pictures.
            inside: write the class on the pictures, in their own size, and not below them.

        Raises:
            UserError: there is no picture, or one does not exist.
            Refused: no release is active.
        """
        classify.check_pictures(pictures)
        return self._run(lambda session: classify.classify(session, pictures, folder, self._devices, inside=inside))

    def bench(self, runs: int, batch: int) -> Bench:
        """Time the active release on the devices, all at the same time."""
        return self._run(lambda session: bench.bench(session, runs, batch, self._devices))

    def check(self, release: Release | None = None) -> BoardCheck:
        """Try everything that a deployment needs, in order; a wrong step ends it or would refuse `release`."""
        return asyncio.run(examine(self._session(), release))

    def status(self) -> BoardStatus:
        """Ask for the state, the probation of the active release, and the end of the journal."""
        return self._run(lambda session: session.ask("status", answers.status))

    def observations(self) -> Observations | None:
        """Ask for the counts of watched images; None when the board has not watched yet."""
        return self._run(lambda session: session.ask("observations", answers.observations))

    def pull(self, folder: Path) -> Pulled:
        """Fetch the new files that `watch` wrote on the board, with a report of its latency."""
        return self._run(lambda session: pull.pull(session, folder))

    def collect(self, folder: Path) -> Sequence[Path]:
        """Fetch the pictures of which the model was least sure; the board forgets them."""
        return self._run(lambda session: collect.collect(session, folder))

    def give_keyring(self, text: str) -> None:
        """Store the keyring of this board."""
        self._run(lambda session: session.ask("keyring", answers.nothing, text=text))

    def verify(self, release: str) -> int:
        """Let the board verify every byte of a release that it has; returns the release's counter."""
        seconds = VERIFY_SECONDS
        return self._run(lambda session: session.ask("check", answers.count, timeout=seconds, release=release))

    def prune(self, keep: int) -> Sequence[str]:
        """Remove all but the newest `keep` releases, never the active or the previous one; returns their ids."""

        async def work(session: Session) -> list[str]:
            await install.lock(session, self._lock_seconds)
            return await session.ask("prune", answers.release_ids, keep=keep)

        return self._run(work)

    def host_key(self) -> HostKey:
        """Fetch the host key (for `host_key` in the settings), with the fingerprint for a person to compare."""
        key = asyncio.run(host_key(self._name, self._settings))
        return HostKey(key.export_public_key().decode().strip(), fingerprint(key))

    def _session(self) -> Session:
        return Session(self._name, self._settings, self._faults)

    def _run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do something in one connection."""

        async def connected() -> T:
            async with self._session() as session:
                return await work(session)

        return asyncio.run(connected())
