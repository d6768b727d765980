import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.settings import Settings, load
from infra.xihe import config as xihe
from infra.xihe.project import write_project
from tests.cifar10 import CLASSES

# Like published configs: with comments, trailing commas and a misspelled key.
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
def published() -> dict[str, Any]:
    """The published config as JSON values."""
    values: dict[str, Any] = json.loads(xihe.read(PUBLISHED).text())
    return values


def changed(published: dict[str, Any], **changes: object) -> str:
    return json.dumps({name: value for name, value in {**published, **changes}.items() if value is not None})


def test_comments_and_trailing_commas_are_ignored_outside_of_strings() -> None:
    config = xihe.read(PUBLISHED)
    assert config.env_variables == {"A": "http://x//y, ]"}
    assert [item.name for item in config.hypeparameters] == ["epochs", "lr"]
    assert config.job_description == 'a "first" try'


def test_the_settings_train_the_same_way(tmp_path: Path) -> None:
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


def test_a_round_trip_keeps_everything(tmp_path: Path) -> None:
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
    ("changes", "parts"),
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
def test_every_invalid_field_is_named(published: dict[str, Any], changes: dict[str, object], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        xihe.read(changed(published, **changes))
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"job_name": "a", "job_name": "b"}'])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        xihe.read(text)


def test_the_correct_spelling_is_accepted_too(published: dict[str, Any]) -> None:
    parameters = published.pop("hypeparameters")
    assert xihe.read(json.dumps({**published, "hyperparameters": parameters})) == xihe.read(PUBLISHED)


def test_numbers_among_the_variables_become_strings(published: dict[str, Any]) -> None:
    assert xihe.read(changed(published, env_variables={"A": 1})).env_variables == {"A": "1"}


def test_aim_repo_is_kept_outside_of_the_recipe(published: dict[str, Any], tmp_path: Path) -> None:
    parameters = [{"name": "epochs", "value": 5}, {"name": "aim_repo", "value": "/cache/aim"}]
    config = xihe.read(changed(published, hypeparameters=parameters))
    path = tmp_path / "x.toml"
    path.write_text(xihe.to_settings(config, "resnet50-tutorial").profile())
    settings = load(str(path))
    assert settings.train.overrides() == {"epochs": 5}
    assert xihe.Parameter(name="aim_repo", value="/cache/aim") in xihe.from_settings(settings).hypeparameters


def test_paths_outside_of_the_project_are_refused(settings: Settings, tmp_path: Path) -> None:
    outside = settings.model_copy(update={"xihe": settings.xihe.model_copy(update={"code_dir": "../out/"})})
    with pytest.raises(UserError, match=r"code_dir '\.\./out/' leaves the repository"):
        write_project(outside, {}, CLASSES, CHECKOUT / "models", tmp_path / "project")
    assert list(tmp_path.iterdir()) == []


def test_a_boot_file_in_a_folder_is_next_to_its_imports(settings: Settings, tmp_path: Path) -> None:
    nested = settings.model_copy(update={"xihe": settings.xihe.model_copy(update={"boot_file": "src/train.py"})})
    write_project(nested, {}, CLASSES, CHECKOUT / "models", tmp_path / "project")
    aim = xihe.read((tmp_path / "project" / "train" / "config_aim.json").read_text())
    boot = tmp_path / "project" / aim.code_dir / aim.boot_file
    assert "from train import" in boot.read_text()
    assert (boot.parent / "train.py").is_file()
    assert (boot.parent / "models" / "main.py").is_file()


@pytest.fixture
def settings() -> Settings:
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
def project(tmp_path: Path, settings: Settings) -> Path:
    """A written project."""
    spec = {"network": "lenet5", "image_size": 32, "normalisation": "cifar10"}
    write_project(settings, spec, CLASSES, CHECKOUT / "models", tmp_path / "project")
    return tmp_path / "project"


def test_the_project_has_all_files_of_the_platform(project: Path, settings: Settings) -> None:
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


def test_a_folder_with_files_is_refused(project: Path, settings: Settings) -> None:
    with pytest.raises(UserError, match="not empty"):
        write_project(settings, {}, CLASSES, CHECKOUT / "models", project)


def test_an_unset_engine_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"modelarts\.engine"):
        write_project(load("local"), {}, CLASSES, CHECKOUT / "models", tmp_path / "p")


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.mark.mindspore
def test_the_project_trains_tracks_and_classifies(project: Path, tmp_path: Path) -> None:
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
    overrides = ["--epochs", "1", "--batch_size=16"]
    output = run(
        code / "train_aim.py",
        *arguments,
        *overrides,
        "--aim_repo=here",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(aim.parent)},
    )
    assert "run here lenet5-sample" in output
    assert "track loss 1 train" in output
    assert "track accuracy 1 test" in output
    shutil.copy(tmp_path / "out" / "best.ckpt", tmp_path / "best.ckpt")
    script = (
        f"import sys; sys.path.insert(0, {str(project / 'inference')!r}); import app; from PIL import Image;"
        "found = app.classifier()(Image.new('RGB', (40, 50))); print(len(found), round(sum(found.values()), 3))"
    )
    assert run("-c", script, cwd=tmp_path).split()[-2:] == ["10", "1.0"]


def test_an_unknown_recipe_field_is_named_before_the_training(project: Path) -> None:
    code = project / "train" / "atlasflow"
    command = [code / "train.py", "--data_url=x", "--output_path=y", "--recipe=lenet5-sample", "--epoch=1"]
    done = subprocess.run([sys.executable, *map(str, command)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "epochs" in done.stderr
