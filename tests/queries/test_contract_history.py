"""History is compressed to what changed, and claims no more than was seen."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import EndpointSnapshot, Install, InstallSnapshot, ReceiverPresence
from dashboard.queries.contract_history import PRESENCE_LAG, History, history
from dashboard.rules.reconciliation import Event, Interval, Period
from tests.actions.reconciliation.worlds import BOTH, DAY, HOUR, MINUTE
from tests.factories import NOON, make_endpoint, make_install, make_refused_attempt

pytestmark = pytest.mark.django_db
TYPES = frozenset(BOTH)


def tell(endpoint, at, **columns) -> None:
    known = {"status": "ACTIVE", "event_types": BOTH, "is_received": True}
    EndpointSnapshot.objects.create(endpoint=endpoint, at=at, **known | columns)


def since(endpoint, at) -> History:
    return history(since={endpoint.pk: at}, installs=[endpoint.install_id])


def test_rows_that_repeat_the_state_are_left_out() -> None:
    endpoint = make_endpoint()
    for hours in range(5):
        tell(endpoint, NOON + hours * HOUR, not_before=NOON + hours * HOUR - MINUTE, consecutive_failures=hours)
    tell(endpoint, NOON + 5 * HOUR, not_before=NOON + 4 * HOUR, status="DISABLED", consecutive_failures=10)
    tell(endpoint, NOON + 6 * HOUR, not_before=NOON + 5 * HOUR, status="DISABLED", consecutive_failures=0)
    assert since(endpoint, NOON).periods[endpoint.pk] == (
        Period(NOON, NOON - MINUTE, True, False, TYPES, True),
        Period(NOON + 5 * HOUR, NOON + 4 * HOUR, False, False, TYPES, True),
        Period(NOON + 6 * HOUR, NOON + 5 * HOUR, False, True, TYPES, True),
    )


def test_the_state_at_a_time_is_that_of_the_newest_row_before() -> None:
    endpoint, other = make_endpoint(), make_endpoint()
    tell(endpoint, NOON - 2 * HOUR, is_received=False)
    tell(endpoint, NOON - HOUR, event_types=["contract.ended"])
    tell(other, NOON - MINUTE, status="DISABLED")
    assert since(endpoint, NOON).periods == {
        endpoint.pk: (Period(NOON - HOUR, None, True, False, frozenset(["contract.ended"]), True),)
    }


def test_what_earlier_releases_did_not_keep_is_not_known() -> None:
    endpoint = make_endpoint()
    tell(endpoint, NOON, event_types=None, is_received=None)
    assert since(endpoint, NOON).periods[endpoint.pk] == (Period(NOON, None, True, False, None, None),)


def test_an_install_was_not_active_until_it_was_last_seen_so(acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    for hours, status in ((0, "ACTIVE"), (1, "SUSPENDED"), (2, "REVOKED"), (4, "ACTIVE"), (5, "SUSPENDED")):
        at = NOON + hours * HOUR
        InstallSnapshot.objects.create(install=acme, at=at, not_before=at - MINUTE, status=status)
    InstallSnapshot.objects.create(install=make_install(), at=NOON, status="SUSPENDED")
    not_active = since(endpoint, NOON).not_active
    assert [one.not_before for one in not_active[acme.pk]] == [one.since - MINUTE for one in not_active[acme.pk]]
    assert not_active == {
        acme.pk: (
            Interval(NOON + HOUR, NOON + 2 * HOUR),
            Interval(NOON + 2 * HOUR, NOON + 4 * HOUR - MINUTE),
            Interval(NOON + 5 * HOUR, None),
        )
    }


def test_no_receiver_ran_between_processes_that_were_heard_of() -> None:
    endpoint = make_endpoint()
    for name, began, last in (("a", -40, -30), ("a", 0, 10), ("b", 5, 20), ("a", 30, 40), ("a", 40, 50)):
        ReceiverPresence.objects.create(name=name, began_at=NOON + began * MINUTE, last_at=NOON + last * MINUTE)
    assert since(endpoint, NOON).receiver_away == (
        Interval(NOON - 30 * MINUTE + PRESENCE_LAG, NOON),
        Interval(NOON + 20 * MINUTE + PRESENCE_LAG, NOON + 30 * MINUTE),
    )


def test_refused_requests_are_those_that_claim_an_event_since_then() -> None:
    endpoint = make_endpoint()
    for at, claimed in ((NOON - DAY, "contract.ended"), (NOON, "contract.ended"), (NOON + HOUR, "milestone.funded")):
        make_refused_attempt(endpoint=endpoint, received_at=at, claimed_event_type=claimed)
    make_refused_attempt(received_at=NOON, claimed_event_type="contract.ended")
    assert since(endpoint, NOON).refused_at == {endpoint.pk: ((Event.ENDED, NOON),)}


def test_nothing_is_read_for_nothing_and_the_number_of_queries_is_fixed() -> None:
    endpoints = [make_endpoint() for _ in range(3)]
    with CaptureQueriesContext(connection) as queries:
        assert history(since={}, installs=[]) == History()
        assert len(queries) == 0
        history(since={one.pk: NOON for one in endpoints}, installs=[one.install_id for one in endpoints])
        assert len(queries) == 4
