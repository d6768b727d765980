import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infra.board.release_folder import identifier_of, releases_in
from infra.ports.values import LocalFile
from infra.settings import load
from infra.settings.release import ReleaseSettings
from infra.store.artifacts import folder_files
from infra.store.digests import file_digest
from infra.store.receipts import Receipt, Receipts
from infra.trust.keyring import read_keyring
from infra.trust.sign import ReleaseSigner
from infra.trust.verify import verify_release
from tasks.engine.stage import StageContext
from tasks.evaluation_images import evaluation_images
from tasks.stages import publish
from tests import boards
from tests.unit.tasks.doubles import CHECKS, METRICS, Bucket, Inputs, data_tree, ledger, needs_of, read, work_of
from tests.unit.tasks.release.test_bundle import predictions


@pytest.fixture
def bucket() -> Any:
    return Bucket()


def signer() -> ReleaseSigner:
    return ReleaseSigner(boards.signing_home(), ReleaseSettings())


def work_for(tmp_path: Path, bucket: Any, **options: Any) -> Any:
    files: dict[str, bytes | dict[str, bytes]] = {name: name.encode() for name in publish.PUBLISHED}
    files |= {"metrics": json.dumps(METRICS).encode(), "checks": json.dumps(CHECKS).encode()}
    files |= {"om": {"Ascend310/model.om": b"compiled"}, "ledger": json.dumps(ledger()).encode()}
    program = {"agent": {"main.py": b"print()"}, "preprocess": b"MEAN = ()", "parity": b"NONE = 0"}
    world = SimpleNamespace(object_store=lambda: bucket, signer=signer, receipts=lambda: Receipts(tmp_path))
    inputs = {**files, **program, "data": data_tree(), "predictions": predictions()}
    tmp_path.mkdir(exist_ok=True)
    return work_of(tmp_path, inputs, world=world, **options)


def files_of(made: Any) -> Any:
    """The outputs as `prove` is given them."""
    _, bundle = folder_files(made.outputs["release"])
    single = {name: made.outputs[name] for name in ("published", "card")}
    return {"release": bundle, **{name: {path.name: local(path)} for name, path in single.items()}}


def local(path: Any) -> Any:
    return LocalFile(path, file_digest(path), path.stat().st_size)


def test_the_release_is_laid_out_for_people_and_for_boards(tmp_path: Path, bucket: Any) -> None:
    made = publish.run(work_for(tmp_path, bucket, emulated=True))
    listing = read(made.outputs["published"])
    names_of_all = {f"{listing['prefix']}/{publish.LISTING}": file_digest(made.outputs["published"])}
    assert {**listing["objects"], **names_of_all} == bucket.objects
    assert (listing["bucket"], listing["stand_in_bucket"], listing["emulated"]) == ("bucket", True, True)
    assert listing["prefix"] == f"atlasflow/releases/{listing['id']}"
    names = {key.removeprefix(f"{listing['prefix']}/") for key in bucket.objects}
    assert set(publish.PUBLISHED.values()) | {publish.CARD} <= names
    board = ("model.om", "release.json", "agent/main.py", "smoke/logits.npy")
    assert {"model-Ascend310.om", *(f"board/Ascend310/{name}" for name in board)} <= names
    count = len(names) - 1  # the listing comes on top
    assert made.note == f"sent {count} of {count} files to bucket/{listing['prefix']} (stand-in)"
    assert read(made.outputs["release"] / "Ascend310" / "release.json")["id"] == listing["id"]


def test_the_listing_is_sent_last_so_that_a_release_with_one_is_whole(tmp_path: Path, bucket: Any) -> None:
    publish.run(work_for(tmp_path, bucket))
    assert list(bucket.objects)[-1].endswith(publish.LISTING)


def test_formats_that_were_not_made_are_left_out(tmp_path: Path, bucket: Any) -> None:
    context = work_for(tmp_path, bucket)
    for name in ("mindir", "air"):
        del context.files[name]
    publish.run(context)
    names = {key.rpartition("/")[2] for key in bucket.objects}
    assert "model.onnx" in names
    assert not {"model.mindir", "model.air"} & names


def test_the_same_release_is_sent_once(tmp_path: Path, bucket: Any) -> None:
    publish.run(work_for(tmp_path / "one", bucket))
    assert publish.run(work_for(tmp_path / "two", bucket)).note.startswith("sent 0 of ")


def test_every_object_is_proved(tmp_path: Path, bucket: Any) -> None:
    context = work_for(tmp_path, bucket)
    made = files_of(publish.run(context))
    assert publish.prove(context, made) is None
    for key in list(bucket.objects):
        kept = bucket.objects.pop(key)
        assert publish.prove(context, made) == f"{key} in bucket bucket is missing or has changed"
        bucket.objects[key] = kept
    assert publish.prove(context, made) is None


def test_proving_leaves_no_scratch(tmp_path: Path, bucket: Any) -> None:
    context = work_for(tmp_path, bucket)
    made = files_of(publish.run(context))
    before = sorted(context.folder.rglob("*"))
    publish.prove(context, made)
    assert sorted(context.folder.rglob("*")) == before


