"""The probation of a new release: the live images that it must still answer before it is trusted (watchdog.py)."""

import json
from typing import Dict, NamedTuple, Optional, Union

from .files import write

LIVE_IMAGES = 8  # live images that a new release must answer before it is trusted


class Standing(NamedTuple):
    """How a release stands.

    Attributes:
        images: live images that it must still answer; 0 when it is trusted.
        deaths: its programs in a row that ended abnormally while they answered live images.
    """

    images: int
    deaths: int


class Probation:
    """The probation in the file `path`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def of(self, release: Optional[str]) -> Standing:
        """How a release stands; trusted when another one, or none, is on probation."""
        try:
            with open(self.path, encoding="utf-8") as file:
                said = json.load(file)
        except FileNotFoundError:
            return Standing(0, 0)
        if said["release"] != release:
            return Standing(0, 0)
        return Standing(int(said.get("images", 0)), int(said.get("deaths", 0)))

    def record(self, release: str, images: int, deaths: int = 0) -> None:
        """Record the live images that a release must still answer, and the abnormal ends of its program."""
        said: Dict[str, Union[str, int]] = {"release": release, "images": images, "deaths": deaths}
        write(self.path, json.dumps(said))
