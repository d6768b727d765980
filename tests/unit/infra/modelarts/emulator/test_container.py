import json
import time
from pathlib import Path

import pytest

from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.jobs import PLACE, wait

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


def test_the_container_has_the_platforms_layout_and_environment(asking, body, fake_main, store, job):
    script = (
        "import json, os, sys, pathlib\n"
        "seen = sorted(os.listdir()) + os.listdir(os.environ['more'])\n"
        "print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), seen]))\n"
    )
    fake_main.write_text(script)
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    made["algorithm"]["parameters"] = [{"name": "epochs", "value": "3"}]
    made["algorithm"]["inputs"].append(
        {"name": "more", "access_method": "env", "remote": {"obs": {"obs_url": "/bucket/af/data/1/eval/"}}}
    )
    done = wait(asking, asking.submit(made).id, "Completed", "Failed")
    arguments, folder, environment, files = json.loads(asking.preview(done.id, "worker-0").content)
    root = str(asking.platform.book.folder / done.id / "container")
    mount = f"{root}/home/ma-user/modelarts"
    assert arguments == [
        f"--data_url={mount}/inputs/data_url_0",
        f"--train_url={mount}/outputs/train_url_0",
        "--epochs=3",
    ]
    assert environment["more"] == f"{mount}/inputs/more_1"
    assert folder == environment["WORKSPACE"] == f"{mount}/user-job-dir/models"
    assert files == ["main.py", "test_batch.bin"]
    assert not Path(root).exists()  # the disk is free again, and the log still there
    assert environment["MA_JOB_DIR"] == f"{mount}/user-job-dir"
    assert environment["MA_CURRENT_INSTANCE_NAME"] == f"modelarts-job-{done.id}-worker-0"
    assert json.loads(environment["ATLASFLOW_SPEC"]) == {"epochs": 2}
    assert not [name for name in environment if "SECRET" in name or "ACCESS_KEY" in name]
    assert not any(doubles.ACCOUNT.secret_key in value for value in environment.values())


def test_outputs_are_synchronised_while_the_script_runs(asking, body, store, tmp_path):
    identity = asking.submit(body(epochs=1, wait_for=str(tmp_path / "go"))).id
    key = PLACE.results("ab" * 32) + "/epoch-1.ckpt"
    deadline = time.monotonic() + 30
    while store.head(key) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert asking.show(identity).phase == "Running"
    (tmp_path / "go").touch()
    wait(asking, identity, "Completed")
    assert store.head(PLACE.results("ab" * 32) + "/history.json")


def test_arguments_may_be_two_words(tmp_path, store, body, fake_main):
    fake_main.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    made["algorithm"]["parameters"] = [{"name": "lesson", "value": "two words"}]
    options = doubles.QUICK.model_copy(update={"arguments": "separate"})
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        done = wait(client, client.submit(made).id, "Completed", "Failed")
        arguments = json.loads(client.preview(done.id, "worker-0").content)
    assert arguments[::2] == ["--data_url", "--train_url", "--lesson"]
    assert arguments[-1] == "two words"


def test_the_boot_script_takes_arguments_of_two_words(tmp_path, store, job):
    """The whole way, with the program that speaks the protocol."""
    options = doubles.QUICK.model_copy(update={"arguments": "separate"})
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        chosen = settings.model_copy(update={"parameters": {"lesson": "3"}})
        doubles.trainer_for(client, store, chosen, tmp_path).train(job(), print)
    assert (job().folder / "history.json").exists()


def test_missing_input_fails_the_job_with_the_reason(asking, body):
    made = body()
    made["algorithm"]["inputs"][0]["remote"]["obs"]["obs_url"] = "obs://bucket/absent/"
    done = wait(asking, asking.submit(made).id, "Failed")
    assert "nothing at obs://bucket/absent/" in done.message
