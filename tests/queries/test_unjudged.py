"""Installs are judged again for what may have changed, and for nothing else."""

import pytest

from dashboard.models import Contract, Delivery, Endpoint, Finding, Install
from dashboard.queries.unjudged import HANDED_OVER_WITHIN, MOST_DELIVERIES, installs_to_judge, newest_delivery
from dashboard.rules.deliveries import Standing
from dashboard.rules.reconciliation import Event, Kind, Reason
from tests.actions.reconciliation.worlds import (
    DAY,
    HOUR,
    MINUTE,
    SPAN,
    deliver,
    end,
    hand_over,
    judged,
    make_received,
    make_running,
)
from tests.factories import NOON, make_finding

pytestmark = pytest.mark.django_db
READ = NOON + 10 * MINUTE
WAITING = {"last_ok": False, "last_status": 503, "last_cause": "status"}


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_received(install=acme)


@pytest.fixture
def contract(acme: Install, endpoint: Endpoint) -> Contract:
    contract = make_running(install=acme)
    deliver(contract, endpoint)
    judged(acme, now=NOON)
    return contract


def due(*, now, after: int | None = None) -> list[int]:
    newest = newest_delivery()
    return installs_to_judge(after=newest if after is None else after, newest=newest, now=now)


def test_where_all_is_in_order_nothing_is_due(contract: Contract) -> None:
    assert due(now=NOON + 100 * DAY, after=0) == []


def test_an_install_is_due_when_something_may_not_come_any_more(acme: Install, contract: Contract) -> None:
    end(contract)
    judged(acme, now=READ)
    assert due(now=READ + SPAN - MINUTE) == []
    assert due(now=READ + SPAN + MINUTE) == [acme.pk]
    judged(acme, now=READ + SPAN + MINUTE)
    assert Finding.objects.get().kind == Kind.MISSING
    assert due(now=READ + 100 * DAY) == []


def test_an_install_is_due_when_a_receiver_held_attempts(acme: Install, contract: Contract) -> None:
    make_finding(contract=contract, kind=Kind.NOT_SEEN_YET, reason=Reason.NOT_IN_LOG_YET)
    assert due(now=NOON) == [acme.pk]
    Finding.objects.update(closed_at=NOON)
    assert due(now=NOON) == []


def test_an_install_is_due_when_a_delivery_has_gone_on(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    end(contract)
    delivery = deliver(contract, endpoint, event=Event.ENDED, **WAITING)
    judged(acme, now=READ)
    assert due(now=READ) == []
    Delivery.objects.filter(pk=delivery.pk).update(standing=Standing.DELIVERED, last_ok=True)
    assert due(now=READ) == [acme.pk]
    judged(acme, now=READ + MINUTE)
    assert due(now=READ + MINUTE) == []


def test_an_install_is_due_for_new_deliveries_of_its_contracts(
    acme: Install, contract: Contract, endpoint: Endpoint
) -> None:
    before = newest_delivery()
    assert due(now=READ, after=before) == []
    end(contract)
    deliver(contract, endpoint, event=Event.ENDED)
    deliver(contract, make_received(), event=Event.ENDED)
    assert due(now=READ, after=before) == [acme.pk]
    assert due(now=READ) == []
    judged(acme, now=READ)
    assert due(now=READ, after=before) == []


def test_other_new_deliveries_are_left_alone(contract: Contract, endpoint: Endpoint) -> None:
    before = newest_delivery()
    deliver(contract, endpoint, event_type="milestone.funded")
    deliver(contract, endpoint, resource_id="con_of_nobody")
    assert due(now=READ, after=before) == []


def test_not_more_than_the_newest_deliveries_are_looked_through(contract: Contract, endpoint: Endpoint) -> None:
    deliver(contract, endpoint)
    newest = newest_delivery()
    assert installs_to_judge(after=0, newest=newest, now=READ) == [contract.install_id]
    assert installs_to_judge(after=0, newest=newest + MOST_DELIVERIES, now=READ) == []


def test_an_install_is_due_when_something_was_handed_over(
    acme: Install, contract: Contract, endpoint: Endpoint
) -> None:
    end(contract)
    late = READ + SPAN + HOUR
    judged(acme, now=late)
    hand_over(contract, endpoint, event=Event.ENDED, at=late, ok=False)
    assert due(now=late) == []
    hand_over(contract, endpoint, event=Event.ENDED, at=late)
    assert due(now=late) == [acme.pk]
    assert due(now=late + HANDED_OVER_WITHIN + MINUTE) == []
    judged(acme, now=late)
    assert due(now=late) == []


def test_those_that_wait_longest_come_first(acme: Install, contract: Contract) -> None:
    other = make_running(install=make_received().install)
    for one in (contract, other):
        end(one)
    judged(other.install, now=READ - MINUTE)
    judged(acme, now=READ)
    assert due(now=READ + SPAN + MINUTE) == [other.install_id, acme.pk]
    judged(other.install, now=READ + SPAN)
    assert due(now=READ + SPAN + MINUTE) == [acme.pk, other.install_id]
