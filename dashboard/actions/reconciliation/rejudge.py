"""Judges installs between two reads of their contracts, without a call to OpenTrain.

So that what is not seen yet becomes missing when its time is over, and a finding closes soon after its event has come.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache

from dashboard.actions.reconciliation.judge import judge
from dashboard.queries.unjudged import installs_to_judge, newest_delivery

logger = logging.getLogger(__name__)

LOOKED_AT = "redeliver.rejudge.deliveries"
"""The cache has the newest delivery of the last two times. Its loss does no harm: what came until then is seen when
contracts are read."""


@dataclass(frozen=True, slots=True)
class Rejudged:
    """Numbers of installs that were judged, and of those that could not be."""

    installs: int = 0
    failed: int = 0


def rejudge(*, clock: Callable[[], datetime], budget: timedelta) -> Rejudged:
    """Judge the installs whose findings may be other ones by now, for at most `budget`.

    A delivery is looked at twice: one that was being inserted may be committed after newer ones.
    """
    ends = time.monotonic() + budget.total_seconds()
    newest = newest_delivery()
    known = cache.get(LOOKED_AT)
    before_last, last = known or (newest, newest)
    judged = failed = 0
    for install_id in installs_to_judge(after=before_last, newest=newest, now=clock()):
        if time.monotonic() >= ends:
            return Rejudged(judged, failed)
        try:
            judge(install_id=install_id, now=clock())
        except Exception:
            logger.exception("install %s: its contracts could not be judged", install_id)
            failed += 1
        judged += 1
    if known != (last, newest):
        cache.set(LOOKED_AT, (last, newest), timeout=None)
    return Rejudged(judged, failed)
