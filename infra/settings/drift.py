"""Settings of the comparison of what boards see with the evaluation images."""

from pydantic import Field

from infra.settings.section import Section


class DriftSettings(Section):
    """Bounds of the population stability index (PSI) of a quantity (`tasks/retrain/drift.py`)."""

    notice: float = Field(0.1, gt=0, description="PSI from which a quantity counts as shifted")
    limit: float = Field(0.25, gt=0, description="PSI from which it counts as drifted, a reason to retrain")
    min_images: int = Field(200, ge=1, description="least number of images; chance alone gives a PSI of 0.05 for 200")
