"""What tests of boards share: a tiny release that a stand-in can run, and pictures."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from infra.atc.emulator.om import OmModel, OmTensor, pack_om
from infra.board.release_folder import releases_in
from infra.ports.release import Release
from infra.ports.values import LocalFile
from infra.settings.release import ReleaseSettings
from infra.store.atomic import write_bytes
from infra.store.digests import file_digest, value_digest
from infra.store.local_files import describe_folder
from infra.trust.keyring import read_keyring
from infra.trust.sign import ReleaseSigner
from infra.world import World
from models import preprocess
from tests.cifar10 import CLASSES

CHECKOUT = Path(__file__).parents[1]
AGENT = CHECKOUT / "infra" / "board" / "agent"
ACL = CHECKOUT / "infra" / "board" / "emulator" / "acl"


def weights(seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 0.02, (3072, 10)).astype(np.float32)


def linear_onnx(matrix: Any, batch: int | None = 1) -> Any:
    """A network of one matrix: `image` float32 [batch, 3, 32, 32] → `logits` float32 [batch, 10]."""
    size = "batch" if batch is None else batch
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        ],
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [size, 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [size, 10])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def linear_om(matrix: Any, *, gears: Any = (), soc_version: str = "Ascend310") -> Any:
    """The same as an `.om`; with gears, of dynamic batch."""
    batch = max(gears, default=1)
    inputs = [OmTensor("image", 0, (-1 if gears else 1, 3, 32, 32), 0, batch * 3072 * 4)]
    if gears:
        inputs.append(OmTensor("ascend_mbatch_shape_data", 3, (1,), 2, 4))
    return OmModel(
        name="linear",
        soc_version=soc_version,
        producer="test",
        producer_version="1",
        emulated=True,
        inputs=tuple(inputs),
        outputs=(OmTensor("MatMul_1:0:logits", 0, (batch, 10), 2, batch * 40),),
        onnx=linear_onnx(matrix, None if gears else 1),
        gears=tuple((gear,) for gear in gears),
        gear_kind="batch" if gears else "",
    )


def images(count: Any, seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def logits(pixels: Any, matrix: Any) -> Any:
    return preprocess.normalise(pixels).reshape(len(pixels), -1) @ matrix


def release_folder(
    folder: Any,
    identifier: str = "first",
    *,
    seed: int = 0,
    wrong: float = 0.0,
    soc_version: str = "Ascend310",
    gears: Any = (),
) -> Any:
    """Write a whole release; `wrong` is added to the golden logits, so that the smoke test fails."""
    matrix, pixels = weights(seed), images(8)
    (folder / "smoke").mkdir(parents=True)
    shutil.copytree(AGENT, folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    for module in ("preprocess.py", "parity.py"):
        shutil.copy(CHECKOUT / "models" / module, folder / "agent")
    (folder / "model.om").write_bytes(pack_om(linear_om(matrix, soc_version=soc_version, gears=gears)))
    np.save(folder / "smoke" / "images.npy", pixels)
    np.save(folder / "smoke" / "logits.npy", logits(pixels, matrix) + np.float32(wrong))
    np.save(folder / "smoke" / "labels.npy", logits(pixels, matrix).argmax(axis=1))
    description = {
        "id": identifier,
        "labels": list(CLASSES),
        "image_size": 32,
        "normalisation": preprocess.CIFAR10._asdict(),
        "soc_version": soc_version,
        "emulated": True,
        "tolerance": 1e-3,
    }
    (folder / "release.json").write_text(json.dumps(description))
    return folder


def release(folder: Any, identifier: str = "first", *, emulated: bool = True, **options: Any) -> Any:
    """A signed release for `Board.install`, written to `folder`."""
    release_folder(folder, identifier, **options)
    files = {
        path.relative_to(folder).as_posix(): LocalFile(path, file_digest(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return signed(Release(identifier, files, options.get("soc_version", "Ascend310"), emulated))


@cache
def signing_home() -> Path:
    """A home with a development key, for this process; another process of the same test run shares it."""
    return Path(os.environ.setdefault("ATLASFLOW_TEST_SIGNING_HOME", mkdtemp(prefix="atlasflow-signing-")))


def signed(unsigned: Release, **settings: Any) -> Release:
    """The release with a manifest that is newer than all before; within a test, equal releases get the same."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    content = {name: file.sha256 for name, file in unsigned.files.items()}
    kept = (
        signing_home()
        / "kept"
        / value_digest([test, unsigned.id, unsigned.soc_version, unsigned.emulated, content, settings])
    )
    if not kept.exists():
        write_bytes(kept, ReleaseSigner(signing_home(), ReleaseSettings(**settings)).renew(unsigned).manifest)
    return replace(unsigned, manifest=kept.read_bytes())


def signed_by(world: World, folder: Path) -> Release:
    """The release of a folder, signed with the key of a home, whose boards trust it."""
    world.signer().sign(folder, emulated=True)
    (release,) = releases_in(describe_folder(folder), str(folder)).values()
    return release


def keyring(*, chip: str = "", fleet: str = "main", stand_in: bool = True) -> str:
    """The keyring file of a board that trusts what `signed` signs."""
    ReleaseSigner(signing_home(), ReleaseSettings()).key(emulated=True)
    return read_keyring(signing_home()).for_board(fleet, chip, stand_in=stand_in)


def give_keyring(root: Path, **options: Any) -> None:
    """Write the keyring of `signed` into the folder of a board."""
    (root / "trust").mkdir(parents=True, exist_ok=True)
    for folder in (root, root / "trust"):
        folder.chmod(0o755)
    (root / "trust" / "keyring.json").write_text(keyring(**options))
    (root / "trust" / "keyring.json").chmod(0o600)


def picture(path: Any, seed: int = 5) -> Any:
    """A picture of 32×32 pixels; returns its path."""
    Image.fromarray(images(1, seed)[0]).save(path)
    return path


def run_agent(folder: Any, *arguments: Any, environment: Any = None) -> Any:
    """Run the agent of a release folder as a program, with the stand-in `acl`; returns the finished process."""
    return subprocess.run(
        [sys.executable, "-B", str(folder / "agent" / "main.py"), *map(str, arguments)],
        env={"PYTHONPATH": str(ACL), "PATH": os.environ["PATH"], **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
