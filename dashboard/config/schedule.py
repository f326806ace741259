"""OpenTrain's retry schedule, from OPENTRAIN_RETRY_DELAYS_S and OPENTRAIN_RUN_INTERVAL_S, which nothing else reads.

The settings are read at each call, so a test can change them. The function is here because actions, presenters and
views all need it.
"""

from datetime import timedelta

from django.conf import settings

from dashboard.rules.schedule import Schedule


def schedule() -> Schedule:
    """Return when OpenTrain retries a failed delivery, and the interval of its delivery runs."""
    delays = tuple(timedelta(seconds=delay) for delay in settings.OPENTRAIN_RETRY_DELAYS_S)
    return Schedule(retry_delays=delays, run_interval=timedelta(seconds=settings.OPENTRAIN_RUN_INTERVAL_S))
