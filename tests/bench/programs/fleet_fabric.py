"""Copy a release to boards and try it there with Fabric's ThreadingGroup: started by `tests.bench.fleet`.

    fleet_fabric.py PORT USER KEY RELEASE NUMBER FOLDER COMMAND

Boards are folders `FOLDER-<i>` behind one SSH server. COMMAND has `{board}` where the board's folder belongs.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from fabric import Connection, ThreadingGroup


class Board(Connection):
    """A connection whose paths belong to one board."""

    def put(self, local: Any, remote: Any) -> Any:
        return super().put(local, f"{self['board']}/{remote}")

    def run(self, command: Any, **options: Any) -> Any:
        return super().run(command.replace("{board}", self["board"]), **options)

    def __getitem__(self, name: Any) -> Any:
        return self.__dict__["folder"] if name == "board" else self._get(name)

    def _identity(self) -> Any:
        return (*super()._identity(), self.__dict__["folder"])


def main() -> None:
    port, user, key, release, number, folder, command = sys.argv[1:]
    boards = []
    for index in range(int(number)):
        board = Board(
            "127.0.0.1", user=user, port=int(port), connect_kwargs={"key_filename": key, "look_for_keys": False}
        )
        board.__dict__["folder"] = f"{folder}-{index}"
        boards.append(board)
    begun = time.perf_counter()
    group = ThreadingGroup.from_connections(boards)
    files = sorted(path for path in Path(release).rglob("*") if path.is_file())
    folders = sorted({str(path.relative_to(release).parent) for path in files})
    group.run("mkdir -p " + " ".join(f"{{board}}/{name}" for name in folders), hide=True)
    for path in files:
        group.put(str(path), str(path.relative_to(release)))
    results = group.run(command, hide=True)
    ok = sum(json.loads(result.stdout.splitlines()[-1])["agreement"] == 1.0 for result in results.values())
    group.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the parent's
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - begun,
                "ok": ok,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_kilobytes": int(status.partition("VmHWM:")[2].split()[0]),
            }
        )
    )


if __name__ == "__main__":
    main()
