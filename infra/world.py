"""The ports, opened when they are first needed: real clients where the settings name them, else the stand-ins.

Clients are imported when they are opened, so that looking at a chain costs none of them.
"""

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.faults import NO_FAULTS, FaultPlan
from infra.ports.compilation import Compiler
from infra.ports.storage import ObjectStore
from infra.ports.training import Trainer
from infra.services import Service, Services
from infra.settings import BoardSettings, ModelArtsSettings, Settings, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.atc.lint.findings import Finding
    from infra.fleet import Fleet
    from infra.leases import Leases
    from infra.modelarts.client import ModelArts
    from infra.modelarts.scripts.runs import ScriptRuns
    from infra.obs.bucket import Access
    from infra.obs.client import ObsClient
    from infra.ports.board import Simulator
    from infra.ports.external import ExternalFiles
    from infra.ports.models import ModelPrograms
    from infra.ports.upkeep import ManagedBoard
    from infra.store.mirror import Mirror
    from infra.store.receipts import Receipts
    from infra.training_runs import TrainingRuns
    from infra.trust.sign import ReleaseSigner

log = logging.getLogger(__name__)


class World:
    """Everything outside this process, for one invocation."""

    def __init__(self, settings: Settings, home: Path, faults: FaultPlan = NO_FAULTS) -> None:
        self.settings = settings
        self.home = home
        self.faults = faults
        self.services = Services(home)
        self.deep = False  # a proof reads every byte in the bucket

    def external_files(self) -> "ExternalFiles":
        """Files that users name by address."""
        from infra.external_files import AddressedFiles

        return AddressedFiles(self._open_store, self.home, self.faults, self.settings.obs.threads)

    def training(self) -> "TrainingRuns":
        """Trainings of this chain, by the trainer of the settings."""
        from infra.training_runs import TrainingRuns

        return TrainingRuns(self.trainer(), self.settings.obs)

    def models(self) -> "ModelPrograms":
        """The programs of `models/main.py` on this machine."""
        from infra.local_training.model_programs import LocalModelPrograms

        return LocalModelPrograms(self.settings.train.network_file())

    def trainer(self) -> Trainer:
        """Where training runs: this machine, or ModelArts."""
        if self.settings.train.target == "modelarts":
            from infra.modelarts.factory import open_script_trainer, open_trainer

            settings = self.settings
            if settings.modelarts.boot_file:
                return open_script_trainer(
                    settings.modelarts, lambda: self.scripts(settings.modelarts), self.object_store, self.bucket
                )
            return open_trainer(
                settings.modelarts, settings.obs, self.services, self.home, self.object_store, self.faults, self._tell
            )
        from infra.local_training.trainer import LocalTrainer

        return LocalTrainer(network=self.settings.train.network_file())

    def scripts(self, modelarts: ModelArtsSettings) -> "ScriptRuns":
        """Users' scripts as jobs of ModelArts, with these settings of the jobs."""
        from infra.modelarts.factory import open_scripts

        settings = self.settings
        return open_scripts(
            modelarts, settings.obs, self.services, self.home, self.object_store, self.faults, self._tell
        )

    def _tell(self, subject: str, text: str) -> None:
        """Notify people of a job that makes no progress."""
        from infra.notify.direct import tell
        from infra.notify.message import Message

        message = Message("stall", subject, text, address="")
        tell(message, self.settings.notify, self.settings.retry, self.home, log.info)

    def modelarts(self) -> "ModelArts":
        """The client of ModelArts; its stand-in is started when no end point is named."""
        from infra.modelarts.factory import open_client

        return open_client(self.settings.modelarts, self.settings.obs, self.services, self.home)

    def compiler(self) -> Compiler:
        """ATC where it is found, or its stand-in, as convert.compiler says."""
        from infra.atc.factory import open_compiler
        from infra.atc.toolkit import find_toolkits

        atc = self.settings.atc
        return open_compiler(
            self.settings.convert.compiler,
            cann=atc.stand_in_cann,
            faults=self.faults,
            find=lambda: find_toolkits(atc.toolkits),
        )

    def lint(self, model: Path, socs: "Sequence[str]") -> "Mapping[str, Sequence[Finding]]":
        """What the compiler will refuse of an ONNX file, by chip."""
        from infra.atc.lint.check import examine

        return examine(model, socs, self.settings)

    def simulator(self) -> "Simulator":
        """Compiled models on this machine, by the agent and the stand-in pyACL."""
        from infra.board.local_execution import LocalSimulator

        return LocalSimulator()

    def object_store(self) -> "ObsClient":
        """The bucket of the settings; the embedded stand-in is started when no end point is named."""
        return self._object_store

    @cached_property
    def _object_store(self) -> "ObsClient":
        store = self._open_store(self.settings.obs.bucket)
        if self.deep:
            store.read_every_byte()
        return store

    def prove_storage_access(self) -> "Access":
        """Write, read back and delete a probe object in the bucket of the settings, which must be a real one's."""
        from infra.obs.client import connect

        return connect(self.settings.obs, faults=self.faults, retry=self.settings.retry).prove_access()

    def mirror(self) -> "Mirror | None":
        """The copy of the artifact store that the settings name."""
        if not self.settings.store.mirror:
            return None
        from infra.obs.address import ObjectAddress
        from infra.store.mirror import Mirror

        bucket, prefix = ObjectAddress.parse_folder(self.settings.store.mirror).parts

        def opened() -> ObjectStore:
            store = self._open_store(bucket)
            store.ensure_bucket()
            return store

        return Mirror(opened, prefix, self.settings.store.mirror_secret.get_secret_value())

    def leases(self) -> "Leases | None":
        """Locks across machines: where a mirror shares what is made, kept by the server that all machines use."""
        if not self.settings.store.mirror:
            return None
        from infra.leases import Leases
        from infra.prefect_server import server

        api = server.outside(self.services, self.settings.prefect)
        return None if api is None else Leases(api, server.credentials())

    def bucket(self, name: str) -> "ObsClient":
        """Any bucket that the keys of the settings can use."""
        return self._open_store(name)

    def _open_store(self, bucket: str) -> "ObsClient":
        from infra.obs.factory import open_bucket

        settings = self.settings.obs.model_copy(update={"bucket": bucket})
        return open_bucket(settings, self.services, self.home, self.settings.retry, self.faults)

    def board(self, name: str) -> "ManagedBoard":
        """A board of the settings; its stand-in is started when it has no address.

        Raises:
            UserError: there is no such board.
        """
        from infra.board.client import SshBoard

        deploy, settings = self.settings.deploy, self.board_settings(name)
        return SshBoard(name, settings, self.faults, downgrade=deploy.allow_downgrade, devices=deploy.devices)

    def board_settings(self, name: str) -> BoardSettings:
        """How a board is reached; its stand-in is started when it has no address.

        Raises:
            UserError: there is no such board.
        """
        if name not in self.settings.boards:
            close = nearest(name, self.settings.boards)
            hint = "`atlasflow boards list` shows them, `atlasflow boards add` adds one"
            raise UserError(f"there is no board '{name}'{close}", hint=hint)
        settings = self.settings.boards[name]
        if settings.address:
            return settings
        from infra.board.emulator import service as stand_in

        self.services.start(self._board_service(name))
        settings = stand_in.board_settings(self.services, self.home, name, settings)
        stand_in.give_keyring(self.home, name, settings, self.board_keyring(name, stand_in=True))
        return settings

    def receipts(self) -> "Receipts":
        """The receipts of this home."""
        from infra.store.receipts import Receipts

        return Receipts(self.home)

    def signer(self) -> "ReleaseSigner":
        """Signs releases with the key of the settings."""
        from infra.trust.sign import ReleaseSigner

        return ReleaseSigner(self.home, self.settings.release)

    def board_keyring(self, name: str, *, stand_in: bool = False) -> str:
        """The keyring file of a board of the settings; it has the development key of this home, made when missing."""
        from infra.trust.keyring import read_keyring

        if not read_keyring(self.home).keys:
            self.signer().key(emulated=True)
        soc = self.settings.boards[name].soc
        return read_keyring(self.home).for_board(self.settings.release.fleet, soc, stand_in=stand_in)

    def fleet(self) -> "Fleet":
        """What this home knows of its boards: which release each shall run."""
        from infra.fleet import Fleet

        return Fleet(self.home)

    def local_services(self) -> list[Service]:
        """The stand-ins that these settings need as services of this machine."""
        from infra.obs.emulator import seaweedfs

        services = seaweedfs.stand_ins(self.settings.obs, self.services, self.home)
        if self.settings.train.target == "modelarts":
            from infra.modelarts.factory import stand_ins

            needed = stand_ins(self.settings.modelarts, self.settings.obs, self.services, self.home)
            services += [service for service in needed if service.name not in {item.name for item in services}]
        for name in self.settings.deploy.boards:
            if name in self.settings.boards and not self.settings.boards[name].address:
                services.append(self._board_service(name))
        return services

    def _board_service(self, name: str) -> Service:
        from infra.board.emulator import service as stand_in

        board = self.settings.boards[name]
        password = board.password.get_secret_value()
        return stand_in.service(
            self.services, self.home, name, soc_version=board.soc, like=board.like, password=password
        )
