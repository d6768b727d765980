"""What the end-to-end tests share: the installed command in a home of its own, and everything that it ever said."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PYTHON = Path(sys.executable)
COMMAND = PYTHON.with_name("atlasflow")
BUSY = httpx.codes.SERVICE_UNAVAILABLE
# Given on purpose; nothing may ever write them down.
SECRETS = {
    "ATLASFLOW_OBS__SECRET_KEY": "obs-secret-that-nobody-may-see",
    "ATLASFLOW_OBS__SECURITY_TOKEN": "obs-token-that-nobody-may-see",
    "ATLASFLOW_BOARDS__LAPTOP__PASSWORD": "board-password-that-nobody-may-see",
}
PURE = ("download", "train", "evaluate", "export", "convert")
STAGES = ("download", "upload", "train", "evaluate", "export", "convert", "publish", "deploy")
# Starts no service and imports nothing heavy: said by the interpreter itself, after the command is done.
WATCHED_RUN = """
import json, sys
seen = []
watched = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "socket.connect")
sys.addaudithook(lambda event, _: seen.append(event) if event in watched else None)
sys.argv = ["atlasflow", *sys.argv[1:]]
from flows.cli.main import main
try:
    main()
finally:  # the command ends by leaving the interpreter
    print(json.dumps({"seen": seen, "modules": sorted(sys.modules)}))
"""


@dataclass
class Installation:
    """One AtlasFlow home and how to talk to it.

    Attributes:
        folder: ATLASFLOW_HOME.
        user: HOME of the commands, where nothing is to be left behind.
        elsewhere: the empty folder that the commands run in.
        settings: environment of every command.
        said: everything that the commands ever printed.
        serving: process id of `atlasflow serve`, where a test starts it.
    """

    folder: Path
    user: Path
    elsewhere: Path
    settings: dict[str, str]
    said: list[str] = field(default_factory=list)
    serving: int | None = None

    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ATLASFLOW_", "PREFECT_"))}
        places = {"ATLASFLOW_HOME": str(self.folder), "HOME": str(self.user), "COLUMNS": "200"}
        return {**own, **places, **SECRETS, **self.settings}

    def start(self, command: Any, folder: Any = None, **environment: Any) -> Any:
        """Run any program in the installation's environment."""
        finished = subprocess.run(
            [str(part) for part in command],
            cwd=folder or self.elsewhere,
            env=self.environment() | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=540,
        )
        self.said += [finished.stdout, finished.stderr]
        return finished

    def atlasflow(self, *arguments: Any, code: int = 0, **environment: Any) -> Any:
        """Run the installed command; it must end with the exit code `code`. Returns what it printed."""
        finished = self.start([COMMAND, *arguments], **environment)
        assert finished.returncode == code, f"exit code {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
        assert "Traceback" not in finished.stderr
        return finished.stderr if code else finished.stdout

    def json(self, *arguments: Any, code: int = 0, **environment: Any) -> Any:
        finished = self.start([COMMAND, *arguments, "--json"], **environment)
        assert finished.returncode == code, f"exit code {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
        return json.loads(finished.stdout)

    def watched_run(self, *arguments: Any) -> Any:
        """`atlasflow run` in an interpreter that tells what it started and imported, and what was printed."""
        finished = self.start([PYTHON, "-c", WATCHED_RUN, "run", *arguments])
        assert finished.returncode == 0, finished.stderr
        *lines, last = finished.stdout.splitlines()
        told = json.loads(last)
        return told["seen"], set(told["modules"]), "\n".join(lines)

    def status(self, *arguments: Any) -> Any:
        """The rows of `status --json` by stage."""
        return {row["stage"]: row for row in self.json("status", *arguments)}

    def states(self, *arguments: Any) -> Any:
        return {stage: row["state"] for stage, row in self.status(*arguments).items()}

    def settle(self) -> None:
        """Whatever an earlier test left behind, everything is fresh and known to be so now."""
        if set(self.states().values()) != {"fresh"}:
            self.atlasflow("run")

    def last_run(self) -> Any:
        """The record of the last run; and what became of each stage in it."""
        record = json.loads(max((self.folder / "runs").glob("*.json")).read_text())
        return record, {item["stage"]: item["outcome"] for item in record["stages"]}

    def champion(self) -> Any:
        """The release of the champion; None when there is none yet."""
        told = self.json("champion", "show")["champion"]
        return told and told["release"]

    def run_count(self) -> Any:
        return len(list((self.folder / "runs").glob("*.json")))

    def services(self) -> Any:
        """State of each service that was ever started here, by name."""
        files = (self.folder / "services").glob("*.json")
        return {path.stem: json.loads(path.read_text()) for path in files if path.name != "ports.json"}

    def login(self) -> Any:
        """What the login page of the home's Prefect server takes."""
        return (self.folder / "secrets" / "prefect").read_text()

    def prefect_client(self) -> Any:
        """What a client of the home's Prefect server needs in its environment."""
        api = f"{self.services()['prefect']['address']}/api"
        return {"PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": self.login()}

    def output(self, stage: Any, name: Any, *arguments: Any) -> Any:
        """Where the store keeps an output that is a single file."""
        row = next(item for item in self.status(*arguments)[stage]["outputs"] if item["name"] == name)
        return self.folder / "objects" / row["sha256"][:2] / row["sha256"][2:]

    def tree(self, stage: Any, name: Any) -> Any:
        """Where the store keeps the files of an output that is a folder, by their path inside it."""
        row = next(item for item in self.status()[stage]["outputs"] if item["name"] == name)
        listing = json.loads((self.folder / "trees" / row["sha256"][:2] / f"{row['sha256'][2:]}.json").read_text())
        return {
            path: self.folder / "objects" / entry["sha256"][:2] / entry["sha256"][2:] for path, entry in listing.items()
        }

    def prefect(self, what: Any, **wanted: Any) -> Any:
        """Ask the Prefect server's REST API for `what`, such as `task_runs`."""
        return self.post(f"{what}/filter", {"limit": 200, **wanted})

    def post(self, path: Any, body: Any) -> Any:
        """What the Prefect server's REST API answers; asks again while its database is busy, as it then demands."""
        address = f"{self.services()['prefect']['address']}/api/{path}"
        login = httpx.BasicAuth(*self.login().split(":", 1))
        while (answer := httpx.post(address, json=body, auth=login, timeout=60, trust_env=False)).status_code == BUSY:
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None
