from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from infra.home import INPUTS
from infra.settings import load
from models.preprocess import Contract
from tasks.demo_labels import labels_of
from tests.unit.tasks.dataset_pictures import COLOURS, class_folders


@pytest.mark.parametrize(("place", "found"), [("photos", True), (f"home/{INPUTS}/x/files", False), ("nowhere", False)])
def test_labelled_pictures_join_a_folder_of_the_user_and_no_copy_of_a_bucket(
    tmp_path: Path, place: str, found: bool
) -> None:
    source = tmp_path / place
    if place != "nowhere":
        class_folders(source, 1)
    chain = cast(Any, SimpleNamespace(settings=load(overrides={"data.source": str(source)}), home=tmp_path / "home"))
    predictor = cast(Any, SimpleNamespace(answer=lambda _pixels: np.zeros(3)))
    assert (labels_of(chain, list(COLOURS), Contract(32), predictor) is not None) is found
