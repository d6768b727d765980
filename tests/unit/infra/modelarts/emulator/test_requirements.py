import zipfile

import pytest

from tests.unit.infra.modelarts.jobs import wait

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


def test_requirements_beside_the_boot_file(asking, body, fake_main, store):
    present = fake_main.parent / "pip-requirements.txt"
    present.write_text("numpy>=1.20  # here already\n\npytest\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    wait(asking, asking.submit(made).id, "Completed")
    present.write_text("not a requirement !\n")
    again = body(attempt=2)
    store.put_tree("af/code/1/models", fake_main.parent)
    assert "pip-requirements.txt" in wait(asking, asking.submit(again).id, "Failed").message


def test_requirements_may_have_options_and_include_others(asking, body, fake_main, store, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "tiny_thing-1.0-py3-none-any.whl", "w") as wheel:
        about = "tiny_thing-1.0.dist-info"
        wheel.writestr("tiny_thing.py", "WORD = 'tiny'\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    options = "--index-url http://127.0.0.1:1/simple  # of the region\n"
    (fake_main.parent / "pip-requirements.txt").write_text(f"{options}-r one.txt\nnumpy\n")
    (fake_main.parent / "one.txt").write_text("-rtwo.txt\n")
    (fake_main.parent / "two.txt").write_text("--requirement=more.txt\n")
    (fake_main.parent / "more.txt").write_text(f"--no-index\n--find-links {wheels}\ntiny-thing==1.0\n")
    fake_main.write_text("import tiny_thing\nprint(tiny_thing.WORD)\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    done = wait(asking, asking.submit(made).id, "Completed", "Failed")
    assert (done.phase, asking.preview(done.id, "worker-0").content) == ("Completed", "tiny\n")


def test_requirements_that_name_an_absent_file_fail_the_job_with_the_reason(asking, body, fake_main, store):
    (fake_main.parent / "pip-requirements.txt").write_text("-r absent.txt\n")
    made = body()
    store.put_tree("af/code/1/models", fake_main.parent)
    assert "absent.txt" in wait(asking, asking.submit(made).id, "Failed").message
