"""The operator packages of a toolkit: for which chips it can compile."""

from pathlib import Path

# Where a toolkit keeps the operators of a chip (GE26 `--modify_mixlist.md`), by the beginning of the chip's name.
_FOLDER = "opp/built-in/op_impl/ai_core/tbe/config"
_FAMILIES = (
    ("Ascend910_93", "ascend910_93"), ("Ascend910B1", "ascend910b"), ("Ascend910B2", "ascend910b"),
    ("Ascend910B3", "ascend910b"), ("Ascend910B4", "ascend910b"), ("Ascend910", "ascend910"),
    ("Ascend310B", "ascend310b"), ("Ascend310P", "ascend310p"), ("Ascend310", "ascend310"),
    ("Ascend610Lite", "ascend610lite"), ("Ascend610", "ascend610"),
)  # fmt: skip


def family(soc_version: str) -> str:
    """The package that a chip needs, such as `ascend310p`; empty for an unknown chip."""
    return next((folder for start, folder in _FAMILIES if soc_version.startswith(start)), "")


def families_in(home: Path | None) -> tuple[str, ...]:
    """The packages that a toolkit has; none when its folder does not say."""
    if home is None or not (home / _FOLDER).is_dir():
        return ()
    return tuple(sorted(path.name for path in (home / _FOLDER).iterdir() if path.is_dir()))


def compiles(home: Path | None, soc_version: str) -> bool:
    """Whether a toolkit has the operators of a chip; True where either is unknown, and ATC itself will say."""
    found, wanted = families_in(home), family(soc_version)
    return not found or not wanted or wanted in found
