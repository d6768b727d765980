"""The release that this agent belongs to: its description, its golden outputs, and how pictures become its input."""

import json
import os
from typing import Any, Tuple

import numpy as np
import preprocess

from .failure import CORRUPT, REFUSED, Failure
from .model import Model
from .observations import FILE

# Behind the link `current`: what runs must not change when that is switched.
FOLDER = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


class Release:
    """What `release.json` says.

    Attributes:
        folder: where the release lies.
        id: its name.
        labels: class names, in the order of the logits.
        image_size: height and width of the network's input in pixels.
        normalisation: the contract that the network was trained with.
        soc_version: what the model was compiled for.
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
            self.image_size = int(said["image_size"])
            contract = said["normalisation"]
            self.normalisation = preprocess.Normalisation(
                tuple(contract["mean"]), tuple(contract["std"]), contract["order"]
            )
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

    def outputs(self, folder: str) -> str:
        """Where `watch` writes: the board's own outputs, from where they are fetched; elsewhere beside the pictures."""
        place = os.path.dirname(self.folder)
        return os.path.join(os.path.dirname(place) if os.path.basename(place) == "releases" else folder, "outputs")

    def summary(self, output: str) -> str:
        """Where `watch` counts what it sees: in the board's folder; elsewhere among its other outputs."""
        place = os.path.dirname(self.folder)
        return os.path.join(os.path.dirname(place) if os.path.basename(place) == "releases" else output, FILE)

    def golden(self) -> "Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """The smoke test's images, uint8 [n, h, w, 3], and the logits they must give, float32 [n, classes]."""
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
        """What the model takes for images uint8 [n, h, w, 3] of any size: pixels with AIPP, else normalised planes."""
        size = self.image_size
        images = preprocess.resize(images, size)
        if model.nhwc and model.dtype == np.uint8:
            tensor = images
        else:
            tensor = preprocess.normalise(images, self.normalisation).astype(model.dtype)
        if tuple(model.dims[1:]) != tensor.shape[1:]:
            raise Failure(
                REFUSED,
                f"the model takes {list(model.dims)}, but pictures of size {size} make {list(tensor.shape)}",
                "release.json and model.om do not belong together; deploy the release again",
            )
        return tensor
