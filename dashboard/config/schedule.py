"""How OpenTrain goes about a failed delivery, as the settings say: the one reader of OPENTRAIN_RETRY_DELAYS_S and
OPENTRAIN_RUN_INTERVAL_S.

It is read at each call, so that a test can change a setting. Here, because actions, presenters and views all need it.
"""

from datetime import timedelta

from django.conf import settings

from dashboard.rules.schedule import Schedule


def schedule() -> Schedule:
    """Return when OpenTrain tries a failed delivery again, and how often its delivery run comes."""
    delays = tuple(timedelta(seconds=delay) for delay in settings.OPENTRAIN_RETRY_DELAYS_S)
    return Schedule(retry_delays=delays, run_interval=timedelta(seconds=settings.OPENTRAIN_RUN_INTERVAL_S))
