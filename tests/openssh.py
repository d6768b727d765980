"""A real OpenSSH server for tests and measurements: nobody's service, on a port of its own of 127.0.0.1."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from infra.processes import answers

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "/usr/sbin/sshd"


def missing() -> str:
    """Why there can be no such server here; empty when there can be one."""
    if not Path(SSHD).exists():
        return "the Debian package openssh-server is not installed"
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        return "OpenSSH's folder /run/sshd is missing; run `python -m tests.prepare` as root"
    return ""


class OpenSsh:
    """`with OpenSsh(folder) as port`: serves a stand-in board's folder, its home, programs and keys.

    Args:
        folder: of the stand-in board (`infra/board/emulator/service.py`).
        first: lines of its configuration that win over those below.
        sftp: the program of the subsystem; empty: the server has none.
    """

    def __init__(self, folder: Path, first: str = "", sftp: str = "internal-sftp") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.configuration = folder / "sshd_config"
        self.configuration.write_text(
            f"""
            {first}
            Port {self.port}
            ListenAddress 127.0.0.1
            HostKey {folder}/host_key
            AuthorizedKeysFile {folder}/authorized_keys
            StrictModes no
            PidFile none
            UsePAM no
            PasswordAuthentication no
            PermitRootLogin prohibit-password
            MaxStartups 1000
            MaxSessions 1000
            {f"Subsystem sftp {sftp}" if sftp else ""}
            SetEnv HOME={folder}/home PATH={folder}/bin:/usr/bin:/bin
            """
        )
        self.log = folder / "sshd.log"

    def __enter__(self) -> int:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(self.configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"sshd does not answer: {self.log.read_text()}")
            time.sleep(0.05)
        return self.port

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
