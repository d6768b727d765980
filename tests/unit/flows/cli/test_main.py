"""What `atlasflow` imports before it knows that there is work to do."""

import json
import subprocess
import sys

import pytest

from infra.home import CHECKOUT

PROGRAM = (
    "import json, sys; import flows.cli.main, flows.cli.encoding, infra.store.fresh_cache; "
    "print(json.dumps(sorted(sys.modules)))"
)


def test_a_run_without_work_imports_the_standard_library_only() -> None:
    command = [sys.executable, "-S", "-c", PROGRAM]  # -S: packages with start-up hooks import modules of their own
    finished = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    names = {name.partition(".")[0] for name in json.loads(finished.stdout)}
    assert names <= sys.stdlib_module_names | {"__main__", "flows", "infra"}


@pytest.mark.program
def test_all_commands_together_import_nothing_heavy() -> None:
    heavy = {"prefect", "mindspore", "boto3", "botocore", "asyncssh", "onnxruntime", "numpy", "matplotlib", "PIL"}
    program = "import json, sys; import flows.cli.app; print(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert heavy & set(json.loads(finished.stdout)) == set()
