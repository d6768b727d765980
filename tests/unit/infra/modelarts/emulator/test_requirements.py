import zipfile
from pathlib import Path

import pytest

from infra.modelarts.client import ModelArts
from infra.modelarts.emulator.requirements import install
from infra.modelarts.phases import Phase
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeBody
from tests.unit.infra.modelarts.jobs import wait

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


def test_requirements_next_to_the_boot_file_are_checked(
    client: ModelArts, body: MakeBody, fake_main: Path, store: doubles.FolderStore
) -> None:
    present = fake_main.parent / "pip-requirements.txt"
    present.write_text("numpy>=1.20  # installed already\n\npytest\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    wait(client, client.submit(made).id, Phase.COMPLETED)
    present.write_text("not a requirement !\n")
    again = body(attempt=2)
    store.put_tree("af/code/1/models", fake_main.parent)
    assert "pip-requirements.txt" in wait(client, client.submit(again).id, Phase.FAILED).message


def test_requirements_can_have_options_and_includes(
    client: ModelArts, body: MakeBody, fake_main: Path, store: doubles.FolderStore, tmp_path: Path
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "tiny_thing-1.0-py3-none-any.whl", "w") as wheel:
        info = "tiny_thing-1.0.dist-info"
        wheel.writestr("tiny_thing.py", "WORD = 'tiny'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    options = "--index-url http://127.0.0.1:1/simple  # of the region\n"
    (fake_main.parent / "pip-requirements.txt").write_text(f"{options}-r one.txt\nnumpy\n")
    (fake_main.parent / "one.txt").write_text("-rtwo.txt\n")
    (fake_main.parent / "two.txt").write_text("--requirement=more.txt\n")
    (fake_main.parent / "more.txt").write_text(f"--no-index\n--find-links {wheels}\ntiny-thing==1.0\n")
    fake_main.write_text("import tiny_thing\nprint(tiny_thing.WORD)\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    done = wait(client, client.submit(made).id, Phase.COMPLETED, Phase.FAILED)
    preview = client.preview(done.id, "worker-0")
    assert preview is not None
    assert (done.phase, preview.content) == (Phase.COMPLETED, "tiny\n")


def test_a_missing_include_fails_the_job_with_the_reason(
    client: ModelArts, body: MakeBody, fake_main: Path, store: doubles.FolderStore
) -> None:
    (fake_main.parent / "pip-requirements.txt").write_text("-r absent.txt\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    assert "absent.txt" in wait(client, client.submit(made).id, Phase.FAILED).message


def test_a_project_of_mindspore_1_gets_what_this_machine_has(tmp_path: Path) -> None:
    wanted, log = tmp_path / "pip-requirements.txt", tmp_path / "log"
    wanted.write_text("mindspore==1.6.2\ntyping\npillow==0.1\nnumpy\nhttps://x/mindspore_gpu-1.8.1-cp37.whl\n")
    install(wanted, tmp_path / "packages", log, compatible=True)
    said = log.read_text().splitlines()
    assert not (tmp_path / "packages").exists()
    assert [line.partition(" takes")[2] for line in said if "takes" in line] == [
        " the place of mindspore==1.6.2",
        " the place of pillow==0.1",
        " the place of https://x/mindspore_gpu-1.8.1-cp37.whl",
    ]
    assert "MindSpore 1.x: typing is part of Python" in said
