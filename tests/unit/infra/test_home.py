import os
from pathlib import Path

import pytest

from infra.home import CHECKOUT, enter_checkout


def test_a_worker_goes_to_its_own_checkout_wherever_the_deployment_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert enter_checkout() == {"directory": str(CHECKOUT)}
    assert Path.cwd() == CHECKOUT
    os.chdir(tmp_path)
