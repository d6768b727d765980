import json
import shutil
import subprocess
import sys

import pytest

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.settings import load
from infra.xihe import config as xihe
from infra.xihe.project import write_project

# In the manner of the published ones: comments, trailing commas, a key that is spelled with an r too few.
PUBLISHED = """{
    "SDK": "ModelArts",  // the only one
    "code_dir": "train/train_dir/",
    "boot_file": "train.py", # relative to code_dir
    "outputs": [{"output_dir": "train/output/", "name": "output_path"},],
    "hypeparameters": [{"name": "epochs", "value": "5"}, {"name": "lr", "value": 0.01},],
    "frameworks": {
        "framework_type": "MPI",
        "framework_version": "mindspore_1.3.0-cuda_10.1-py_3.7-ubuntu_1804-x86_64"
    },
    "train_instance_type": "modelarts.p3.large.public",
    /* where the log
       goes */
    "log_url": "train/log/",
    "env_variables": {"A": "http://x//y, ]"},
    "job_description": "a \\"first\\" try",
    "job_name": "resnet50",
    "inputs": [
        {"input_url": "datasets/me/cifar10/", "name": "data_url"},
        {"input_url": "models/me/ResNet50/x.ckpt", "name": "pretrain_url"},
    ],
}"""


@pytest.fixture
def published():
    return json.loads(xihe.read(PUBLISHED).text())


def changed(published, **changes):
    return json.dumps({name: value for name, value in {**published, **changes}.items() if value is not None})


def test_comments_and_trailing_commas_are_passed_over_outside_texts():
    config = xihe.read(PUBLISHED)
    assert config.env_variables == {"A": "http://x//y, ]"}
    assert [item.name for item in config.hypeparameters] == ["epochs", "lr"]
    assert config.job_description == 'a "first" try'


def test_the_settings_train_the_same_way(tmp_path):
    imported = xihe.to_settings(xihe.read(PUBLISHED), "resnet50-tutorial")
    path = tmp_path / "x.toml"
    path.write_text(imported.profile())
    settings = load(str(path))
    assert (settings.train.target, settings.train.recipe) == ("modelarts", "resnet50-tutorial")
    assert settings.train.overrides() == {"epochs": "5", "learning_rate": 0.01}
    assert settings.modelarts.flavor == "modelarts.p3.large.public"
    assert settings.modelarts.engine.startswith("mindspore_1.3.0")
    assert settings.modelarts.logs == "train/log"
    assert settings.modelarts.environment == {"A": "http://x//y, ]"}
    assert any("datasets/me/cifar10/" in note and "data.source" in note for note in imported.notes)
    assert imported.profile().startswith("# train.py of the repository is not run")


def test_a_round_trip_loses_nothing(tmp_path):
    config = xihe.read(PUBLISHED)
    for _ in range(2):
        path = tmp_path / "x.toml"
        path.write_text(xihe.to_settings(config, "resnet50-tutorial").profile())
        before, config = config, xihe.from_settings(load(str(path)))
    assert config == before
    assert [(item.name, item.value) for item in config.hypeparameters] == [
        ("recipe", "resnet50-tutorial"),
        ("epochs", "5"),
        ("learning_rate", 0.01),
    ]
    first = xihe.read(PUBLISHED)
    assert config.model_copy(update={"hypeparameters": first.hypeparameters}) == first


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job_nam": "x"}, ["unknown field 'job_nam'"]),
        ({"job_name": None}, ["field 'job_name'"]),
        ({"SDK": "Other"}, ["field 'SDK'"]),
        ({"hyperparameters": []}, ["'hyperparameters' and 'hypeparameters' contradict"]),
        ({"boot_file": "../x.py"}, ["boot_file '../x.py'"]),
        ({"log_url": "/"}, ["log_url '/'"]),
        ({"outputs": [{"output_dir": "../../x", "name": "b"}]}, ["output_dir '../../x'"]),
        ({"train_instance_type": ""}, ["field 'train_instance_type'"]),
        ({"code_dir": "/train/"}, ["code_dir '/train/'"]),
        ({"inputs": [{"input_url": "a", "name": "more_url"}]}, ["'more_url' is unknown"]),
        (
            {"hypeparameters": [{"name": "lr", "value": 1}, {"name": "base_lr", "value": 2}]},
            ["'lr' and 'base_lr' mean the same"],
        ),
        (
            {"hypeparameters": [{"name": "data_url", "value": "x"}], "outputs": [{"output_dir": "a", "name": "b"}] * 2},
            ["'data_url' is given twice", "several outputs"],
        ),
        ({"log_url": 3, "frameworks": {"framework_type": "MPI", "extra": 1}}, ["log_url", "frameworks.extra"]),
    ],
)
def test_every_wrong_field_is_named(published, changes, words):
    with pytest.raises(UserError) as caught:
        xihe.read(changed(published, **changes))
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"job_name": "a", "job_name": "b"}'])
def test_what_is_no_config(text):
    with pytest.raises(UserError):
        xihe.read(text)


def test_the_right_spelling_is_taken_too(published):
    parameters = published.pop("hypeparameters")
    assert xihe.read(json.dumps({**published, "hyperparameters": parameters})) == xihe.read(PUBLISHED)


def test_numbers_among_the_variables_are_texts(published):
    assert xihe.read(changed(published, env_variables={"A": 1})).env_variables == {"A": "1"}


