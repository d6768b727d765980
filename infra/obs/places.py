"""Where things lie in the bucket: each place is named by the digest of what is there."""

from infra.home import CHECKOUT
from infra.settings import ObsSettings

# What ModelArts gets as code_dir; `main.py` in it is the boot file.
MODELS = CHECKOUT / "models"


def data_prefix(settings: ObsSettings, digest: str) -> str:
    """Key prefix of a data set."""
    return f"{settings.prefix}/data/{digest[:16]}"


def code_prefix(settings: ObsSettings, digest: str) -> str:
    """Key prefix of a state of `models/`."""
    return f"{settings.prefix}/code/{digest[:16]}/models"


def address(settings: ObsSettings, prefix: str) -> str:
    """The address of a folder in the bucket of the settings."""
    return f"obs://{settings.bucket}/{prefix}/"
