"""AtlasFlow from a script or a notebook: `atlasflow.Project().run()` (docs/python.md)."""

from flows.project.project import Project
from flows.project.result import RunResult
from infra.errors import AtlasFlowError, Corrupt, GateFailed, Refused, Transient, UserError

__all__ = ["AtlasFlowError", "Corrupt", "GateFailed", "Project", "Refused", "RunResult", "Transient", "UserError"]
