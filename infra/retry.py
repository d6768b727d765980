"""Retries of transient errors: the one loop for a single call, and the delays of the one that Prefect runs for a stage.

Retries never multiply: an error that `retry` gives up on is marked, and no other loop repeats it.
"""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

from infra.errors import Transient

Result = TypeVar("Result")
MAX_DELAY = 20.0
MAX_AFTER = 300.0
"""Longest `Retry-After` that is waited for, in seconds; a longer one ends the attempts."""
JITTER = 0.5
"""A delay varies by this fraction, so that processes that failed together do not come back together."""


class RetryPolicy(Protocol):
    """How often and how slowly to retry; the settings `retry` are one."""

    @property
    def attempts(self) -> int:
        """Attempts in all, the first included."""
        ...

    @property
    def seconds(self) -> float:
        """Delay before the first retry; it doubles with each further one, up to `MAX_DELAY`."""
        ...


def retry(action: Callable[[], Result], policy: RetryPolicy, *, sleep: Callable[[float], None] = time.sleep) -> Result:
    """Call `action` until it succeeds; repeat it after a `Transient` error, not before the error's `after`.

    Args:
        action: may be repeated.
        policy: attempts and delays.
        sleep: waits for some seconds.

    Raises:
        Transient: the error of the last attempt, with `retried` set; at once when `retried` is set already.
    """
    remaining = delays(policy)
    while True:
        try:
            return action()
        except Transient as error:
            if not error.retried and not remaining:
                error.retried = True
                error.message += f" (tried {policy.attempts} times)" if policy.attempts > 1 else ""
            if not error.retried and error.after > MAX_AFTER:
                error.retried = True
                error.message += f" (it asks to wait {error.after:.0f} s)"
            if error.retried:
                raise
            after = error.after
        delay = remaining.pop(0) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter is not a secret
        sleep(max(delay, after))


def delays(policy: RetryPolicy) -> list[float]:
    """Seconds before each retry, without jitter; one fewer than there are attempts."""
    return [min(policy.seconds * 2**number, max(policy.seconds, MAX_DELAY)) for number in range(policy.attempts - 1)]


def is_retryable(error: object) -> bool:
    """Tell whether a loop further out may repeat what raised this error."""
    return isinstance(error, Transient) and not error.retried


def wait_of(header: str | None) -> float:
    """Return the seconds of a `Retry-After` header, a number or a date; 0 when there is none or it cannot be read."""
    text = (header or "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
