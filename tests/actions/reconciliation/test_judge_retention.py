"""What retention removed before it was looked at is not known, and what was looked at stays: never is it missing."""

import pytest

from dashboard.actions.deliveries import retention
from dashboard.models import Contract, Delivery, Endpoint, EndpointSnapshot, Finding, Install, Reconciliation
from dashboard.rules.reconciliation import Event, Kind, Reason
from tests.actions.reconciliation.worlds import (
    DAY,
    HOUR,
    MINUTE,
    SPAN,
    deliver,
    end,
    judged,
    make_received,
    make_running,
    only,
    tell_history,
    verdict_of,
)
from tests.factories import NOON

pytestmark = pytest.mark.django_db
OVER = SPAN + HOUR


@pytest.fixture(autouse=True)
def _limits(settings) -> None:
    settings.RETENTION_DAYS, settings.BODY_RETENTION_DAYS = 30, 10


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_received(install=acme)


def retain(*, now) -> None:
    retention.retain(now=now, rest=lambda _s: None)


def began(acme: Install, *, at, seen_at=NOON) -> Contract:
    return make_running(install=acme, created_at=at, first_seen_at=seen_at, active_seen_at=seen_at)


def test_what_was_looked_at_stays_taken(acme: Install, endpoint: Endpoint) -> None:
    contract = began(acme, at=NOON - DAY)
    deliver(contract, endpoint)
    judged(acme, now=NOON)
    end(contract)
    deliver(contract, endpoint, event=Event.ENDED)
    for days in range(1, 60):
        judged(acme, now=NOON + days * DAY)
        retain(now=NOON + days * DAY)
    assert not Delivery.objects.exists()
    assert not Finding.objects.exists()
    for event in Event:
        assert verdict_of(contract, endpoint, event, now=NOON + 60 * DAY).kind is Kind.TAKEN


def test_what_was_looked_at_stays_failed_and_out_of_order(acme: Install, endpoint: Endpoint) -> None:
    failed, confused = began(acme, at=NOON - DAY), began(acme, at=NOON - DAY)
    for contract in (failed, confused):
        end(contract)
    lost = {"last_ok": False, "last_status": 503, "last_cause": "status", "attempt_count": 5, "attempts_in_round": 5}
    deliver(failed, endpoint)
    deliver(failed, endpoint, event=Event.ENDED, **lost)
    deliver(confused, endpoint, at=NOON + DAY)
    deliver(confused, endpoint, event=Event.ENDED)
    judged(acme, now=NOON + DAY + MINUTE)
    before = {row.contract_id: row.kind for row in Finding.objects.open()}
    assert before == {failed.pk: Kind.FAILED, confused.pk: Kind.OUT_OF_ORDER}
    for days in range(2, 60):
        judged(acme, now=NOON + days * DAY)
        retain(now=NOON + days * DAY)
    Contract.objects.update(judged_as="")
    judged(acme, now=NOON + 60 * DAY)
    assert {row.contract_id: row.kind for row in Finding.objects.open()} == before


def test_an_event_from_before_the_log_of_a_contract_seen_late_is_not_known(acme: Install, endpoint: Endpoint) -> None:
    contract = began(acme, at=NOON - 40 * DAY)
    deliver(contract, endpoint)
    retain(now=NOON)
    assert not Delivery.objects.exists()
    assert judged(acme, now=NOON) == judged(acme, now=NOON + OVER) == {}
    found = verdict_of(contract, endpoint, Event.STARTED, now=NOON + OVER)
    assert (found.kind, found.reason) == (Kind.NOT_KNOWN, Reason.BEFORE_LOG)
    assert contract.known_from == NOON - 30 * DAY


def test_an_event_since_the_log_began_is_missing_though_the_contract_was_seen_late(
    acme: Install, endpoint: Endpoint
) -> None:
    began(acme, at=NOON - 20 * DAY)
    judged(acme, now=NOON)
    assert only(judged(acme, now=NOON + OVER)).kind == Kind.MISSING


def test_a_setting_that_is_raised_brings_nothing_back(acme: Install, endpoint: Endpoint, settings) -> None:
    settings.RETENTION_DAYS = 7
    judged(acme, now=NOON)
    settings.RETENTION_DAYS = 90
    later = NOON + DAY
    before, since = began(acme, at=NOON - 20 * DAY, seen_at=later), began(acme, at=NOON - 3 * DAY, seen_at=later)
    judged(acme, now=later)
    assert only(judged(acme, now=later + OVER)).contract_id == since.pk
    assert verdict_of(before, endpoint, Event.STARTED, now=later + OVER).reason is Reason.BEFORE_LOG
    assert Reconciliation.objects.get().log_kept_since == NOON - 7 * DAY


def test_without_retention_the_log_is_whole(acme: Install, endpoint: Endpoint, settings) -> None:
    settings.RETENTION_DAYS = 0
    contract = began(acme, at=NOON - 50 * DAY)
    judged(acme, now=NOON)
    assert only(judged(acme, now=NOON + OVER)).kind == Kind.MISSING
    contract.refresh_from_db()
    assert contract.known_from is None


@pytest.mark.parametrize(("looked_at_last", "kind"), [(NOON, Kind.NOT_KNOWN), (NOON + 90 * DAY, Kind.MISSING)])
def test_what_came_and_went_while_nobody_looked_is_not_known(
    acme: Install, endpoint: Endpoint, looked_at_last, kind
) -> None:
    """The worker stood still for months, or the token was refused. Then the contract had ended, at an unknown time."""
    contract = began(acme, at=NOON - DAY)
    deliver(contract, endpoint)
    judged(acme, now=NOON)
    back = NOON + 100 * DAY
    judged(acme, now=looked_at_last)
    if kind is Kind.NOT_KNOWN:
        deliver(contract, endpoint, event=Event.ENDED, at=NOON + 50 * DAY)
    Contract.objects.update(active_seen_at=looked_at_last)
    retain(now=back)
    tell_history(endpoint, at=NOON - DAY)  # retention removed this too; the test is about deliveries
    contract.refresh_from_db()
    contract.status, contract.ended_seen_at, contract.last_seen_at = "ended", back, back
    contract.save()
    judged(acme, now=back)
    judged(acme, now=back + OVER)
    assert verdict_of(contract, endpoint, Event.ENDED, now=back + OVER).kind is kind


def test_a_missing_event_stays_missing_with_its_reason(acme: Install, endpoint: Endpoint) -> None:
    contract = began(acme, at=NOON - DAY)
    deliver(contract, endpoint)
    tell_history(endpoint, at=NOON - HOUR, event_types=["contract.started"])
    tell_history(endpoint, at=NOON + HOUR, not_before=NOON + HOUR - MINUTE)
    end(contract)
    for days in range(1, 60):
        judged(acme, now=NOON + days * DAY)
        retain(now=NOON + days * DAY)
    assert not EndpointSnapshot.objects.exists()
    Contract.objects.update(judged_as="")
    found = only(judged(acme, now=NOON + 60 * DAY))
    assert (found.kind, found.reason) == (Kind.MISSING, Reason.NOT_SUBSCRIBED)
