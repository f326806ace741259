"""The rows of an event: that of the page first, then other deliveries, then why the rest has none."""

from datetime import timedelta

import pytest

from dashboard.models import Install
from dashboard.presenters.event_endpoints import event_rows
from dashboard.queries import event_endpoints
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery

pytestmark = pytest.mark.django_db
NOW = NOON + timedelta(days=1)


def test_rows_are_of_this_delivery_then_of_others_then_of_those_without(acme: Install) -> None:
    direct = make_endpoint(install=acme, receiver_key=None)
    other, here = make_endpoint(install=acme), make_endpoint(install=acme)
    failed = make_failed_delivery(endpoint=other, event_id="evt_1")
    one = make_delivery(endpoint=here, event_id="evt_1")
    found = event_rows(one, now=NOW)
    assert found is not None
    assert [(row.endpoint, row.kind, row.label, row.delivery, row.is_this) for row in found.rows] == [
        (here, "delivered", "Delivered", one, True),
        (other, "failed", "Failed", failed, False),
        (direct, "direct", "Direct: not seen here", None, False),
    ]
    assert found.summary == "2 of 3 endpoints have a delivery of it."


def test_endpoint_beyond_those_looked_at_is_not_counted_as_one_without(
    acme: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_endpoints, "MOST_ENDPOINTS", 2)
    one = make_delivery(endpoint=make_endpoint(install=acme))
    for _ in range(2):
        make_endpoint(install=acme)
    found = event_rows(one, now=NOW)
    assert found is not None
    assert found.summary == "1 of the first 2 endpoints has a delivery of it."


def test_no_other_endpoint_is_no_table(acme: Install) -> None:
    assert event_rows(make_delivery(endpoint=make_endpoint(install=acme)), now=NOW) is None
