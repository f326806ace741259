"""Which deliveries that never reached Redeliver a call for all failed ones may have brought."""

from datetime import timedelta

import pytest

from dashboard.models import Delivery
from dashboard.queries.requeued import had_failed
from dashboard.rules.schedule import Schedule
from tests.factories import NOON, make_delivery, make_endpoint

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
SCHEDULE = Schedule(retry_delays=tuple(delay * MINUTE for delay in (1, 5, 30, 120)), run_interval=5 * MINUTE)
REMEMBERED = {"auto_disabled_at": NOON - 40 * MINUTE, "disable_learned_at": NOON - MINUTE}


@pytest.mark.parametrize(
    ("columns", "created", "found"),
    [
        ({}, -156, True),  # all of its attempts may be used, and OpenTrain's clock may be over an hour off
        ({}, -79, True),
        ({}, -78, False),
        ({}, 0, False),
        ({}, 10, False),
        (REMEMBERED, -41, True),  # failed by the disable: both times are OpenTrain's
        (REMEMBERED, -40, True),
        (REMEMBERED, -39, False),
        (REMEMBERED, -79, True),
        (REMEMBERED | {"auto_disabled_at": NOON + 5 * MINUTE}, 4, True),
        (REMEMBERED | {"auto_disabled_at": NOON + 5 * MINUTE}, 6, False),
        (REMEMBERED | {"disable_learned_at": NOON + MINUTE}, -41, False),  # the disable came after the request
        (REMEMBERED | {"disable_learned_at": None}, -41, False),
        ({}, None, False),
    ],
)
def test_age_of_an_event_tells_whether_its_delivery_had_failed(columns, created: int | None, found: bool) -> None:
    endpoint = make_endpoint(**columns)
    at = None if created is None else NOON + created * MINUTE
    make_delivery(endpoint=endpoint, event_created_at=at)
    failed = Delivery.objects.filter(had_failed(endpoint=endpoint, asked_at=NOON, schedule=SCHEDULE))
    assert failed.exists() is found
