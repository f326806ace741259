"""Matching of two reports of one attempt: our receiver's, and the partner's handler's through the observations API.

If an endpoint uses both, the handler behind the receiver also reports what it saw. Both reports carry the delivery ID
and a time by their own clock. They describe one attempt if their times differ by no more than OpenTrain's response
timeout: the handler is called within it, and clocks may differ by as much. If retries are closer together (as in the
demo), the limit is half of the shortest delay between them.

The attempt is counted once, and the receiver's report wins, because it knows the response that OpenTrain got.
- An observation that comes second is already known and changes nothing.
- An observation that comes first, because the handler reports before it responds, becomes the receiver's attempt and
  keeps its number.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery
from dashboard.rules.schedule import OPENTRAIN_WAITS


def same_within() -> timedelta:
    """Return the largest time difference between two reports of one attempt."""
    closest = min(schedule().retry_delays, default=2 * OPENTRAIN_WAITS)
    return min(OPENTRAIN_WAITS, closest / 2)


def is_told_of(*, at: datetime, received: Iterable[datetime]) -> bool:
    """Return whether an observation at `at` describes an attempt that the receiver took at a time in `received`."""
    within = same_within()
    return any(abs(at - one) <= within for one in received)


def observed_of(deliveries: Iterable[Delivery]) -> dict[int, list[Attempt]]:
    """Return the observed attempts of each delivery, by its primary key, with what `attempts.confirm` needs of them."""
    found: dict[int, list[Attempt]] = defaultdict(list)
    observed = Attempt.objects.filter(delivery__in=deliveries, source=Attempt.Source.OBSERVED)
    for one in observed.only("delivery_id", "number", "received_at"):
        found[one.delivery_id].append(one)
    return found


def observed_already(*, observed: Iterable[Attempt], at: datetime) -> Attempt | None:
    """Return the observed attempt that matches the receiver's attempt at `at`: the nearest if there are several."""
    within = same_within()
    near = [one for one in observed if abs(one.received_at - at) <= within]
    return min(near, key=lambda one: abs(one.received_at - at), default=None)
