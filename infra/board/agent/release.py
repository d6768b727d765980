"""The release of this agent: its description, its golden outputs, and the input tensor of pictures."""

import json
import os
from typing import Any, Tuple

import numpy as np
import preprocess

from .failure import CORRUPT, REFUSED, Failure
from .model import Model

# The path behind the link `current`: a running program keeps its release when the link is switched.
FOLDER = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


class Release:
    """The description `release.json`.

    Attributes:
        folder: of the release.
        id: its name.
        labels: class names, in the order of the logits.
        input: the input contract, as in training.
        soc_version: the chip of the model.
        emulated: True when a stand-in made the model.
        tolerance: largest absolute logit difference that the smoke test accepts.
    """

    def __init__(self, folder: str = FOLDER) -> None:
        self.folder = folder
        path = os.path.join(folder, "release.json")
        try:
            with open(path, encoding="utf-8") as file:
                said = json.load(file)
            self.id = str(said["id"])
            self.labels = [str(label) for label in said["labels"]]
            self.input = preprocess.contract_from_json(said)
            self.soc_version = str(said["soc_version"])
            self.emulated = bool(said["emulated"])
            self.tolerance = float(said["tolerance"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(
                CORRUPT, f"{path} is missing or damaged: {type(error).__name__}: {error}", "deploy the release again"
            ) from error

    @property
    def model(self) -> str:
        """Path of the model."""
        return os.path.join(self.folder, "model.om")

    def place(self, name: str, otherwise: str) -> str:
        """Folder of the board for an installed release, such as `outputs`; else one with this name in `otherwise`."""
        place = os.path.dirname(self.folder)
        return os.path.join(os.path.dirname(place) if os.path.basename(place) == "releases" else otherwise, name)

    def golden(self) -> "Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """Images of the smoke test, uint8 [n, h, w, 3], and their golden logits, float32 [n, classes]."""
        return self._smoke("images"), self._smoke("logits")

    def golden_labels(self) -> "np.ndarray[Any, Any]":
        """The true classes of the smoke test's images, [n]."""
        return self._smoke("labels")

    def _smoke(self, name: str) -> "np.ndarray[Any, Any]":
        try:
            values = np.load(os.path.join(self.folder, "smoke", name + ".npy"), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise Failure(CORRUPT, f"the golden outputs cannot be read: {error}", "deploy the release again") from error
        return values  # type: ignore[no-any-return]

    def tensor(self, images: "np.ndarray[Any, Any]", model: Model) -> Any:
        """Input of the model for square images uint8 [n, side, side, 3]: pixels with AIPP, else normalised planes."""
        if model.nhwc and model.dtype == np.uint8:
            tensor = self.input.resize(images)
        else:
            tensor = self.input.tensor(images).astype(model.dtype)
        if tuple(model.dims[1:]) != tensor.shape[1:]:
            raise Failure(
                REFUSED,
                f"the model takes {list(model.dims)}, but pictures of size {self.input.size} make {list(tensor.shape)}",
                "release.json and model.om do not belong together; deploy the release again",
            )
        return tensor
