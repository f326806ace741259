"""The search for endpoints whose regular deliveries have stopped."""

from datetime import timedelta

import pytest

from dashboard import tasks
from dashboard.actions import silence
from dashboard.models import Endpoint, Silence
from tests.factories import NOON, make_delivery, make_endpoint

HOUR = timedelta(hours=1)

DAY = timedelta(days=1)


def make_regular(*, every: timedelta, until: timedelta, count: int, **columns) -> Endpoint:
    """Create an endpoint with regular deliveries, the last one `until` before noon."""
    endpoint = make_endpoint(**columns)
    for number in range(count):
        at = NOON - until - number * every
        make_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at)
    return endpoint


@pytest.mark.django_db
def test_notice_finds_who_fell_silent_and_nobody_else() -> None:
    hourly = make_regular(every=5 * HOUR, until=13 * HOUR, count=34)
    daily = make_regular(every=DAY, until=49 * HOUR, count=7)
    make_regular(every=DAY, until=47 * HOUR, count=7)  # its usual gap
    make_regular(every=2 * DAY, until=60 * HOUR, count=7)  # not daily
    make_regular(every=DAY, until=49 * HOUR, count=7, status="DISABLED")
    make_regular(every=DAY, until=49 * HOUR, count=7, deleted_at=NOON)
    make_regular(every=DAY, until=15 * DAY, count=7)
    make_endpoint()
    assert silence.notice(now=NOON) == 2
    assert list(Silence.objects.order_by("endpoint").values_list("endpoint", "last_at", "rhythm", "noticed_at")) == [
        (hourly.pk, NOON - 13 * HOUR, "hours", NOON),
        (daily.pk, NOON - 49 * HOUR, "days", NOON),
    ]


@pytest.mark.django_db
def test_notice_forgets_a_silence_that_a_delivery_ended() -> None:
    endpoint = make_regular(every=DAY, until=49 * HOUR, count=7)
    silence.notice(now=NOON)
    make_delivery(endpoint=endpoint, first_received_at=NOON)
    assert silence.notice(now=NOON + HOUR) == 0
    assert not Silence.objects.exists()


@pytest.mark.django_db
def test_the_task_notices_by_the_clock() -> None:
    make_regular(every=DAY, until=49 * HOUR, count=7)  # years ago by the real clock
    tasks.notice_silence(timestamp=0)
    assert not Silence.objects.exists()
