"""Find a CANN toolkit on this machine: its `atc`, its environment and its version.

Source: docs/reference/atc.md §3.1, boards.md §5.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.atc.kernels import compiles
from infra.errors import Refused, UserError

SCRIPTS = (
    "/usr/local/Ascend/ascend-toolkit/set_env.sh",
    "~/Ascend/ascend-toolkit/set_env.sh",
    "/usr/local/Ascend/cann/set_env.sh",
    "~/Ascend/cann/set_env.sh",
)
STAND_IN_MARK = "# AtlasFlow's stand-in for ATC"
"""A line of the program `atc` that `atlasflow twin env` puts on PATH: it is no toolkit."""
_HOMES = ("ASCEND_TOOLKIT_HOME", "ASCEND_HOME_PATH")
_SOURCE_SECONDS = 60
_VERSION = re.compile(r"^\s*version\s*=\s*\[?([^\s\]]+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Toolkit:
    """An installed CANN toolkit.

    Attributes:
        atc: the command.
        version: of the toolkit, or a digest of the command when no file has the version.
        environment: variables that set_env.sh sets; empty when this process has them already.
        python: version of the `python3` that ATC runs to compile operators; empty when there is none.
        home: its folder, where set_env.sh names one.
    """

    atc: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    home: Path | None = None


def find_toolkit(scripts: Sequence[str] = SCRIPTS) -> Toolkit | None:
    """Find the toolkit on PATH or in its usual places; None when there is none.

    Raises:
        Refused: its set_env.sh does not work.
    """
    environment: dict[str, str] = {}
    if "ASCEND_OPP_PATH" not in os.environ:  # set_env.sh sets it
        script = next((path for path in (Path(item).expanduser() for item in scripts) if path.is_file()), None)
        environment = source(script) if script is not None else {}
    combined = {**os.environ, **environment}
    atc = _which(combined.get("PATH", ""))
    if atc is None:
        return None
    return _toolkit(atc, combined, environment)


def _toolkit(atc: str, combined: Mapping[str, str], environment: dict[str, str]) -> Toolkit:
    """The toolkit of an `atc`, from all variables that it will have, and those that are added for it."""
    home = next((Path(combined[name]) for name in _HOMES if combined.get(name)), None)
    if home is not None and (libraries := _stub_libraries(home, combined)):
        environment["LD_LIBRARY_PATH"] = libraries
    return Toolkit(Path(atc), _version(Path(atc), home), environment, _python(combined), home)


def find_toolkits(more: Sequence[str] = (), scripts: Sequence[str] = SCRIPTS) -> tuple[Toolkit, ...]:
    """The toolkit that `find_toolkit` finds, others in the usual places, and those that the settings name.

    Args:
        more: environment scripts of further toolkits, which have the operators of other chips.
        scripts: the usual places.

    Raises:
        UserError: one of `more` is no file, or brings no `atc`.
        Refused: a script does not work.
    """
    first = find_toolkit(scripts)
    if first is None and not more:
        return ()
    usual = [text for text in scripts if Path(text).expanduser().is_file()]
    found = [first] if first is not None else []
    for text in dict.fromkeys((*usual, *more)):
        further = _opened(Path(text).expanduser(), text)
        if further.atc not in {toolkit.atc for toolkit in found}:
            found.append(further)
    return tuple(found)


def _opened(script: Path, text: str) -> Toolkit:
    if not script.is_file():
        raise UserError(
            f"there is no script {text}, which atc.toolkits names", hint="name the set_env.sh of an installation path"
        )
    environment = source(script)
    combined = {**os.environ, **environment}
    atc = _which(combined.get("PATH", ""))
    if atc is None:
        raise UserError(f"{text} brings no atc", hint="install the toolkit at that path, too")
    return _toolkit(atc, combined, environment)


def toolkit_for(toolkits: Sequence[Toolkit], soc_version: str) -> Toolkit | None:
    """The first toolkit with the operators of a chip; else the first, whose compiler will say what is missing."""
    fitting = (found for found in toolkits if compiles(found.home, soc_version))
    return next(fitting, toolkits[0] if toolkits else None)


def _which(path: str) -> str | None:
    """Find the first `atc` on a search path that is not the stand-in."""
    for folder in path.split(os.pathsep):
        atc = shutil.which("atc", path=folder) if folder else None
        if atc is not None and not _is_stand_in(Path(atc)):
            return atc
    return None


def _is_stand_in(atc: Path) -> bool:
    with atc.open("rb") as program:
        return STAND_IN_MARK.encode() in program.read(1000)


def source(script: Path) -> dict[str, str]:
    """Run a set_env.sh and return the variables that it sets or changes.

    Raises:
        Refused: it fails or hangs.
    """
    try:
        done = subprocess.run(
            ["bash", "-c", 'source "$1" >/dev/null && env -0', "bash", str(script)],  # noqa: S607 - the user's bash
            capture_output=True, timeout=_SOURCE_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"{script} cannot be sourced: {error}", hint="install the CANN toolkit again") from error
    pairs = (item.partition("=") for item in done.stdout.decode(errors="surrogateescape").split("\0") if item)
    found = {name: value for name, _, value in pairs}
    return {
        name: value for name, value in found.items() if os.environ.get(name) != value and name not in ("_", "SHLVL")
    }


def _python(environment: Mapping[str, str]) -> str:
    """The version of the system's `python3`, in which ATC compiles operators.

    Source: docs/reference/atc.md §3.1.
    """
    python = shutil.which("python3", path=environment.get("PATH", ""))
    if python is None:
        return ""
    try:
        done = subprocess.run(
            [python, "-S", "-c", "import platform; print(platform.python_version())"],
            capture_output=True, text=True, timeout=_SOURCE_SECONDS, check=True, env=dict(environment),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"{python} does not run: {error}", hint="ATC needs a working python3") from error
    return done.stdout.strip()


def _stub_libraries(home: Path, environment: Mapping[str, str]) -> str:
    """LD_LIBRARY_PATH that ends with the toolkit's stubs, on a machine without a driver; else empty.

    Before the real libraries, the stubs would hide them (docs/reference/atc.md §3.1, pitfalls.md §8.14).
    """
    present = environment.get("LD_LIBRARY_PATH", "").split(":")
    if any((Path(folder) / "libascend_hal.so").is_file() for folder in present if folder):
        return ""
    candidates = (home / f"{platform.machine()}-linux" / "devlib", home / "runtime" / "lib64" / "stub")
    stubs = next((folder for folder in candidates if folder.is_dir()), None)
    return ":".join([*filter(None, present), str(stubs)]) if stubs is not None else ""


def _version(atc: Path, home: Path | None) -> str:
    files: tuple[Path, ...] = ()
    if home is not None:
        files = (
            home / f"{platform.machine()}-linux" / "ascend_toolkit_install.info",
            home / "compiler" / "version.info",
            home / "share" / "info" / "runtime" / "version.info",
        )
    for file in files:
        if file.is_file() and (match := _VERSION.search(file.read_text(encoding="utf-8", errors="replace"))):
            return match[1]
    with atc.open("rb") as program:
        return f"sha256-{hashlib.file_digest(program, 'sha256').hexdigest()[:16]}"
