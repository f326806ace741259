"""Attempts counted over time: each at its own time, nothing invented, and reads within the limit."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import EndpointSnapshot
from dashboard.queries import attempt_counts
from dashboard.queries.attempt_counts import Bucket, count_over_time, recorded
from tests.factories import NOON, make_attempt, make_delivery, make_endpoint, make_failed_delivery

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_each_attempt_is_in_the_bucket_that_it_was_made_in() -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint, last_attempt_at=NOON)
    make_delivery(endpoint=endpoint, last_attempt_at=NOON + HOUR - timedelta(microseconds=1), last_ok=False)
    make_delivery(endpoint=endpoint, last_attempt_at=NOON + HOUR)
    make_delivery(endpoint=endpoint, last_attempt_at=NOON + 3 * HOUR)
    make_delivery(endpoint=endpoint, last_attempt_at=NOON - timedelta(microseconds=1))
    make_delivery(last_attempt_at=NOON)
    counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + 3 * HOUR, width=HOUR, buckets=3)
    assert counts.buckets == (Bucket(NOON, 1, 1), Bucket(NOON + HOUR, 1, 0), Bucket(NOON + 2 * HOUR, 0, 0))
    assert counts.complete
    assert [counts.total(of=name) for name in ("taken", "failed")] == [2, 1]


def test_outage_stays_after_its_deliveries_are_delivered_again() -> None:
    """Plotted by their present state, the failures of an outage vanished with the recovery."""
    endpoint = make_endpoint()
    for number in range(3):
        taken_at = NOON + 2 * HOUR + number * MINUTE
        delivery = make_delivery(endpoint=endpoint, attempt_count=3, last_attempt_at=taken_at)
        for at, ok in ((NOON, False), (NOON + HOUR, False), (taken_at, True)):
            make_attempt(delivery=delivery, number=at.hour, received_at=at, ok=ok)
    counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + 3 * HOUR, width=HOUR, buckets=3)
    assert counts.buckets == (Bucket(NOON, 0, 3), Bucket(NOON + HOUR, 0, 3), Bucket(NOON + 2 * HOUR, 3, 0))


def test_redelivery_of_an_old_delivery_counts_when_it_is_attempted() -> None:
    endpoint, month = make_endpoint(), timedelta(days=30)
    delivery = make_delivery(
        endpoint=endpoint, first_received_at=NOON - month, attempt_count=2, last_attempt_at=NOON + MINUTE
    )
    make_attempt(delivery=delivery, received_at=NOON - month, ok=False)
    make_attempt(delivery=delivery, number=2, received_at=NOON + MINUTE)
    counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + HOUR, width=HOUR, buckets=1)
    assert counts.buckets == (Bucket(NOON, 1, 0),)


def test_what_was_not_counted_is_unknown_and_not_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_counts, "COUNTED", 3)
    endpoint = make_endpoint()
    for hours in (0, 1, 1, 2, 2):
        make_delivery(endpoint=endpoint, last_attempt_at=NOON + hours * HOUR + MINUTE)
    counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + 3 * HOUR, width=HOUR, buckets=3)
    assert not counts.complete
    assert counts.buckets == (
        Bucket(NOON, None, None), Bucket(NOON + HOUR, None, None), Bucket(NOON + 2 * HOUR, 2, 0)
    )  # fmt: skip


def test_time_before_the_log_began_is_unknown_unless_something_is_in_it() -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint, last_attempt_at=NOON)
    counts = count_over_time(
        endpoint_id=endpoint.pk,
        until=NOON + 4 * HOUR,
        width=HOUR,
        buckets=4,
        log_since=NOON + 2 * HOUR + MINUTE,
    )
    assert counts.buckets == (
        Bucket(NOON, 1, 0), Bucket(NOON + HOUR, None, None),
        Bucket(NOON + 2 * HOUR, 0, 0), Bucket(NOON + 3 * HOUR, 0, 0),
    )  # fmt: skip
    assert counts.complete


def test_counting_takes_one_query_however_many_attempts_there_are() -> None:
    endpoint = make_endpoint()
    for _ in range(20):
        delivery = make_failed_delivery(endpoint=endpoint)
        for number in range(5):
            make_attempt(delivery=delivery, number=number, ok=False)
    with CaptureQueriesContext(connection) as queries:
        counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + HOUR, width=HOUR, buckets=1)
    assert (len(queries), counts.buckets) == (1, (Bucket(NOON, 0, 100),))


def test_what_is_recorded_begins_with_the_first_delivery_or_status() -> None:
    endpoint = make_endpoint()
    assert recorded(endpoint_id=endpoint.pk) == {"oldest": None, "newest": None}
    EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON, status="ACTIVE")
    assert recorded(endpoint_id=endpoint.pk) == {"oldest": NOON, "newest": None}
    make_delivery(endpoint=endpoint, first_received_at=NOON - HOUR, last_attempt_at=NOON + HOUR)
    make_delivery(endpoint=endpoint, first_received_at=NOON - MINUTE, last_attempt_at=NOON)
    assert recorded(endpoint_id=endpoint.pk) == {"oldest": NOON - HOUR, "newest": NOON + HOUR}
