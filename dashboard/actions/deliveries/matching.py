"""When two tell of one attempt: our receiver, and the partner's own handler by the observations API.

An endpoint may be fed both ways, and then the handler that the receiver asks also reports what it saw. Both tellings
carry the delivery ID, and each the time by its own clock. They are of one attempt when those times are no further apart
than OpenTrain waits for an answer, because the handler is asked within that, and clocks may differ by as much; where
retries are closer together than that (as in the demo), half of their shortest distance.

The attempt is counted once, and the receiver is believed: it knows what OpenTrain was answered.
- An observation that comes second is known already, and changes nothing.
- One that came first, from a handler that reports before it answers, becomes the receiver's attempt under its number.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery
from dashboard.rules.schedule import OPENTRAIN_WAITS


def same_within() -> timedelta:
    """Return how far apart two tellings of one attempt may be."""
    closest = min(schedule().retry_delays, default=2 * OPENTRAIN_WAITS)
    return min(OPENTRAIN_WAITS, closest / 2)


def is_told_of(*, at: datetime, received: Iterable[datetime]) -> bool:
    """Tell whether an observation of `at` is of an attempt that the receiver took at one of the times `received`."""
    within = same_within()
    return any(abs(at - one) <= within for one in received)


def observed_already(*, delivery: Delivery, at: datetime) -> Attempt | None:
    """Return the observed attempt that the receiver's attempt of `at` is, the nearest if there are several."""
    within = same_within()
    near = delivery.attempts.filter(
        source=Attempt.Source.OBSERVED, received_at__gte=at - within, received_at__lte=at + within
    )
    return min(near, key=lambda one: abs(one.received_at - at), default=None)
