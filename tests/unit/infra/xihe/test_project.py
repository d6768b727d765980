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
from infra.xihe.conversion import from_settings
from infra.xihe.project import write_project
from tests.cifar10 import CLASSES

SPEC: dict[str, object] = {"network": "lenet5", "image_size": 32, "normalisation": "cifar10"}


def test_paths_outside_of_the_project_are_refused(settings: Settings, tmp_path: Path) -> None:
    outside = settings.model_copy(update={"xihe": settings.xihe.model_copy(update={"code_dir": "../out/"})})
    with pytest.raises(UserError, match=r"code_dir '\.\./out/' leaves the repository"):
        write_project(outside, SPEC, CLASSES, CHECKOUT / "models", tmp_path / "project")
    assert list(tmp_path.iterdir()) == []


def test_a_boot_file_in_a_folder_is_next_to_its_imports(settings: Settings, tmp_path: Path) -> None:
    nested = settings.model_copy(update={"xihe": settings.xihe.model_copy(update={"boot_file": "src/train.py"})})
    write_project(nested, SPEC, CLASSES, CHECKOUT / "models", tmp_path / "project")
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
        "xihe.output_name": "output_url",
    }
    loaded = load("local", overrides)
    return loaded.model_copy(update={"xihe": loaded.xihe.model_copy(update={"parameters": {"batch_nums": 3}})})


@pytest.fixture
def project(tmp_path: Path, settings: Settings) -> Path:
    """A written project."""
    write_project(settings, SPEC, CLASSES, CHECKOUT / "models", tmp_path / "project")
    return tmp_path / "project"


def test_the_project_has_all_files_of_the_platform(project: Path, settings: Settings) -> None:
    config = xihe.read((project / "train" / "config.json").read_text())
    aim = xihe.read((project / "train" / "config_aim.json").read_text())
    assert config == from_settings(settings)
    assert config.outputs[0].name == "output_url"
    assert xihe.Parameter(name="aim_repo", value="./db") in aim.hypeparameters
    assert "aim_repo" not in {item.name for item in config.hypeparameters}
    assert aim.boot_file == "lenet5_aim_cust.py"
    for found in (config, aim):
        assert (project / found.code_dir / found.boot_file).is_file()
    assert (project / config.code_dir / "pip-requirements.txt").is_file()
    assert json.loads((project / "inference" / "config.json").read_text()) == {"model_path": ["me/lenet/best.ckpt"]}
    assert (project / "inference" / "requirements.txt").read_text().splitlines()[-1] == "gradio"
    assert not list(project.rglob("__pycache__"))


def test_a_folder_with_files_is_refused(project: Path, settings: Settings) -> None:
    with pytest.raises(UserError, match="not empty"):
        write_project(settings, SPEC, CLASSES, CHECKOUT / "models", project)


def test_an_old_engine_is_said(tmp_path: Path, settings: Settings) -> None:
    assert write_project(settings, SPEC, CLASSES, CHECKOUT / "models", tmp_path / "a").old == ""
    old = settings.model_copy(
        update={"modelarts": settings.modelarts.model_copy(update={"engine": "mindspore_1.6.2-py_3.9"})}
    )
    assert "MindSpore 1.6" in write_project(old, SPEC, CLASSES, CHECKOUT / "models", tmp_path / "b").old


def test_an_unset_engine_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"modelarts\.engine"):
        write_project(load("local"), SPEC, CLASSES, CHECKOUT / "models", tmp_path / "p")


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
    arguments = [f"--data_url={flat}", f"--output_url={tmp_path / 'out'}", "--recipe", "lenet5-sample"]
    overrides = ["--num_epochs", "1", "--batch_size=16", "--batch_nums=3"]
    output = run(
        code / "lenet5_aim_cust.py",
        *arguments,
        *overrides,
        "--aim_repo=here",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(aim.parent)},
    )
    assert "run here lenet5-sample" in output
    assert "batch_nums=3 was for another script" in output
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
    command = [code / "train.py", "--data_url=x", "--output_url=y", "--recipe=lenet5-sample", "--epoch=1"]
    done = subprocess.run([sys.executable, *map(str, command)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "epochs" in done.stderr
