"""Parallel transfers."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from infra.ports.values import OnBytes


@contextmanager
def pool_of(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool that at its end waits for running jobs and cancels those that have not started."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_all(threads: int, jobs: Sequence[tuple[Callable[[], object], int]], progress: OnBytes | None = None) -> None:
    """Run jobs in parallel; the first error ends it.

    Args:
        threads: how many jobs run at once.
        jobs: each with its bytes, which are reported when it is done.
        progress: called by this thread only.
    """
    with pool_of(threads) as pool:
        running = {pool.submit(job): size for job, size in jobs}
        for future in as_completed(running):
            future.result()
            if progress is not None:
                progress(running[future])
