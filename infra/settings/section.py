"""The base of every group of settings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. Unknown keys are errors; every field has a `description`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
