"""Prefect's share of a run, its pages with many runs kept, and the memory of the scheduler while nothing is due.

    python -m tests.bench.prefect [--rounds N] [--runs N] [--json]

Goals: with the server up, at most 5 s of a run are not its stages' own; with 200 runs kept, the page of a report loads
within 2 s. The runs that are kept are copies of a real one, with its log and its report, made through the server's API.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import sync_playwright

from tests.bench.common import ATLASFLOW, median, seconds, show, temporary_home
from tests.pages import CHROMIUM, SWITCHES

# Aim, where it is installed, takes its own time after a training.
QUICK = ["--set", "train.epochs=1", "--set", "evaluate.min_accuracy=0", "--set", "tracking.enabled=false"]
SETTLED_SECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each command and page is measured")
    parser.add_argument("--runs", type=int, default=200, help="runs kept in the server")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with temporary_home() as environment:
        seconds([ATLASFLOW, "up"], environment)
        home = Path(environment["ATLASFLOW_HOME"])
        show("Prefect's share of a run", [*_share(environment, home, options.rounds)], as_json=options.json)
        show("memory while nothing is due", [*_memory(environment, home)], as_json=options.json)
        address = json.loads((home / "services" / "prefect.json").read_text())["address"]
        login = (home / "secrets" / "prefect").read_text()
        _copy_runs(address, login, options.runs)
        show(f"pages with {options.runs} runs kept", [*_pages(address, login, options.rounds)], as_json=options.json)


def _share(environment: Any, home: Any, rounds: Any) -> Iterator[Any]:
    """Wall time of runs without what their stages took, as the runs' own records say."""
    kinds: dict[str, Callable[[int], list[str]]] = {
        "every stage runs": lambda number: ["--set", f"train.seed={number + 100}"],
        "every stage is reused": lambda number: ["--record", "--set", "train.seed=100"],
    }
    for name, differing in kinds.items():
        walls, rest = [], []
        for number in range(rounds):
            wall = seconds([ATLASFLOW, "run", *QUICK, *differing(number)], environment)
            record = json.loads(max((home / "runs").glob("*.json")).read_text())
            walls.append(wall)
            rest.append(wall - sum(stage["seconds"] for stage in record["stages"]))
        yield {"run": name, "median s": median(walls), "not its stages' s": median(rest), "worst s": max(rest)}


def _memory(environment: Any, home: Any) -> Iterator[Any]:
    server = psutil.Process(json.loads((home / "services" / "prefect.json").read_text())["pid"])
    with subprocess.Popen(
        [ATLASFLOW, "serve", "--limit", "1"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as serving:
        try:
            assert serving.stdout is not None
            assert any("You can also trigger" in line for line in serving.stdout)
            time.sleep(SETTLED_SECONDS)
            for name, process in (("Prefect server", server), ("atlasflow serve", psutil.Process(serving.pid))):
                family = [process, *process.children(recursive=True)]
                yield {"process": name, "MB": sum(member.memory_info().rss for member in family) / 1e6}
        finally:
            serving.terminate()


def _client(address: Any, login: Any) -> Any:
    return httpx.Client(
        base_url=f"{address}/api", auth=httpx.BasicAuth(*login.split(":", 1)), timeout=60, trust_env=False
    )


def _copy_runs(address: Any, login: Any, count: Any) -> None:
    """Keep copies of the newest run, until the server has `count` runs."""
    with _client(address, login) as api:

        def post(path: Any, body: Any) -> Any:
            while (answer := api.post(path, json=body)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
                time.sleep(float(answer.headers.get("Retry-After", 1)))  # its database is busy
            answer.raise_for_status()
            return answer.json() if answer.content else None

        (real,) = post("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
        mine = {"flow_runs": {"id": {"any_": [real["id"]]}}}
        artifacts = post("/artifacts/filter", {**mine, "limit": 200})
        lines = post("/logs/filter", {"logs": {"flow_run_id": {"any_": [real["id"]]}}, "limit": 200})
        for number in range(post("/flow_runs/count", {}), count):
            copy = post(
                "/flow_runs/", {"flow_id": real["flow_id"], "name": f"copy {number}", "state": {"type": "PENDING"}}
            )
            for state in ("RUNNING", "COMPLETED"):
                post(f"/flow_runs/{copy['id']}/set_state", {"state": {"type": state}, "force": True})
            for artifact in artifacts:
                kept = {name: artifact[name] for name in ("key", "type", "description", "data")}
                post("/artifacts/", {**kept, "flow_run_id": copy["id"]})
            kept_lines = [{name: line[name] for name in ("name", "level", "message", "timestamp")} for line in lines]
            post("/logs/", [{**line, "flow_run_id": copy["id"]} for line in kept_lines])


def _pages(address: Any, login: Any, rounds: Any) -> Iterator[Any]:
    """Seconds from asking for a page in a fresh browser profile until its last picture is there."""
    with _client(address, login) as api:
        body = {"artifacts": {"key": {"any_": ["report"]}}, "sort": "CREATED_DESC", "limit": 1}
        (report,) = api.post("/artifacts/filter", json=body).json()
    places = {
        "report": (f"/artifacts/artifact/{report['id']}", "img[alt^=agreement]"),
        "run": (f"/runs/flow-run/{report['flow_run_id']}", "text=Finished in state"),
        "dashboard": ("/dashboard", "text=Completed"),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        for name, (path, sign) in places.items():
            times = [_load(browser, f"{address}{path}", login, sign) for _ in range(rounds)]
            yield {"page": name, "median s": median(times), "worst s": max(times)}
        browser.close()


def _load(browser: Any, address: Any, login: Any, sign: Any) -> Any:
    page = browser.new_page()
    page.add_init_script(f"localStorage.setItem('prefect-password', btoa({login!r}))")
    begun = time.perf_counter()
    page.goto(address)
    page.locator(sign).first.wait_for()
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    elapsed = time.perf_counter() - begun
    page.close()
    return elapsed


if __name__ == "__main__":
    main()
