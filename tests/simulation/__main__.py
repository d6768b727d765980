"""Run schedules: `python -m tests.simulation --count 10000`, or one again: `--scenario work --seed 17`."""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.run import MIX, SCENARIOS, Outcome, scenario_of, schedule


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help=f"one kind; by default a mix: {' '.join(MIX)}")
    parser.add_argument("--seed", type=int, help="run this schedule alone, and show what happened")
    options = parser.parse_args()
    if options.seed is not None:
        return _show(schedule(options.scenario or scenario_of(options.seed), options.seed))
    begun, steps = time.perf_counter(), 0
    kinds: Counter[str] = Counter()
    failed: list[Outcome] = []
    seeds = range(options.first, options.first + options.count)
    with ProcessPoolExecutor(options.workers) as pool:
        for found in pool.map(partial(_one, options.scenario), seeds, chunksize=20):
            steps += found.steps
            kinds[found.scenario] += 1
            if found.violation:
                failed.append(found)
                print(f"--scenario {found.scenario} --seed {found.seed}: {found.violation}", flush=True)
    seconds = time.perf_counter() - begun
    said = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()))
    print(f"{options.count} schedules ({said}), {steps:,} steps in {seconds:.0f} s: {len(failed)} violations")
    return 1 if failed else 0


def _one(scenario: str | None, seed: int) -> Outcome:
    return schedule(scenario or scenario_of(seed), seed)


def _show(found: Outcome) -> int:
    print("\n".join(found.trace))
    print(found.violation or "all invariants hold")
    return 1 if found.violation else 0


if __name__ == "__main__":
    sys.exit(main())
