"""When to read an install again: a rate per token, Retry-After honoured, and longer pauses after failures."""

from datetime import datetime, timedelta

LONGEST = timedelta(hours=1)
"""Longest pause between two reads, however often an install failed."""
LONGEST_RETRY_AFTER = timedelta(days=1)
"""Limit for Retry-After; longer values are treated as errors and cut to this."""
DOUBLINGS = 10


def after_success(*, at: datetime, every_s: int) -> datetime:
    """Return when to read an install again after a success at `at`."""
    return at + timedelta(seconds=every_s)


def after_failure(*, at: datetime, failures: int, retry_after_s: int | None, chance: float, every_s: int) -> datetime:
    """Return when to read an install again after `failures` consecutive failures.

    The pause doubles with each failure. `chance`, from 0 to 1, shortens it by up to half, so that installs that failed
    together are not read together again. The pause is never shorter than Retry-After.
    """
    full: timedelta = timedelta(seconds=every_s) * 2 ** min(max(failures, 1), DOUBLINGS)
    pause = min(full, LONGEST) * (1 - chance / 2)
    said = min(timedelta(seconds=retry_after_s or 0), LONGEST_RETRY_AFTER)
    return at + max(pause, said)
