"""`atlasflow serve`: a stage triggered from the server reuses the chain's receipts; a wrong form is refused."""

import os
import signal
import subprocess
import time

import pytest

from tests.e2e.installation import COMMAND, PYTHON
from tests.e2e.ui import OWN_FAULTS, open_page, picture

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]


@pytest.fixture(scope="module")
def serving(untouched, first_run):
    """The home with everything made and `atlasflow serve` running; ends it as Ctrl-C does."""
    made = untouched
    made.settle()
    made.atlasflow("up")
    # Whoever runs the tests in the background has them ignore Ctrl-C, and the command would inherit that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [COMMAND, "serve", "--limit", "1"],
        cwd=made.elsewhere,
        env=made.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    heard = []
    try:
        for line in process.stdout:
            heard.append(line)
            if "maintenance/maintenance" in line:
                break
        assert any("download/download" in line for line in heard), heard
        yield made
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        made.said += [*heard, rest]


def prefect(home, *words):
    address = home.services()["prefect"]["address"]
    return home.start(
        [PYTHON, "-m", "prefect", *words],
        PREFECT_API_URL=f"{address}/api",
        PREFECT_HOME=str(home.folder / "prefect"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PATH=f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
    )


def test_the_form_of_a_stage_starts_a_run_that_reuses_the_chain_s_receipts(serving, page, watch, pytestconfig):
    watch.expected += OWN_FAULTS
    (deployment,) = serving.prefect("deployments", deployments={"name": {"any_": ["evaluate"]}})
    runs = serving.run_count()
    address = serving.services()["prefect"]["address"]
    open_page(page, f"{address}/deployments/deployment/{deployment['id']}/run", "How to run one stage.")
    picture(pytestconfig, page, "form")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(lambda url: "/run" not in url.rpartition(deployment["id"])[2])
    deadline = time.monotonic() + 120
    while serving.run_count() == runs or not serving.last_run()[0]["stages"]:
        assert time.monotonic() < deadline, "the form started no run"
        time.sleep(0.2)
    record, outcomes = serving.last_run()
    assert outcomes == {"evaluate": "reused"}
    assert record["stages"][0]["key"] == serving.status()["evaluate"]["key"]


def test_a_stage_that_is_triggered_alone_reuses_the_chain_s_receipts(serving):
    done = prefect(serving, "deployment", "run", "evaluate/evaluate", "--watch")
    assert done.returncode == 0, done.stdout + done.stderr
    record, outcomes = serving.last_run()
    assert outcomes == {"evaluate": "reused"}
    (run,) = serving.prefect("flow_runs", flow_runs={"id": {"any_": [record["flow_run"]]}})
    assert run["name"].startswith("evaluate lenet5-sample small.tar.gz #")
    wrong = prefect(serving, "deployment", "run", "evaluate/evaluate", "--params", '{"request": {"profile": "locl"}}')
    assert wrong.returncode != 0
    assert "locl" in wrong.stdout + wrong.stderr
