"""What all the runs left behind: no secret anywhere, and nothing outside the home. The last module by name."""

from typing import Any

import psutil
import pytest

from tests.e2e.installation import SECRETS

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]


def keys_of(folder: Any) -> Any:
    """The stand-ins' secrets: the object store's key and the lines of the private SSH keys."""
    private = [folder / "secrets" / "board-laptop", folder / "boards" / "laptop" / "host_key"]
    files = {*private, folder / "secrets" / "objectstore"}
    lines = [line for path in private for line in path.read_text().splitlines() if not line.startswith("-----")]
    # The first line of an OpenSSH key is its public preamble.
    distinct = [line for line in lines if not line.startswith("b3BlbnNzaC1rZXktdjEA")]
    return files, [(folder / "secrets" / "objectstore").read_text(), *distinct]


def test_no_secret_is_in_any_output_file_or_argument_list(made: Any) -> None:
    made.atlasflow("up")
    own_files, keys = keys_of(made.folder)
    secrets = [*keys, *SECRETS.values()]
    assert all(len(secret) >= 8 for secret in secrets)
    said = "\n".join(made.said)
    commands = "\n".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    for number, secret in enumerate(secrets):
        assert secret not in said, f"secret {number} was printed"
        assert secret not in commands, f"secret {number} is in an argument list"
    seen = 0
    for path in made.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path not in own_files:
            content, seen = path.read_bytes(), seen + 1
            assert not any(secret.encode() in content for secret in secrets), f"{path} holds a secret"
    assert seen > 100
    for path in own_files:
        assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"


def test_no_secret_is_in_prefect(made: Any) -> None:
    """The database is searched as a file above; this asks as a person with the UI would."""
    made.atlasflow("up")
    for what in ("flow_runs", "task_runs", "logs", "artifacts"):
        text = str(made.prefect(what))
        assert len(text) > 100
        assert not any(secret in text for secret in SECRETS.values())


def test_runs_leave_no_scratch_behind(made: Any) -> None:
    assert list((made.folder / "work").iterdir()) == []
