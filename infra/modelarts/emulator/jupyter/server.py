"""Start and stop the JupyterLab of a notebook instance: a process of its own, which ends with the stand-in."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from infra.modelarts.emulator.access import passed_on
from infra.modelarts.emulator.container import COMPATIBILITY, MOXING
from infra.modelarts.emulator.jupyter.sync import RECORD, STORAGE
from infra.modelarts.emulator.process import end_group
from infra.processes import answers, free_port
from infra.store.atomic import write_text

_EXTENSION = "infra.modelarts.emulator.jupyter.extension"
_LAB_EXTENSIONS = Path(__file__).resolve().parent / "labextension"
_NEWS = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
_TAIL_LINES = 3


def installed() -> bool:
    """True when JupyterLab is installed; does not import it."""
    return find_spec("jupyterlab") is not None


@dataclass
class Jupyter:
    """The JupyterLab of one instance.

    Attributes:
        folder: of the instance: `home/work` has its files, `jupyter.log` its log.
        storage: address of its storage in OBS; empty for a disk.
    """

    folder: Path
    storage: str
    port: int = field(default_factory=lambda: free_port(()))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def work(self) -> Path:
        """The folder that Jupyter shows."""
        return self.folder / "home" / "work"

    @property
    def url(self) -> str:
        """The address for a browser, with the token."""
        return f"http://127.0.0.1:{self.port}/lab?token={self.token}"

    @property
    def failure(self) -> str:
        """Why it ended by itself; empty while it runs."""
        if self._process is None or self._process.poll() is None:
            return ""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"Jupyter ended with code {self._process.returncode}: {' '.join(lines[-_TAIL_LINES:])}"

    @property
    def _log(self) -> Path:
        return self.folder / "jupyter.log"

    def ready(self) -> bool:
        """True when it answers."""
        return self._process is not None and self._process.poll() is None and answers(self.port)

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        self.work.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "config"
        write_text(configuration / "jupyter_server_config.json", json.dumps(self._configuration(), indent=1))
        write_text(configuration / _NEWS, json.dumps({"fetchNews": "false"}))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "jupyterlab"],
                cwd=self.work,
                env=self._environment(configuration),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop it with its kernels and terminals; its files stay."""
        if self._process is not None:
            end_group(self._process)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    def _configuration(self) -> Mapping[str, object]:
        return {
            "ServerApp": {
                "ip": "127.0.0.1",
                "port": self.port,
                "port_retries": 0,
                "open_browser": False,
                "allow_root": True,  # as in the platform's containers, nobody else can log in here
                "root_dir": str(self.work),
                "jpserver_extensions": {_EXTENSION: True, "jupyter_server_terminals": True, "jupyter_lsp": True},
            },
            "LabApp": {
                "extra_labextensions_path": [str(_LAB_EXTENSIONS)],
                "extension_manager": "readonly",
                "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            },
        }

    def _environment(self, configuration: Path) -> dict[str, str]:
        """Return the variables of the instance; of this machine's only the search path, as it is isolated."""
        home = self.folder / "home"
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "SHELL": "/bin/bash",
            "JUPYTER_CONFIG_DIR": str(configuration),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_TOKEN": self.token,
            "PYTHONPATH": os.pathsep.join([str(MOXING), str(COMPATIBILITY)]),
            "ONEDNN_MAX_CPU_ISA": os.environ.get("ONEDNN_MAX_CPU_ISA", "AVX2"),  # mindspore.md §6.2
            **passed_on(os.environ),  # for MoXing, as `service` gave them to the stand-in
            STORAGE: self.storage,
            RECORD: str(self.folder / "synchronised.json"),
        }
