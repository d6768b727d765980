"""Settings of experiment tracking."""

from pydantic import Field

from infra.settings.section import Section


class TrackingSettings(Section):
    """Finished trainings in Aim."""

    enabled: bool = Field(True, description="write trainings to the Aim repository of the home, where Aim is installed")
    port: int = Field(0, ge=0, le=65_535, description="port of Aim's pages; 0: 43800, or a free one that is then kept")
