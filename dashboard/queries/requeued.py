"""Deliveries that a call for all failed ones requeued although they had never reached Redeliver."""

from datetime import datetime

from django.db.models import Q

from dashboard.models import Endpoint
from dashboard.rules.deliveries import failed_if_before
from dashboard.rules.schedule import Schedule


def had_failed(*, endpoint: Endpoint, asked_at: datetime, schedule: Schedule) -> Q:
    """Return a filter for deliveries that OpenTrain had as failed at `asked_at`, by the time of their event.

    An auto-disable also fails deliveries that were never attempted, and attempts may fail before they reach Redeliver.
    Then the redelivery is the first attempt here, and only the event's age distinguishes it from a new delivery:
    - It is not younger than the auto-disable. Both times are from OpenTrain's clock.
    - Or it is so old that all of its attempts may be used. That is more than an hour, so clocks may differ by as much.
    """
    old = Q(event_created_at__lt=failed_if_before(asked_at=asked_at, schedule=schedule))
    learned_at = endpoint.disable_learned_at
    if endpoint.auto_disabled_at is None or learned_at is None or learned_at > asked_at:
        return old
    return old | Q(event_created_at__lte=endpoint.auto_disabled_at)
