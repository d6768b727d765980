"""Debian's PostgreSQL as a process of its own, in a folder of its own, under a user without rights."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def postgres_programs() -> Any:
    """The newest installed PostgreSQL's programs; None where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = [folder for folder in folders if (folder / "initdb").exists()]
    return found[-1] if found else None


def _unprivileged() -> Any:
    """Who runs the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def postgres(port: Any, password: Any, log: Any) -> Iterator[Any]:
    """A server with the user and the database `prefect`, as the image `postgres` makes them."""
    programs, identity = postgres_programs(), _unprivileged()
    # Not below pytest's folders: those are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="atlasflow-postgres-"))
    try:
        given = folder / "password"
        given.write_text(password)
        if identity:
            for path in (folder, given):
                os.chown(path, identity["user"], identity["group"])
        data = folder / "data"
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "PGPASSWORD": password}
        plain = {"env": environment, "cwd": folder, "stdin": subprocess.DEVNULL} | identity
        with log.open("ab") as out:
            said = {"stdout": out, "stderr": subprocess.STDOUT}
            options = ["--username=prefect", "--auth=scram-sha-256", f"--pwfile={given}", "--no-sync"]
            settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
            subprocess.run([programs / "initdb", "--pgdata", data, *options], check=True, **plain, **said)
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(port), *(f"--{setting}" for setting in settings)],
                start_new_session=True,
                **plain,
                **said,
            )
            try:
                where = ["--host=127.0.0.1", f"--port={port}", "--username=prefect"]
                deadline = time.monotonic() + 60
                while subprocess.run([programs / "pg_isready", *where], check=False, **plain, **said).returncode != 0:
                    assert server.poll() is None, log.read_text()[-2000:]
                    assert time.monotonic() < deadline, "PostgreSQL did not answer"
                    time.sleep(0.1)
                subprocess.run([programs / "createdb", *where, "prefect"], check=True, **plain, **said)
                yield server
            finally:
                server.terminate()
                server.wait(timeout=30)
    finally:
        shutil.rmtree(folder)


def password() -> Any:
    """A password that nobody could guess."""
    return secrets.token_urlsafe(16)
