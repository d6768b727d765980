"""Settings of the robustness measurement."""

from typing import Literal

from pydantic import Field

from infra.settings.section import Section

# The names of `models/data/corruption.py`.
Corruption = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "motion_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
]
Severity = Literal[1, 2, 3, 4, 5]


class RobustnessSettings(Section):
    """The corrupted evaluation images of the stages `corrupt` and `robustness`."""

    corruptions: tuple[Corruption, ...] = Field(
        ("gaussian_noise", "defocus_blur", "contrast", "jpeg_compression", "brightness"),
        min_length=1,
        description="corruptions to apply",
    )
    severities: tuple[Severity, ...] = Field((1, 3, 5), min_length=1, description="of each corruption, 1 to 5")
    images: int = Field(1000, ge=1, description="number of evaluation images to corrupt, from the first")
    seed: int = Field(1, ge=0, description="seed of noise and blur directions")
