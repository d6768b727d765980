from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.obs.layout import code_digest, code_prefix
from infra.settings import load
from tasks.engine.stage import StageContext
from tasks.stages import upload
from tests.unit.tasks.doubles import Bucket, data_tree, read, work_of

CODE = {"main.py": b"print()", "networks/lenet.py": b"class LeNet: ..."}


@pytest.fixture
def bucket() -> Any:
    return Bucket()


def work_for(tmp_path: Path, bucket: Any, settings: Any = None, **changed: Any) -> Any:
    world = SimpleNamespace(object_store=lambda: bucket)
    return work_of(tmp_path, {"data": data_tree(), "code": CODE, **changed}, world=world, settings=settings)


def difference(context: StageContext) -> str:
    found = upload.prove(context, {})
    assert found is not None
    return found


def test_everything_is_sent_once_under_names_that_tell_its_digest(tmp_path: Path, bucket: Any) -> None:
    context = work_for(tmp_path, bucket)
    made = upload.run(context)
    assert made.note == "sent 4 of 4 files to bucket bucket (stand-in)"
    assert read(made.outputs["objects"]) == bucket.objects
    done, total, _ = context.reporter.moved[-1]
    assert done == total == sum(artifact.size for artifact in context.inputs.values())
    for name, prefix in upload.prefixes(context.settings, context.inputs).items():
        assert context.inputs[name].sha256[:8] in prefix
    assert upload.run(context).note == "sent 0 of 4 files to bucket bucket (stand-in)"


def test_a_real_bucket_is_not_called_a_stand_in(tmp_path: Path, bucket: Any) -> None:
    bucket.emulated = False
    assert "stand-in" not in upload.run(work_for(tmp_path, bucket)).note


def test_what_was_sent_is_proved_until_an_object_is_gone_or_another(tmp_path: Path, bucket: Any) -> None:
    context = work_for(tmp_path, bucket)
    assert "is missing or has changed" in difference(context)
    upload.run(context)
    assert upload.prove(context, {}) is None
    for key in list(bucket.objects):
        kept = bucket.objects.pop(key)
        assert upload.prove(context, {}) == f"{key} in bucket bucket is missing or has changed"
        bucket.objects[key] = "0" * 64
        assert key in difference(context)
        bucket.objects[key] = kept


def test_other_code_goes_beside_the_old(tmp_path: Path, bucket: Any) -> None:
    first = work_for(tmp_path, bucket)
    upload.run(first)
    second = work_for(tmp_path, bucket, code={**CODE, "main.py": b"print(1)"})
    assert upload.run(second).note.startswith("sent 2 of 4 files")
    assert len(bucket.objects) == 6


def test_the_key_depends_on_bucket_and_endpoint_and_names_no_host_or_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def ingredients(**overrides: Any) -> Any:
        return upload.STAGE.settings(load(overrides=overrides))

    assert ingredients(**{"obs.bucket": "other"}) != ingredients()
    assert ingredients(**{"obs.endpoint": "https://obs.one.example"}) != ingredients()
    one = ingredients(**{"obs.endpoint": "https://obs.one.example"})
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "nobody-may-see-this")
    assert ingredients(**{"obs.endpoint": "https://OBS.one.example/", "obs.threads": "2"}) == one
    assert ingredients(**{"obs.endpoint": "https://obs.two.example"}) != one
    assert "example" not in str(one)
    assert "nobody-may-see-this" not in str(one)


def test_the_code_of_models_is_always_given() -> None:
    (folder,) = upload.STAGE.external_inputs(load()).values()
    assert (folder / "main.py").is_file()


def test_a_data_set_of_many_small_files_travels_as_one_archive(tmp_path: Path, bucket: Any) -> None:
    pictures = {f"train/{number}.png": b"%d" % number for number in range(101)}
    context = work_for(tmp_path, bucket, data=pictures)
    assert "is missing or has changed" in difference(context)
    made = upload.run(context)
    assert made.note == "sent 103 of 103 files, 101 of them in one archive, to bucket bucket (stand-in)"
    archive = f"{upload.prefixes(context.settings, context.inputs)['data']}/data.tar"
    assert len(bucket.objects) == 3
    assert len(bucket.objects[archive]) == 101
    assert f"{archive}#train/7.png" in read(made.outputs["objects"])
    done, total, _ = context.reporter.moved[-1]
    assert done == total
    assert upload.run(context).note.startswith("sent 0 of 103 files")
    assert upload.prove(context, {}) is None
    bucket.objects[archive]["train/7.png"] = "0" * 64
    assert difference(context).startswith(archive)


@pytest.mark.parametrize(
    ("chosen", "count", "size", "objects"),
    [("auto", 100, 1, 102), ("auto", 101, 300_000, 103), ("never", 101, 1, 103), ("always", 2, 1, 3)],
)
def test_few_or_large_files_and_those_that_are_asked_for_travel_as_single_objects(
    tmp_path: Path, bucket: Any, chosen: str, count: int, size: int, objects: int
) -> None:
    files = {f"{number}": b"x" * size for number in range(count)}
    context = work_for(tmp_path, bucket, {"obs.archive": chosen}, data=files)
    upload.run(context)
    assert len(bucket.objects) == objects
    assert upload.prove(context, {}) is None


def test_code_is_never_an_archive_since_modelarts_takes_it_as_it_lies(tmp_path: Path, bucket: Any) -> None:
    code = {"main.py": b"print()"} | {f"{number}.py": b"" for number in range(200)}
    context = work_for(tmp_path, bucket, {"obs.archive": "always"}, code=code)
    upload.run(context)
    assert f"{upload.prefixes(context.settings, context.inputs)['code']}/main.py" in bucket.objects
    assert len(bucket.objects) == 202


def test_a_network_of_ones_own_lies_in_the_code_where_jobs_look_for_it(tmp_path: Path, bucket: Any) -> None:
    file = tmp_path / "my_net.py"
    file.write_text("class MyNet: ...")
    settings = {"train.network": f"{file}:MyNet"}
    assert upload.STAGE.external_inputs(load(overrides=settings))["network"] == file
    context = work_for(tmp_path, bucket, settings, network={"my_net.py": file.read_bytes()})
    upload.run(context)
    prefixes = upload.prefixes(context.settings, context.inputs)
    assert f"{prefixes['code']}/networks/own/my_net.py" in bucket.objects
    assert f"{prefixes['code']}/main.py" in bucket.objects
    code, network = (context.inputs[name].sha256 for name in ("code", "network"))
    address = code_prefix(context.settings.obs, code_digest(code, network))
    assert prefixes["code"] == address != code_prefix(context.settings.obs, code), "another network is another code"
