"""What a shell offers after <TAB>: settings and their values, stages, boards, profiles."""

from collections.abc import Iterator

from infra.errors import AtlasFlowError
from infra.settings import PROFILES, load


def setting_names(incomplete: str) -> Iterator[str]:
    """Names of settings that begin so."""
    from tasks.settings import every_setting  # noqa: PLC0415 - only for who presses <TAB>

    yield from (item.entry.name for item in every_setting() if item.entry.name.startswith(incomplete))


def setting_values(incomplete: str) -> Iterator[str]:
    """`NAME=` for names of settings; after the `=` the values that the setting may have."""
    from tasks.settings import every_setting  # noqa: PLC0415

    name, equals, begun = incomplete.partition("=")
    for entry in (item.entry for item in every_setting() if not item.entry.secret):
        if not equals and entry.name.startswith(incomplete):
            yield f"{entry.name}="
        elif equals and entry.name == name:
            yield from (f"{name}={choice}" for choice in entry.choices if choice.startswith(begun))


def stages(incomplete: str) -> Iterator[str]:
    """Names of stages that begin so."""
    from tasks.pipeline import EVERY_NAME  # noqa: PLC0415

    yield from (name for name in EVERY_NAME if name.startswith(incomplete))


def boards(incomplete: str) -> Iterator[str]:
    """Names of boards that begin so; none while the settings are wrong."""
    try:
        known = load().boards
    except AtlasFlowError:
        return
    yield from (name for name in known if name.startswith(incomplete))


def profiles(incomplete: str) -> Iterator[str]:
    """Names of shipped profiles that begin so."""
    yield from sorted(path.stem for path in PROFILES.glob("*.toml") if path.stem.startswith(incomplete))
