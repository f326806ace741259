"""Deliveries counted over time: each in its bucket, nothing invented, and reads within the limit."""

from datetime import timedelta

import pytest

from dashboard.queries import delivery_counts
from dashboard.queries.delivery_counts import Bucket, count_over_time
from dashboard.rules.deliveries import Standing
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def test_each_delivery_is_in_the_bucket_that_it_arrived_in() -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint, first_received_at=NOON)
    make_delivery(endpoint=endpoint, first_received_at=NOON + HOUR - timedelta(microseconds=1))
    make_failed_delivery(endpoint=endpoint, first_received_at=NOON + HOUR)
    make_delivery(endpoint=endpoint, first_received_at=NOON + HOUR, last_ok=False)
    make_delivery(endpoint=endpoint, first_received_at=NOON + 3 * HOUR)
    make_delivery(endpoint=endpoint, first_received_at=NOON - timedelta(microseconds=1))
    make_delivery(first_received_at=NOON)
    counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + 3 * HOUR, width=HOUR, buckets=3)
    assert counts.buckets == (
        Bucket(NOON, 2, 0, 0), Bucket(NOON + HOUR, 0, 1, 1), Bucket(NOON + 2 * HOUR, 0, 0, 0)
    )  # fmt: skip
    assert counts.complete
    assert [counts.total(of=name) for name in ("delivered", "waiting", "failed")] == [2, 1, 1]


def test_what_was_not_counted_is_unknown_and_not_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_counts, "CHART_COUNT_LIMIT", 3)
    endpoint = make_endpoint()
    for hours in (0, 1, 1, 2, 2):
        make_delivery(endpoint=endpoint, first_received_at=NOON + hours * HOUR)
    counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + 3 * HOUR, width=HOUR, buckets=3)
    assert not counts.complete
    assert counts.buckets == (
        Bucket(NOON, None, None, None), Bucket(NOON + HOUR, None, None, None), Bucket(NOON + 2 * HOUR, 2, 0, 0)
    )  # fmt: skip


def test_every_standing_is_counted_once() -> None:
    endpoint = make_endpoint()
    for standing in Standing:
        delivery = make_delivery(endpoint=endpoint)
        type(delivery).objects.filter(pk=delivery.pk).update(standing=standing)
    counts = count_over_time(endpoint_id=endpoint.pk, until=NOON + HOUR, width=HOUR, buckets=1)
    assert counts.buckets == (Bucket(NOON, 1, 2, 1),)
