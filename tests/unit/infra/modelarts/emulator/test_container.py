import json
import time
from pathlib import Path

import pytest

from infra.modelarts.client import ModelArts
from infra.modelarts.emulator.container import COMPATIBILITY
from infra.modelarts.phases import Phase
from infra.modelarts.plan import SPEC_VARIABLE
from tests.unit.infra.local_training.doubles import ignore
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeBody, MakeJob, StandIn
from tests.unit.infra.modelarts.jobs import KEY, PATHS, wait

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


def test_the_container_has_the_platforms_layout_and_environment(
    running: StandIn, body: MakeBody, fake_main: Path, store: doubles.FolderStore
) -> None:
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
    done = wait(running.client, running.client.submit(made).id, Phase.COMPLETED, Phase.FAILED)
    preview = running.client.preview(done.id, "worker-0")
    assert preview is not None
    arguments, folder, environment, files = json.loads(preview.content)
    root = str(running.platform.book.folder / done.id / "container")
    mount = f"{root}/home/ma-user/modelarts"
    assert arguments == [
        f"--data_url={mount}/inputs/data_url_0",
        f"--train_url={mount}/outputs/train_url_0",
        "--epochs=3",
    ]
    assert environment["more"] == f"{mount}/inputs/more_1"
    assert folder == environment["WORKSPACE"] == f"{mount}/user-job-dir/models"
    assert files == ["main.py", "test_batch.bin"]
    assert not Path(root).exists()  # the disk space is freed, the log is kept
    assert environment["MA_JOB_DIR"] == f"{mount}/user-job-dir"
    assert environment["MA_CURRENT_INSTANCE_NAME"] == f"modelarts-job-{done.id}-worker-0"
    assert json.loads(environment["ATLASFLOW_SPEC"]) == {"epochs": 2}
    assert not [name for name in environment if "SECRET" in name or "ACCESS_KEY" in name]
    assert not any(doubles.ACCOUNT.secret_key in value for value in environment.values())


@pytest.mark.parametrize("ours", [True, False])
def test_only_users_scripts_get_keys_and_names_of_mindspore_1(
    running: StandIn,
    body: MakeBody,
    fake_main: Path,
    store: doubles.FolderStore,
    monkeypatch: pytest.MonkeyPatch,
    ours: bool,
) -> None:
    monkeypatch.setenv("SECRET_ACCESS_KEY", "of the object store")
    fake_main.write_text("import os\nprint(os.environ.get('SECRET_ACCESS_KEY'), os.environ['PYTHONPATH'])\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    assert SPEC_VARIABLE in made["algorithm"]["environments"]
    if not ours:
        made["algorithm"]["environments"] = {}
    done = wait(running.client, running.client.submit(made).id, Phase.COMPLETED, Phase.FAILED)
    preview = running.client.preview(done.id, "worker-0")
    assert preview is not None
    key, _, path = preview.content.strip().rpartition(" ")
    assert (key == "None") == ours
    assert (str(COMPATIBILITY) in path.split(":")) != ours


def test_outputs_are_synchronised_while_the_script_runs(
    running: StandIn, body: MakeBody, store: doubles.FolderStore, tmp_path: Path
) -> None:
    client = running.client
    identity = client.submit(body(epochs=1, wait_for=str(tmp_path / "go"))).id
    key = PATHS.results(KEY) + "/epoch-1.ckpt"
    deadline = time.monotonic() + 30
    while store.head(key) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.show(identity).phase == Phase.RUNNING
    (tmp_path / "go").touch()
    wait(client, identity, Phase.COMPLETED)
    assert store.head(PATHS.results(KEY) + "/history.json")


def test_arguments_can_be_two_words(
    tmp_path: Path, store: doubles.FolderStore, body: MakeBody, fake_main: Path
) -> None:
    fake_main.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    made["algorithm"]["parameters"] = [{"name": "lesson", "value": "two words"}]
    options = doubles.QUICK.model_copy(update={"arguments": "separate"})
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        done = wait(client, client.submit(made).id, Phase.COMPLETED, Phase.FAILED)
        preview = client.preview(done.id, "worker-0")
    assert preview is not None
    arguments = json.loads(preview.content)
    assert arguments[::2] == ["--data_url", "--train_url", "--lesson"]
    assert arguments[-1] == "two words"


def test_the_boot_script_accepts_arguments_of_two_words(
    tmp_path: Path, store: doubles.FolderStore, job: MakeJob
) -> None:
    options = doubles.QUICK.model_copy(update={"arguments": "separate"})
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        chosen = settings.model_copy(update={"parameters": {"lesson": "3"}})
        doubles.trainer_for(client, store, chosen, tmp_path).train(job(), ignore)
    assert (job().folder / "history.json").exists()


def test_missing_input_fails_the_job_with_the_reason(client: ModelArts, body: MakeBody) -> None:
    made = body()
    made["algorithm"]["inputs"][0]["remote"]["obs"]["obs_url"] = "obs://bucket/absent/"
    done = wait(client, client.submit(made).id, Phase.FAILED)
    assert "there is nothing at obs://bucket/absent/" in done.message
