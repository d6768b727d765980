"""The program `start` of a board: its modules as one zip archive, equal for equal sources."""

import io
import zipfile
from functools import cache

from infra.board.helper import AGENT, RELEASES

MODULES = (*RELEASES, "bundle", "start")
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = "import sys\nsys.dont_write_bytecode = True\nfrom board.start import main\nsys.exit(main(sys.argv[1:]))\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of the format


@cache
def start_program() -> bytes:
    """Build the archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        contents = {"__main__.py": _MAIN, "board/__init__.py": ""}
        contents |= {f"board/{name}.py": (AGENT / f"{name}.py").read_text(encoding="utf-8") for name in MODULES}
        for name, text in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return _SHEBANG + buffer.getvalue()
