from types import SimpleNamespace

import pytest

from infra.settings import load
from tasks import upload
from tests.unit.tasks.doubles import Bucket, data_tree, read, work_of

CODE = {"main.py": b"print()", "networks/lenet.py": b"class LeNet: ..."}


@pytest.fixture
def bucket():
    return Bucket()


def work_for(tmp_path, bucket, **changed):
    world = SimpleNamespace(object_store=lambda: bucket)
    return work_of(tmp_path, {"data": data_tree(), "code": CODE, **changed}, world=world)


def test_everything_is_sent_once_under_names_that_tell_its_digest(tmp_path, bucket):
    work = work_for(tmp_path, bucket)
    made = upload.run(work)
    assert made.note == "sent 4 of 4 files to bucket bucket (stand-in)"
    assert read(made.outputs["objects"]) == bucket.objects
    done, total, _ = work.reporter.moved[-1]
    assert done == total == sum(artifact.size for artifact in work.inputs.values())
    for name, prefix in upload.prefixes(work.settings, work.inputs).items():
        assert work.inputs[name].sha256[:8] in prefix
    assert upload.run(work).note == "sent 0 of 4 files to bucket bucket (stand-in)"


def test_a_real_bucket_is_not_called_a_stand_in(tmp_path, bucket):
    bucket.emulated = False
    assert "stand-in" not in upload.run(work_for(tmp_path, bucket)).note


def test_what_was_sent_is_proved_until_an_object_is_gone_or_another(tmp_path, bucket):
    work = work_for(tmp_path, bucket)
    assert "is missing or another file" in upload.prove(work, {})
    upload.run(work)
    assert upload.prove(work, {}) is None
    for key in list(bucket.objects):
        kept = bucket.objects.pop(key)
        assert upload.prove(work, {}) == f"{key} in bucket bucket is missing or another file"
        bucket.objects[key] = "0" * 64
        assert key in upload.prove(work, {})
        bucket.objects[key] = kept


def test_other_code_goes_beside_the_old(tmp_path, bucket):
    first = work_for(tmp_path, bucket)
    upload.run(first)
    second = work_for(tmp_path, bucket, code={**CODE, "main.py": b"print(1)"})
    assert upload.run(second).note.startswith("sent 2 of 4 files")
    assert len(bucket.objects) == 6


def test_the_key_depends_on_the_bucket_and_on_no_host_or_secret(monkeypatch):
    def ingredients(**overrides):
        return upload.STAGE.settings(load(overrides=overrides))

    assert ingredients(**{"obs.bucket": "other"}) != ingredients()
    assert ingredients(**{"obs.endpoint": "https://obs.one.example"}) != ingredients()
    one = ingredients(**{"obs.endpoint": "https://obs.one.example"})
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "nobody-may-see-this")
    assert ingredients(**{"obs.endpoint": "https://obs.two.example", "obs.threads": "2"}) == one


def test_the_code_of_models_is_always_given():
    (folder,) = upload.STAGE.given(load()).values()
    assert (folder / "main.py").is_file()
