"""Serve Aim's pages of a repository behind the home's secret: a program of its own, which does what `aim up` does.

Aim's own server answers everybody who reaches the port, and lets pages of any origin read and delete runs.
"""

import os
import subprocess
import sys

from aim.cli.utils import build_db_upgrade_command
from aim.sdk.index_manager import RepoIndexManager
from aim.sdk.repo import Repo
from aim.sdk.run_status_manager import RunStatusManager
from aim.web.configs import AIM_ENV_MODE_KEY, AIM_UI_MOUNTED_REPO_PATH


def main(folder: str, port: str) -> None:
    """Serve the repository in `folder` on 127.0.0.1 until this program is ended; the environment has the token."""
    repository = Repo.from_path(folder, init=True)
    os.environ.update({AIM_ENV_MODE_KEY: "prod", AIM_UI_MOUNTED_REPO_PATH: repository.path})
    subprocess.run(build_db_upgrade_command(), check=True)  # type: ignore[no-untyped-call]
    RepoIndexManager.get_index_manager(repository).start()
    RunStatusManager(repository).start()  # type: ignore[no-untyped-call]
    # Requests are not logged: the first one has the token in its address.
    options = ("--host", "127.0.0.1", "--port", port, "--log-level", "warning", "--no-access-log")
    subprocess.run([sys.executable, "-m", "uvicorn", *options, "infra.tracking.application:app"], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
