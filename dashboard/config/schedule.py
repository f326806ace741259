"""OpenTrain's retry schedule, from OPENTRAIN_RETRY_DELAYS_S and OPENTRAIN_RUN_INTERVAL_S, which nothing else reads.

Beside it, how often Redeliver reads contracts.

The settings are read at each call, so a test can change them. The function is here because actions, presenters and
views all need it.
"""

from datetime import timedelta
from functools import lru_cache

from django.conf import settings

from dashboard.rules.schedule import Schedule


def schedule() -> Schedule:
    """Return when OpenTrain retries a failed delivery, and the interval of its delivery runs."""
    return _schedule(tuple(settings.OPENTRAIN_RETRY_DELAYS_S), settings.OPENTRAIN_RUN_INTERVAL_S)


def reconcile_every() -> timedelta:
    """Return the interval of the reads of each install's links and contracts, from RECONCILE_EVERY_S."""
    return timedelta(seconds=settings.RECONCILE_EVERY_S)


@lru_cache(maxsize=2)
def _schedule(delays_s: tuple[float, ...], run_interval_s: float) -> Schedule:
    delays = tuple(timedelta(seconds=delay) for delay in delays_s)
    return Schedule(retry_delays=delays, run_interval=timedelta(seconds=run_interval_s))
