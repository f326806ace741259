"""When to poll an install again: a rate per token, Retry-After honoured, and longer pauses after failures."""

from datetime import datetime, timedelta

from django.conf import settings

LONGEST = timedelta(hours=1)
"""Longest pause between two polls, however often an install failed."""
LONGEST_RETRY_AFTER = timedelta(days=1)
"""Limit for Retry-After; longer values are treated as errors and cut to this."""
DOUBLINGS = 10


def after_success(*, at: datetime) -> datetime:
    """Return when to poll an install again after a success at `at`."""
    return at + timedelta(seconds=settings.POLL_EVERY_S)


def after_failure(*, at: datetime, failures: int, retry_after_s: int | None, chance: float) -> datetime:
    """Return when to poll an install again after `failures` consecutive failures.

    The pause doubles with each failure. `chance`, from 0 to 1, shortens it by up to half, so that installs that failed
    together are not polled together again. The pause is never shorter than Retry-After.
    """
    full: timedelta = timedelta(seconds=settings.POLL_EVERY_S) * 2 ** min(max(failures, 1), DOUBLINGS)
    pause = min(full, LONGEST) * (1 - chance / 2)
    said = min(timedelta(seconds=retry_after_s or 0), LONGEST_RETRY_AFTER)
    return at + max(pause, said)