def test_the_card_says_what_the_model_is_made_of_and_how_good_it_is(tmp_path: Path, bucket: Any) -> None:
    context = work_for(tmp_path, bucket)
    card = publish.run(context).outputs["card"].read_text()
    assert card.startswith("# lenet5 for 2 classes")
    assert "Accuracy 0.7500 on 1,000 evaluation images (95 % Wilson interval 0.7000 – 0.8000)" in card
    assert "| epochs | 30 |" in card
    assert f"| model.onnx | `{context.inputs['onnx'].sha256}` |" in card
    assert "| air | not made: AIR needs an Ascend device |" in card
    assert "recognises dog worst: recall 0.500" in card
    assert "| onnx | Ascend310 force_fp16 | 20 | 1.0 | 1.0 | 0.5 | 0.5 | none | 7 | chosen |" in card


def test_the_recipe_is_an_ingredient_since_the_card_quotes_it() -> None:
    plain = publish.STAGE.settings(load())
    assert publish.STAGE.settings(load(overrides={"train.epochs": "3"})) != plain
    assert publish.STAGE.settings(load(overrides={"obs.threads": "2"})) == plain


def own_work(tmp_path: Path, bucket: Bucket, *, labelled: bool = True) -> StageContext:
    logits = np.zeros((30, 10), np.float32)
    logits[:, 3] = 1
    file = io.BytesIO()
    np.savez(file, logits=logits)
    findings = [{"level": "fixed", "rule": "opset", "what": "opset 7", "remedy": "translated to 13"}]
    inputs: Inputs = {
        "om": {"Ascend310/model.om": b"compiled"},
        "ledger": json.dumps(ledger()).encode(),
        "data": data_tree(),
        "model": {"own.onnx": b"theirs"},
        "prepared": {"model.onnx": b"prepared"},
        "findings": json.dumps({"labelled": labelled, "findings": findings}).encode(),
        "predictions": {"predictions.npz": file.getvalue()},
        "agent": {"main.py": b"print()"},
        "preprocess": b"MEAN = ()",
        "parity": b"NONE = 0",
    }
    world = SimpleNamespace(object_store=lambda: bucket, signer=signer, receipts=lambda: Receipts(tmp_path))
    return work_of(tmp_path / "run", inputs, world=world, settings={"convert.model": "own.onnx"})


def test_a_model_from_outside_is_published_with_its_own_figures_alone(tmp_path: Path, bucket: Bucket) -> None:
    needs = needs_of(publish.STAGE, load(overrides={"convert.model": "own.onnx"}))
    assert set(needs) == {"om", "ledger", "data", "predictions", "findings", "prepared"}
    assert {name for name, (stage, _) in needs.items() if stage != "convert"} == {"data"}
    context = own_work(tmp_path, bucket)
    made = publish.run(context)
    names = {key.rpartition("/")[2] for key in bucket.objects}
    assert {"own.onnx", "prepared.onnx", "findings.json"} <= names
    assert not {"checkpoint.ckpt", "history.csv", "metrics.json", "confusion.png"} & names
    card = made.outputs["card"].read_text()
    right = (np.array(evaluation_images(context)[1]) == 3).mean()
    assert f"Its own accuracy is {right:.4f}" in card
    assert "did not train it" in card
    assert "- opset 7: translated to 13" in card
    golden = np.load(made.outputs["release"] / "Ascend310" / "smoke" / "logits.npy")
    assert (golden.argmax(axis=1) == 3).all(), "boards must give this model's answers"


def test_no_accuracy_is_said_of_pictures_of_unknown_classes(tmp_path: Path, bucket: Bucket) -> None:
    own = {"convert.model": "own.onnx", "convert.images": "photos"}
    assert needs_of(publish.STAGE, load(overrides=own))["data"] == ("convert", "data")
    card = publish.run(own_work(tmp_path, bucket, labelled=False)).outputs["card"].read_text()
    assert "Its own accuracy is" not in card
    assert "The classes of the 30 pictures are not known" in card


def test_the_evidence_names_every_file_and_every_receipt_and_changes_no_id(tmp_path: Path, bucket: Any) -> None:
    context = work_for(tmp_path, bucket)
    outputs = {name: context.inputs[name] for name in ("checkpoint", "history")}
    made = Receipt("train", "t" * 64, {"code": "c" * 64}, outputs)
    other = replace(
        made, key="o" * 64, outputs={**outputs, "checkpoint": replace(context.inputs["checkpoint"], sha256="0" * 64)}
    )
    for receipt in (other, made):
        Receipts(tmp_path).save(receipt)
    folder = publish.run(context).outputs["release"]
    statement = read(folder / "Ascend310" / "provenance.json")
    digests = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    files = folder_files(folder / "Ascend310")[1]
    assert digests == {
        name: file.sha256
        for name, file in files.items()
        if name not in ("provenance.json", "sbom.json", "manifest.json")
    }
    links = {link["name"]: link["annotations"]["key"] for link in statement["predicate"]["runDetails"]["byproducts"]}
    assert links == {"receipt of train": "t" * 64}
    named = {item["name"] for item in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert {"data", "om", "metrics", "ledger", "agent"} <= named
    (release,) = releases_in(folder_files(folder)[1], "here").values()
    manifest, key = verify_release(release, read_keyring(boards.signing_home()), "main")
    assert {"provenance.json", "sbom.json"} <= manifest.files.keys()
    assert key.kind == "development"
    packages = {item["name"] for item in read(folder / "Ascend310" / "sbom.json")["components"]}
    assert {"numpy", "cryptography"} <= {name.lower() for name in packages}
    assert identifier_of(folder_files(folder)[1]) == release.id
