"""The phases of jobs (docs/reference/modelarts.md §1.3) and the statuses of notebook instances."""

from enum import StrEnum


class Phase(StrEnum):
    """The phase of a job; an unknown or absent one reads as `UNKNOWN`."""

    CREATING = "Creating"
    PENDING = "Pending"
    RUNNING = "Running"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    COMPLETED = "Completed"
    FAILED = "Failed"
    ABNORMAL = "Abnormal"
    UNKNOWN = "Unknown"

    @classmethod
    def _missing_(cls, value: object) -> "Phase":  # noqa: ARG003 - the signature is the library's
        return cls.UNKNOWN


FINAL_PHASES = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.TERMINATED, Phase.ABNORMAL})
"""A job in one of these no longer changes (unconfirmed for Abnormal: `modelarts.abnormal_is_final`)."""

STOPPED_PHASES = frozenset({Phase.TERMINATING, Phase.TERMINATED})
"""A job in one of these was stopped by a request."""


class NotebookStatus(StrEnum):
    """The status of an instance (the SDK's model NotebookResp); an unlisted one reads as `UNKNOWN`."""

    INIT = "INIT"
    CREATING = "CREATING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    SNAPSHOTTING = "SNAPSHOTTING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    CREATE_FAILED = "CREATE_FAILED"
    START_FAILED = "START_FAILED"
    DELETE_FAILED = "DELETE_FAILED"
    ERROR = "ERROR"
    FROZEN = "FROZEN"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> "NotebookStatus":  # noqa: ARG003 - the signature is the library's
        return cls.UNKNOWN
