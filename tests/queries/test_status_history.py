"""An endpoint's status over time, from its history."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Endpoint, EndpointSnapshot
from dashboard.queries import status_history
from dashboard.queries.status_history import CHANGES, status_over_time
from dashboard.rules.endpoints import Severity
from tests.factories import NOON, make_endpoint

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
DAY = 24 * HOUR


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    return make_endpoint(snapshot_at=NOON)


def keep(endpoint: Endpoint, *rows: tuple[timedelta, str, int]) -> None:
    """Store the history; each row changed right after the last look."""
    EndpointSnapshot.objects.bulk_create(
        EndpointSnapshot(
            endpoint=endpoint,
            at=NOON - back,
            not_before=NOON - back - SECOND,
            status=status,
            consecutive_failures=count,
        )
        for back, status, count in rows
    )


@pytest.mark.parametrize("width", [HOUR, DAY, 7 * DAY])
def test_outage_of_110_s_is_told_exactly_in_every_range(endpoint: Endpoint, width: timedelta) -> None:
    keep(
        endpoint,
        (8 * DAY, "ACTIVE", 0),
        (10 * MINUTE, "DISABLED", 10),
        (10 * MINUTE - 30 * SECOND, "DISABLED", 10),
        (10 * MINUTE - 110 * SECOND, "ACTIVE", 0),
    )
    found = status_over_time(endpoint=endpoint, since=NOON - width, until=NOON)
    assert [(one.severity, one.until - one.at) for one in found] == [
        (Severity.ACTIVE, width - 10 * MINUTE),
        (Severity.DISABLED, 110 * SECOND),
        (Severity.ACTIVE, 10 * MINUTE - 110 * SECOND),
    ]
    assert [one.failures for one in found] == [0, 10, 0]


def test_rows_without_a_change_are_merged_unless_they_follow_a_gap(endpoint: Endpoint) -> None:
    keep(endpoint, *((hours * HOUR, "ACTIVE", 0) for hours in range(23, 0, -1)))
    EndpointSnapshot.objects.create(
        endpoint=endpoint, at=NOON - 30 * MINUTE, not_before=NOON - 50 * MINUTE, status="ACTIVE"
    )
    with CaptureQueriesContext(connection) as queries:
        found = status_over_time(endpoint=endpoint, since=NOON - 22 * HOUR, until=NOON)
    assert len(queries) == 1
    assert [(one.severity, one.until - one.at) for one in found] == [
        (Severity.ACTIVE, 21 * HOUR + 10 * MINUTE),
        (None, 20 * MINUTE),
        (Severity.ACTIVE, 30 * MINUTE),
    ]


def test_of_very_many_changes_the_newest_are_told_and_the_rest_is_unknown(endpoint: Endpoint) -> None:
    keep(endpoint, *((20 * number * SECOND, "ACTIVE", number % 2) for number in range(4000, 0, -1)))
    found = status_over_time(endpoint=endpoint, since=NOON - DAY, until=NOON)
    assert (found[0].severity, len(found)) == (None, CHANGES + 1)
    assert found[1].at == NOON - CHANGES * 20 * SECOND


def test_rows_that_are_not_read_leave_their_time_unknown(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_history, "LOOKED_AT", 3)
    keep(endpoint, (8 * DAY, "DISABLED", 10), *((hours * HOUR, "ACTIVE", 0) for hours in range(9, 0, -1)))
    found = status_over_time(endpoint=endpoint, since=NOON - DAY, until=NOON)
    assert [(one.severity, one.until - one.at) for one in found] == [(None, 21 * HOUR), (Severity.ACTIVE, 3 * HOUR)]


def test_other_endpoints_do_not_count(endpoint: Endpoint) -> None:
    keep(make_endpoint(), (HOUR, "DISABLED", 10))
    assert [one.severity for one in status_over_time(endpoint=endpoint, since=NOON - DAY, until=NOON)] == [None]
