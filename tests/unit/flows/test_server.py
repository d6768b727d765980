"""Prefect in a process of ours takes its settings from us, whatever lies in the current folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.home import CHECKOUT

pytestmark = pytest.mark.program

CODE = """
import sys
from pathlib import Path
from types import SimpleNamespace
from flows.server import use_server
from infra.services import Services
from infra.settings import Settings

home = Path(sys.argv[1])
use_server(SimpleNamespace(home=home, settings=Settings(), world=SimpleNamespace(services=Services(home))))
from prefect.settings import get_current_settings
found = get_current_settings()
print(found.api.url, found.home, found.logging.level, found.server.database.connection_url.get_secret_value())
"""


@pytest.mark.parametrize(
    "files",
    [
        {
            ".env": b"PREFECT_LOGGING_LEVEL=DEBUG\nPREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://a/b\n",
            "pyproject.toml": b"[tool.prefect.logging]\nlevel = 'DEBUG'\n",
            "prefect.toml": b"[logging]\nlevel = 'DEBUG'\n",
        },
        {".env": "NAME=\u5b9e\u9a8c".encode("gbk"), "prefect.toml": b"no TOML"},
        {".env": b"PREFECT_PROFILES_PATH=/nowhere/profiles.toml"},
    ],
)
def test_files_of_the_current_folder_do_not_count(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, home],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    url, place, level, database = done.stdout.split()
    assert url.startswith("http://127.0.0.1:")
    assert (place, level) == (str(home / "prefect"), "INFO")
    assert database == f"sqlite+aiosqlite:///{home}/prefect/prefect.db"
