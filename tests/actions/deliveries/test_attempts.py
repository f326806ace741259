"""Recording an attempt takes one statement, and a late attempt does not change the last outcome."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import DatabaseError, connection, transaction

from dashboard.models import Attempt, Delivery
from tests.actions.deliveries.test_matching import observe
from tests.actions.deliveries.test_record import facts, record
from tests.factories import NOON, make_delivery, make_endpoint

MINUTE = timedelta(minutes=1)


@pytest.mark.django_db
def test_record_attempt_that_cannot_be_stored_leaves_no_trace() -> None:
    endpoint = make_endpoint()
    with pytest.raises(DatabaseError), transaction.atomic():
        record(endpoint=endpoint, cause="c" * 31)
    assert not connection.needs_rollback
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_record_attempt_of_one_delivery_by_twenty_at_once_numbers_them_all() -> None:
    endpoint = make_endpoint()
    together = Barrier(20)

    def one(number) -> int:
        try:
            together.wait(timeout=60)
            return record(endpoint=endpoint, status=503, at=NOON + number * timedelta(seconds=1)).number
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        numbers = list(threads.map(one, range(20)))
    assert sorted(numbers) == list(range(1, 21))
    row = Delivery.objects.get()
    assert [attempt.number for attempt in row.attempts.all()] == list(range(1, 21))
    assert (row.attempt_count, row.last_attempt_at) == (20, NOON + timedelta(seconds=19))


@pytest.mark.django_db
def test_record_attempt_that_is_told_of_late_changes_nothing_said_of_the_last() -> None:
    endpoint = make_endpoint()
    for minute, status in ((5, 200), (1, 503)):
        record(endpoint=endpoint, status=status, at=NOON + minute * MINUTE)
    row = Delivery.objects.get()
    assert facts() == (2, 2, True, None, None)
    assert (row.first_received_at, row.last_attempt_at, row.last_status, row.last_cause, row.standing) == (
        NOON + MINUTE, NOON + 5 * MINUTE, 200, "", 1,
    )  # fmt: skip


@pytest.mark.django_db
def test_record_attempt_that_is_told_of_late_counts_in_no_round_when_there_were_several() -> None:
    endpoint = make_endpoint()
    make_delivery(opentrain_id="dlv_known", attempt_count=3, attempts_in_round=1, endpoint=endpoint)
    record(endpoint=endpoint, status=503, at=NOON - MINUTE)
    assert facts() == (4, 1, True, None, None)


@pytest.mark.django_db
def test_record_attempt_of_a_new_delivery_is_one_statement(django_assert_num_queries) -> None:
    endpoint = make_endpoint()
    with django_assert_num_queries(1):
        record(endpoint=endpoint)
    assert facts() == (1, 1, True, None, None)


@pytest.mark.django_db
def test_each_attempt_of_the_receiver_gets_a_name_and_no_observed_one() -> None:
    endpoint = make_endpoint()
    for number, name in enumerate(["dlv_known", "dlv_known", "dlv_other"]):
        record(endpoint=endpoint, delivery_id=name, at=NOON + number * MINUTE)
    observe(endpoint=endpoint, at=NOON + 10 * MINUTE)
    names = list(Attempt.objects.order_by("received_at").values_list("uuid", flat=True))
    assert (len(set(names)), names[3]) == (4, None)


@pytest.mark.django_db
def test_observed_attempt_that_is_confirmed_gets_the_name_of_the_receivers() -> None:
    endpoint = make_endpoint()
    observe(endpoint=endpoint)
    recorded = record(endpoint=endpoint)
    stored = Attempt.objects.get()
    assert stored.uuid == recorded.uuid is not None
