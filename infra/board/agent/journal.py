"""The journal of a board: its events with their times, one JSON object a line. Standard library only."""

import json
import os
import time
from typing import Any, Dict, List, Optional

from .files import ends_with_line


class Journal:
    """The journal in the file `path`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def note(self, event: str, release: str, **details: Any) -> None:
        """Add a line."""
        entry = dict(details, event=event, release=release, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        with open(self.path, "ab+") as file:
            torn = file.tell() > 0 and not ends_with_line(file)
            file.write((b"\n" if torn else b"") + json.dumps(entry, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> List[Dict[str, Any]]:
        """All entries, oldest first; a line that a power cut left incomplete is ignored."""
        entries = []
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                for line in file:
                    try:
                        entries.append(json.loads(line.decode()))
                    except ValueError:
                        continue
        return entries

    def last_smoke(self, release: str) -> Optional[Dict[str, Any]]:
        """The smoke test of a release when it was activated last; None when the journal has none."""
        for entry in reversed(self.entries()):
            if entry["event"] == "switch" and entry["release"] == release:
                return entry["smoke"]  # type: ignore[no-any-return]
        return None
