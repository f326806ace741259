"""When an install may be asked again: a budget for each token, Retry-After honoured, longer pauses after failures."""

from datetime import datetime, timedelta

from django.conf import settings

LONGEST = timedelta(hours=1)
"""However often it failed, an install is asked once in so long."""
LONGEST_RETRY_AFTER = timedelta(days=1)
"""A Retry-After beyond this makes no sense."""
DOUBLINGS = 10


def after_success(*, at: datetime) -> datetime:
    """Return when to ask an install again that answered when it was asked `at`."""
    return at + timedelta(seconds=settings.POLL_EVERY_S)


def after_failure(*, at: datetime, failures: int, retry_after_s: int | None, chance: float) -> datetime:
    """Return when to ask an install again that has failed so many times in a row.

    The pause doubles with each failure; `chance`, from 0 to 1, takes up to half of it away, so that installs which
    failed together do not come back together. What OpenTrain said itself is never gone below.
    """
    full: timedelta = timedelta(seconds=settings.POLL_EVERY_S) * 2 ** min(max(failures, 1), DOUBLINGS)
    pause = min(full, LONGEST) * (1 - chance / 2)
    said = min(timedelta(seconds=retry_after_s or 0), LONGEST_RETRY_AFTER)
    return at + max(pause, said)
