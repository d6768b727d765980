"""Narrow keys: the modules that each stage's code digest may reach, so that other changes repeat no paid work."""

from importlib import import_module

import pytest

from infra.home import CHECKOUT
from infra.settings import load
from infra.store.code_digest import closure
from tasks.engine.stage import Stage

STAGE = {"infra/errors.py", "tasks/engine/stage.py"}
SPEC = {"tasks/specs.py"}
RECORDS = {
    "models/data/images.py",
    "models/data/prepared.py",
    "models/data/records.py",
    "models/failures.py",
    "models/preprocess.py",
}
# What every command of `models/main.py` with a network needs.
NETWORK = RECORDS | {
    "models/evaluation/inference.py",
    "models/files.py",
    "models/networks/lenet.py",
    "models/protocol.py",
    "models/training/checkpoint.py",
    "models/training/runtime.py",
}
PARITY = RECORDS | {
    "infra/ports/comparison.py",
    "models/parity.py",
    "tasks/class_names.py",
    "tasks/evaluation_images.py",
    "tasks/specs.py",
    "tasks/figure.py",
    "tasks/release/ledger.py",
    "tasks/release/parity.py",
    "tasks/release/parity_plot.py",
    "tasks/release/parity_report.py",
}
STORED = {
    f"infra/store/{name}.py" for name in ("artifacts", "atomic", "digests", "disk", "local_files", "stat_cache")
} | {"infra/faults.py"}
ALLOWED = {
    "download": STAGE | RECORDS | {"infra/home.py", "infra/names.py", "tasks/dataset/archives.py"},
    "upload": STAGE | {"infra/home.py", "infra/obs/layout.py", "infra/ports/values.py"},
    "train": STAGE
    | SPEC
    | NETWORK
    | {"models/data/pipeline.py", "models/training/", "models/kernels/", "tasks/class_names.py"},
    "evaluate": STAGE
    | SPEC
    | NETWORK
    | {"models/evaluation/", "models/training/scoring.py", "tasks/figure.py", "tasks/metrics.py", "tasks/reports/"},
    "export": STAGE
    | SPEC
    | NETWORK
    | {
        "infra/air/",
        "models/export.py",
        "models/parity.py",
        "tasks/class_names.py",
        "tasks/evaluation_images.py",
        "tasks/release/onnx_to_air.py",
    },
    "convert": STAGE
    | SPEC
    | PARITY
    | {
        "infra/atc/aipp.py",
        "infra/atc/request.py",
        "infra/board/agent/",
        "infra/board/emulator/acl/",
        "infra/ports/compilation.py",
        "infra/ports/values.py",
        "tasks/release/agent_bundle.py",
        "tasks/release/execution.py",
        "tasks/release/quantization.py",
        "tasks/release/targets.py",
    },
    "publish": STAGE
    | SPEC
    | PARITY
    | STORED
    | {
        "infra/board/agent/counts.py",
        "infra/board/release_folder.py",
        "infra/home.py",
        "infra/obs/layout.py",
        "infra/ports/release.py",
        "infra/ports/values.py",
        "tasks/metrics.py",
        "tasks/release/agent_bundle.py",
        "tasks/release/bundle.py",
        "tasks/release/drift_baseline.py",
        "tasks/release/evidence.py",
        "tasks/release/model_card.py",
    },
    "deploy": STAGE
    | PARITY
    | STORED
    | {
        "infra/board/release_folder.py",
        "infra/ports/board.py",
        "infra/ports/release.py",
        "infra/ports/values.py",
        "tasks/release/deployment.py",
    },
    "corrupt": STAGE | RECORDS | {"models/data/corruption.py"},
    "robustness": STAGE
    | SPEC
    | NETWORK
    | {
        "models/evaluation/robustness.py",
        "models/training/scoring.py",
        "tasks/figure.py",
        "tasks/metrics.py",
        "tasks/reports/robustness_plot.py",
    },
    "profile": STAGE
    | SPEC
    | NETWORK
    | {
        "infra/local_training/producer.py",
        "infra/ports/values.py",
        "models/evaluation/objective.py",
        "models/evaluation/profile.py",
        "models/export.py",
        "models/parity.py",
        "models/training/scoring.py",
        "models/training/tracing.py",
    },
}
"""Stage to files and folders (with `/`); the `__init__.py` files above them hold docstrings and count too."""


OWN_MODEL = {
    "infra/air/",
    "infra/atc/generations.py",
    "infra/atc/lint/",
    "infra/store/",
    "infra/faults.py",
    "models/data/",
    "models/parity.py",
    "tasks/release/foreign/",
    "tasks/release/own_model.py",
}
"""What preparing a model from outside adds to the key of its compilation."""


def test_a_model_from_outside_widens_only_its_own_compilation() -> None:
    stage: Stage = import_module("tasks.stages.convert").STAGE
    reached = closure((stage.run.__module__, *stage.code(load(overrides={"convert.model": "own.onnx"}))), CHECKOUT)
    allowed = (*ALLOWED["convert"], *OWN_MODEL, "tasks/stages/convert.py")
    files = {path for path in reached if not path.endswith("__init__.py")}
    assert {path for path in files if not path.startswith(allowed)} == set()


@pytest.mark.parametrize("name", ALLOWED)
def test_a_stage_reaches_only_the_code_that_can_change_its_bytes(name: str) -> None:
    stage: Stage = import_module(f"tasks.stages.{name}").STAGE
    reached = closure((stage.run.__module__, *stage.code(load())), CHECKOUT)
    allowed = (*ALLOWED[name], f"tasks/stages/{name}.py")
    files = {path for path in reached if not path.endswith("__init__.py")}
    assert {path for path in files if not path.startswith(allowed)} == set()


def test_no_package_above_a_stage_has_code() -> None:
    """A package's `__init__.py` is in the key of every module below it."""
    reached = {path for name in ALLOWED for path in closure((f"tasks.stages.{name}",), CHECKOUT)}
    packages = [path for path in reached if path.endswith("__init__.py") and "/acl/" not in path]
    statements = {path: len((CHECKOUT / path).read_text(encoding="utf-8").split("import ")) - 1 for path in packages}
    assert {path for path, count in statements.items() if count} == set()
