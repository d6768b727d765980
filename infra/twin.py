"""A shell of the twin: the stand-ins as programs and variables, as a machine with CANN and MoXing has the real ones."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.atc.toolkit import STAND_IN_MARK
from infra.errors import UserError
from infra.home import CHECKOUT
from infra.store.atomic import write_text

if TYPE_CHECKING:
    from infra.world import World

_ATC = f"""#!/bin/sh
{STAND_IN_MARK}
PYTHONPATH={{checkout}} exec {{python}} -m infra.atc.emulator.command "$@"
"""


def write_programs(home: Path) -> Path:
    """Write `atc` where the tutorials' exports look for it, below a folder like CANN's; return that folder."""
    root = home / "twin" / "ascend-toolkit" / "latest"
    text = _ATC.format(checkout=shlex.quote(str(CHECKOUT)), python=shlex.quote(sys.executable))
    for place in ("bin", "atc/bin", "compiler/bin"):
        atc = root / place / "atc"
        if not atc.exists() or atc.read_text(encoding="utf-8") != text:
            write_text(atc, text, mode=0o755)
    for folder in ("atc/ccec_compiler/bin", "compiler/ccec_compiler/bin", "compiler/lib64", "opp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    return root


def variables(world: "World", *, compatible: bool) -> dict[str, str]:
    """Start the stand-ins of object storage and ModelArts; return the variables with which programs reach them.

    Args:
        world: of a profile whose object storage and ModelArts are stand-ins.
        compatible: let Python programs use names of MindSpore 1.x.

    Raises:
        UserError: the settings name a real end point.
    """
    from infra.modelarts.emulator import server
    from infra.modelarts.emulator.access import variables as moxing_variables
    from infra.modelarts.emulator.container import COMPATIBILITY, MOXING
    from infra.modelarts.factory import stand_ins
    from infra.obs.emulator import seaweedfs

    settings = world.settings
    for name, endpoint in (("obs", settings.obs.endpoint), ("modelarts", settings.modelarts.endpoint)):
        if endpoint:
            raise UserError(f"{name}.endpoint names a real service, not a stand-in", hint="use --profile twin")
    for service in stand_ins(settings.modelarts, settings.obs, world.services, world.home):
        world.services.start(service)
    modelarts = server.reach(settings.modelarts, world.services, world.home)
    root = write_programs(world.home)
    paths = [MOXING, *([COMPATIBILITY] if compatible else [])]
    return {
        **moxing_variables(seaweedfs.reached(settings.obs, world.services, world.home)),
        "HUAWEICLOUD_SDK_AK": modelarts.access_key.get_secret_value(),
        "HUAWEICLOUD_SDK_SK": modelarts.secret_key.get_secret_value(),
        "HUAWEICLOUD_SDK_PROJECT_ID": modelarts.project_id,
        "MODELARTS_ENDPOINT": modelarts.endpoint,
        "install_path": str(root),
        "PATH": _prepended("PATH", [root / "bin", Path(sys.executable).parent]),
        "PYTHONPATH": _prepended("PYTHONPATH", paths),
    }


def _prepended(name: str, folders: list[Path]) -> str:
    """Return a list of folders with more at its beginning, each once."""
    wanted = [str(folder) for folder in folders]
    present = [part for part in os.environ.get(name, "").split(os.pathsep) if part and part not in wanted]
    return os.pathsep.join([*wanted, *present])
