"""Deployments of several clients to one board: the agent's releases, links, floor and lock; power cuts in between."""

from pathlib import Path

from infra.board.release_folder import releases_in
from infra.ports.release import Release
from tests.simulation.boards import CHIP, Board, files_of, replaced, write_release
from tests.simulation.kernel import Machine, Violation
from tests.simulation.network import Network
from tests.simulation.scenario import Scenario


class Deploy(Scenario):
    """Two clients, one board, releases that rise; somebody offers old ones, too."""

    horizon = 900

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.network = Network(self.kernel)
        self.board = Board(self.kernel, self.network, "board")
        self.patches = replaced(self.kernel, {"board": self.board})
        self.client = self.kernel.machine("client")
        self.releases: dict[int, Release] = {}
        for number in range(1, 5):
            target = self.client.folder / f"release-{number}"
            write_release(number, target)
            self.releases[number] = releases_in(files_of(target), str(target))[CHIP]
        self.client.disk.settle()
        self.board.bad = {"release-3"} if self.dice.random() < 0.2 else set()

    def begin(self) -> None:
        self.persist(self.client, "deploys", lambda: self._deploy_all(self.releases))
        if self.dice.random() < 0.5:
            self.persist(self.client, "deploys too", lambda: self._deploy_all(self.releases), self.dice.uniform(0, 60))
        if self.dice.random() < 0.5:
            self.persist(self.client, "offers an old one", self._offer_old, self.dice.uniform(30, 300))
        if self.dice.random() < 0.3:
            self.persist(self.client, "goes back", self._go_back, self.dice.uniform(30, 300))
        if self.dice.random() < 0.3:
            self.persist(self.client, "prunes", lambda: self.board.prune(2), self.dice.uniform(30, 300))
        for _ in range(4):
            after = self.dice.uniform(0, 250)
            self.kernel.spawn(self.board.machine, "starts", self.board.probe, self.tolerated, after)
        self.board.machine.on_boot = lambda: self.check_machine(self.board.machine)

    def _deploy_all(self, releases: dict[int, Release]) -> None:
        for number, release in releases.items():
            if number > self.board.highest and release.id not in self.board.bad:
                self.board.install(release)

    def _offer_old(self) -> None:
        """A replay of what was signed long ago must be refused once newer ones were in service."""
        if self.board.highest >= 3:
            self.expect_refusal(lambda: self.board.install(self.releases[1]))

    def _go_back(self) -> None:
        """The release to fall back to may be deployed again; another old one may not."""
        known = self.board.state()
        if known.active is not None and known.previous is not None:
            self.board.install(self.releases[int(known.previous.rpartition("-")[2])])

    def check_machine(self, machine: Machine) -> None:
        if machine is self.board.machine:
            self.board.check()

    def check(self) -> None:
        self.board.check()
        if self.board.highest != max(self.releases):
            raise Violation("the newest release was never installed")