def test_the_place_of_the_metrics_is_kept_and_is_no_field_of_the_recipe(published, tmp_path):
    parameters = [{"name": "epochs", "value": 5}, {"name": "aim_repo", "value": "/cache/aim"}]
    config = xihe.read(changed(published, hypeparameters=parameters))
    path = tmp_path / "x.toml"
    path.write_text(xihe.to_settings(config, "resnet50-tutorial").profile())
    settings = load(str(path))
    assert settings.train.overrides() == {"epochs": 5}
    assert xihe.Parameter(name="aim_repo", value="/cache/aim") in xihe.from_settings(settings).hypeparameters


def test_settings_that_leave_the_project_are_refused(settings, tmp_path):
    outside = settings.model_copy(update={"xihe": settings.xihe.model_copy(update={"code_dir": "../out/"})})
    with pytest.raises(UserError, match=r"code_dir '\.\./out/' leaves the repository"):
        write_project(outside, {}, CHECKOUT / "models", tmp_path / "project")
    assert list(tmp_path.iterdir()) == []


def test_a_boot_file_in_a_folder_has_beside_it_what_it_imports(settings, tmp_path):
    nested = settings.model_copy(update={"xihe": settings.xihe.model_copy(update={"boot_file": "src/train.py"})})
    write_project(nested, {}, CHECKOUT / "models", tmp_path / "project")
    aim = xihe.read((tmp_path / "project" / "train" / "config_aim.json").read_text())
    boot = tmp_path / "project" / aim.code_dir / aim.boot_file
    assert "from train import" in boot.read_text()
    assert (boot.parent / "train.py").is_file()
    assert (boot.parent / "models" / "main.py").is_file()


@pytest.fixture
def settings():
    overrides = {
        "train.epochs": "1",
        "train.batch_size": "16",
        "modelarts.engine": "e",
        "modelarts.flavor": "f",
        "xihe.owner": "me",
        "xihe.job_name": "lenet",
    }
    return load("local", overrides)


@pytest.fixture
def project(tmp_path, settings):
    spec = {"network": "lenet5", "image_size": 32, "normalisation": "cifar10"}
    write_project(settings, spec, CHECKOUT / "models", tmp_path / "project")
    return tmp_path / "project"


def test_the_project_has_what_the_platform_asks_for(project, settings):
    config = xihe.read((project / "train" / "config.json").read_text())
    aim = xihe.read((project / "train" / "config_aim.json").read_text())
    assert config == xihe.from_settings(settings)
    assert config.outputs[0].name == "output_path"
    for found in (config, aim):
        assert (project / found.code_dir / found.boot_file).is_file()
    assert (project / config.code_dir / "pip-requirements.txt").is_file()
    assert json.loads((project / "inference" / "config.json").read_text()) == {"model_path": ["me/lenet/best.ckpt"]}
    assert (project / "inference" / "requirements.txt").read_text().splitlines()[-1] == "gradio"
    assert not list(project.rglob("__pycache__"))


def test_a_folder_with_something_in_it_is_left_alone(project, settings):
    with pytest.raises(UserError, match="not empty"):
        write_project(settings, {}, CHECKOUT / "models", project)


def test_an_unset_engine_is_named(tmp_path):
    with pytest.raises(UserError, match=r"modelarts\.engine"):
        write_project(load("local"), {}, CHECKOUT / "models", tmp_path / "p")


def run(*command, **options):
    done = subprocess.run([sys.executable, *map(str, command)], check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.mindspore
def test_the_project_trains_tracks_and_classifies(project, tmp_path):
    flat = tmp_path / "cifar-10-batches-bin"
    flat.mkdir()
    record = bytes([3]) + bytes(range(256)) * 12
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        (flat / name).write_bytes(record * 16)
    aim = tmp_path / "stubs" / "aim.py"
    aim.parent.mkdir()
    aim.write_text(
        "class Run:\n"
        "    def __init__(self, repo, experiment): print('run', repo, experiment)\n"
        "    def __setitem__(self, name, value): print('set', name, value)\n"
        "    def track(self, value, name, epoch, context): print('track', name, epoch, context['subset'])\n"
        "    def close(self): print('closed')\n"
    )
    code = project / xihe.read((project / "train" / "config.json").read_text()).code_dir
    arguments = [f"--data_url={flat}", f"--output_path={tmp_path / 'out'}", "--recipe", "lenet5-sample"]
    changes = ["--epochs", "1", "--batch_size=16"]
    said = run(
        code / "train_aim.py",
        *arguments,
        *changes,
        "--aim_repo=here",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(aim.parent)},
    )
    assert "run here lenet5-sample" in said
    assert "track loss 1 train" in said
    assert "track accuracy 1 test" in said
    shutil.copy(tmp_path / "out" / "best.ckpt", tmp_path / "best.ckpt")
    script = (
        f"import sys; sys.path.insert(0, {str(project / 'inference')!r}); import app; from PIL import Image;"
        "found = app.classifier()(Image.new('RGB', (40, 50))); print(len(found), round(sum(found.values()), 3))"
    )
    assert run("-c", script, cwd=tmp_path).split()[-2:] == ["10", "1.0"]


def test_a_wrong_recipe_is_named_before_anything_runs(project, tmp_path):
    code = project / "train" / "atlasflow"
    command = [code / "train.py", "--data_url=x", "--output_path=y", "--recipe=lenet5-sample", "--epoch=1"]
    done = subprocess.run([sys.executable, *map(str, command)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "epochs" in done.stderr
