"""When what boards see is not what the model was made for."""

from pydantic import Field

from infra.settings.section import Section


class DriftSettings(Section):
    """Bounds of the population stability index of a quantity (`tasks/retrain/drift.py`)."""

    notice: float = Field(0.1, gt=0, description="from here on a quantity has shifted")
    limit: float = Field(0.25, gt=0, description="from here on it has drifted, a reason to train again")
    min_images: int = Field(200, ge=1, description="fewer tell nothing: chance alone gives 0.05 for 200")
