"""Rows of the lists: worst first, each with its health, its failed deliveries, and its button labels."""

from datetime import datetime, timedelta

import pytest
from django.db.models import QuerySet

from dashboard.models import Delivery, Endpoint
from dashboard.presenters.rows import (
    MARKS,
    DeliveryTable,
    NextAttempt,
    delivery_row,
    delivery_rows,
    endpoint_rows,
    health_of,
    next_attempt,
    state_of,
    was_answered,
    with_endpoint,
    with_known,
    with_marks,
)
from dashboard.rules.deliveries import StateKind
from tests.factories import (
    NOON,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_entry,
    make_failed_delivery,
    make_install,
)
from tests.presenters.rows import NOW

pytestmark = pytest.mark.django_db


def rows_of(*, user_id: int = 1):
    return endpoint_rows(endpoints=with_known(Endpoint.objects.all(), now=NOON), user_id=user_id)


def test_endpoints_come_worst_first_and_then_by_what_failed() -> None:
    install = make_install()
    well = make_endpoint(install=install)
    ill = make_endpoint(install=install)
    disabled = make_endpoint(install=install, status="DISABLED", consecutive_failures=10)
    at_risk = make_endpoint(install=install, consecutive_failures=8)
    make_failed_delivery(endpoint=ill)
    make_delivery(endpoint=well)
    rows = rows_of()
    assert [row.endpoint for row in rows] == [disabled, at_risk, ill, well]
    assert [row.failed for row in rows] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("columns", "failed", "stopped", "ill", "recoverable"),
    [
        ({}, 0, False, False, False),
        ({}, 1, False, True, False),
        ({"consecutive_failures": 1}, 0, False, True, False),
        ({"consecutive_failures": 1}, 1, False, True, True),
        ({"status": "DISABLED", "consecutive_failures": 10}, 1, True, True, True),
        ({"status": "DISABLED"}, 0, True, False, False),
        ({"status": "DISABLED"}, 1, True, True, False),
    ],
)
def test_row_says_what_helps(columns, failed: int, stopped: bool, ill: bool, recoverable: bool) -> None:
    endpoint = make_endpoint(**columns)
    for _ in range(failed):
        make_failed_delivery(endpoint=endpoint)
    [row] = rows_of()
    assert (row.stopped, row.ill, row.recoverable) == (stopped, ill, recoverable)
    assert row.health == health_of(endpoint)


def test_buttons_are_named_for_the_person_and_anew_after_an_answer() -> None:
    endpoint = make_endpoint()
    [before], [other] = rows_of(user_id=1), rows_of(user_id=2)
    make_entry(endpoint=endpoint)
    [after] = rows_of(user_id=1)
    names = [(row.enable_operation, row.redeliver_operation) for row in (before, other, after)]
    assert len({name for pair in names for name in pair}) == 6


def test_delivery_has_its_newest_attempts_oldest_first() -> None:
    delivery = make_failed_delivery()
    for number in range(1, MARKS + 3):
        make_attempt(
            delivery=delivery, number=number, ok=number == MARKS + 2, received_at=NOON + timedelta(minutes=number)
        )
    row = delivery_row(delivery=with_marks(Delivery.objects.all()).get(), endpoint=delivery.endpoint, now=NOON)
    assert list(row.marks) == [False] * (MARKS - 1) + [True]
    assert "503" in row.last_answer


def test_attempt_that_entered_the_log_late_is_not_the_newest() -> None:
    delivery = make_delivery(attempt_count=2)
    make_attempt(delivery=delivery, number=1, received_at=NOON + timedelta(minutes=5))
    make_attempt(delivery=delivery, number=2, ok=False, received_at=NOON)
    row = delivery_row(delivery=with_marks(Delivery.objects.all()).get(), endpoint=delivery.endpoint, now=NOON)
    assert list(row.marks) == [False, True]


COLUMNS = (
    *("endpoint", "first_received_at", "last_attempt_at", "last_ok", "last_cause", "last_status"),
    *("attempts_in_round", "requested_at", "abandoned_at"),
)


def listed() -> QuerySet[Delivery]:
    return with_marks(with_endpoint(Delivery.objects.order_by("id"), columns=COLUMNS))


def test_listed_delivery_says_whose_it_is_in_one_statement(django_assert_num_queries) -> None:
    endpoint = make_endpoint(install=make_install(name="Acme Labs"), status="DISABLED")
    delivery = make_delivery(endpoint=endpoint, last_ok=False)
    with django_assert_num_queries(1):
        found = listed().get()
        row = delivery_row(delivery=found, endpoint=found.endpoint, now=NOON + timedelta(days=9))
        called = (row.endpoint.install.name, row.endpoint.title)
    assert called == ("Acme Labs", endpoint.title)
    assert row.state.kind is StateKind.RETRYING  # never overdue while deliveries are stopped
    assert row.state == state_of(delivery=delivery, endpoint=endpoint, now=NOON + timedelta(days=9))


def test_title_of_an_endpoint_is_made_once_for_all_rows_of_a_page() -> None:
    often, once = make_endpoint(), make_endpoint()
    for endpoint in (often, often, once):
        make_delivery(endpoint=endpoint)
    rows = delivery_rows(listed(), now=NOON)
    assert [row.listed.title for row in rows if row.listed] == [often.title, often.title, once.title]
    assert len({id(row.listed) for row in rows}) == 2


def test_table_has_no_column_that_is_empty_in_every_row() -> None:
    make_delivery()
    make_delivery(last_ok=False)
    rows = [delivery_row(delivery=one, endpoint=one.endpoint, now=NOON) for one in listed()]
    assert [row.next_attempt is None for row in rows] == [True, False]
    alone, both = DeliveryTable(rows[:1]), DeliveryTable(rows, with_endpoint=True, with_install=True)
    assert [(table.with_next, table.columns) for table in (alone, both)] == [(False, 6), (True, 8)]


def test_row_without_what_a_query_has_to_bring_is_a_mistake() -> None:
    delivery = make_delivery()
    with pytest.raises(AttributeError):
        delivery_row(delivery=delivery, endpoint=delivery.endpoint, now=NOON)


LATER, BEFORE = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("due", "is_overdue", "found"),
    [
        (None, False, None),
        (LATER, False, NextAttempt(at=LATER)),
        (BEFORE, False, NextAttempt("with the next delivery run")),
        (BEFORE, True, NextAttempt("overdue")),
    ],
)
def test_next_attempt_is_a_time_where_that_is_to_come(
    due: datetime | None, is_overdue: bool, found: NextAttempt | None
) -> None:
    assert next_attempt(due=due, is_overdue=is_overdue, now=NOW) == found


@pytest.mark.parametrize(("cause", "answered"), [("", True), ("status", True), ("timeout", False), ("refused", False)])
def test_latency_is_of_an_answer(cause: str, answered: bool) -> None:
    assert was_answered(cause) is answered
