"""Deploy a release to boards with AtlasFlow's own rollout, without Prefect: run by `tests.bench.fleet`.

fleet_atlasflow.py PORT USER KEY HOST_KEY RELEASE NUMBER FOLDER AT_ONCE HOME
"""

import json
import resource
import sys
import time
from pathlib import Path

from infra.fleet import Fleet
from infra.settings import BoardSettings, load
from infra.store.artifacts import folder_files
from infra.world import World
from tasks.engine.reporter import Silent
from tasks.fleet.deployment import deploy_to
from tasks.fleet.events import Outcome, Policy
from tasks.fleet.rollout import begin, board_rows, deploy_wave
from tasks.fleet.waves import cut_waves


def main() -> None:
    port, user, key, host_key, release, number, folder, at_once, home = sys.argv[1:]
    settings = load()
    boards = {
        f"board-{index}": BoardSettings(
            address="127.0.0.1", port=int(port), user=user, key=key, host_key=host_key, folder=f"{folder}-{index}"
        )
        for index in range(int(number))
    }
    world = World(settings.model_copy(update={"boards": boards}), Path(home))
    for index in range(int(number)):  # as `boards add` does when a board is set up
        world.board(f"board-{index}").give_keyring(world.board_keyring(f"board-{index}", stand_in=True))
    begun = time.perf_counter()
    fleet = Fleet(Path(home))
    releases = fleet.keep(folder_files(Path(release))[1], release)
    opened = begin(fleet, releases, Policy(cut_waves(list(boards), []), limit=int(at_once)))
    deploy_wave(opened, fleet, lambda name: deploy_to(world, releases, name), Silent())
    rows = board_rows(opened)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the parent's
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - begun,
                "ok": sum(row.outcome == Outcome.CHANGED for row in rows),
                "problems": [row.message for row in rows if row.outcome != Outcome.CHANGED][:3],
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_kilobytes": int(status.partition("VmHWM:")[2].split()[0]),
            }
        )
    )


if __name__ == "__main__":
    main()
