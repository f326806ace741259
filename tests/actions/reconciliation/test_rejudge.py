"""Findings change by themselves between two reads of the contracts."""

from datetime import datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.actions.reconciliation import rejudge as module
from dashboard.actions.reconciliation.rejudge import Rejudged, rejudge
from dashboard.models import Contract, Endpoint, Finding, Install
from dashboard.rules.reconciliation import Event, Kind
from tests.actions.reconciliation.worlds import HOUR, MINUTE, SPAN, deliver, end, judged, make_received, make_running
from tests.factories import NOON

pytestmark = pytest.mark.django_db
READ = NOON + 10 * MINUTE
BUDGET = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _looked_at_nothing() -> None:
    cache.clear()


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_received(install=acme)


@pytest.fixture
def contract(acme: Install, endpoint: Endpoint) -> Contract:
    contract = make_running(install=acme)
    deliver(contract, endpoint)
    judged(acme, now=NOON)
    return contract


def run(*, now: datetime, budget: timedelta = BUDGET) -> Rejudged:
    return rejudge(clock=lambda: now, budget=budget)


def kinds() -> list[Kind]:
    return [Kind(kind) for kind in Finding.objects.open().values_list("kind", flat=True)]


def test_what_is_not_seen_yet_becomes_missing_and_closes_when_it_comes(
    acme: Install, contract: Contract, endpoint: Endpoint
) -> None:
    end(contract)
    judged(acme, now=READ)
    assert run(now=READ + MINUTE) == Rejudged(0)
    assert kinds() == [Kind.NOT_SEEN_YET]
    assert run(now=READ + SPAN + MINUTE) == Rejudged(1)
    assert kinds() == [Kind.MISSING]
    deliver(contract, endpoint, event=Event.ENDED, at=READ + SPAN + HOUR)
    assert run(now=READ + SPAN + HOUR) == Rejudged(1)
    assert kinds() == []
    assert run(now=READ + SPAN + HOUR) == Rejudged(0)


def test_a_delivery_that_is_committed_after_newer_ones_is_seen(
    acme: Install, contract: Contract, endpoint: Endpoint
) -> None:
    """Its key is taken when it is inserted: a run between that and its commit sees newer keys, and not this one."""
    end(contract)
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('dashboard_delivery_id_seq')")
        [taken] = cursor.fetchone()
    run(now=READ)
    deliver(contract, endpoint)  # a newer one, which changes nothing
    run(now=READ)
    deliver(contract, endpoint, event=Event.ENDED, pk=taken)
    assert run(now=READ) == Rejudged(1)


def test_one_that_cannot_be_judged_keeps_no_other_waiting(
    acme: Install, contract: Contract, monkeypatch, caplog
) -> None:
    theirs = make_received()
    other = make_running(install=theirs.install)
    deliver(other, theirs)
    for one in (contract, other):
        end(one)
        judged(one.install, now=READ)
    judge = module.judge

    def fail_for_one(*, install_id: int, now: datetime) -> None:
        if install_id == acme.pk:
            raise ValueError
        judge(install_id=install_id, now=now)

    monkeypatch.setattr(module, "judge", fail_for_one)
    assert run(now=READ + SPAN + MINUTE) == Rejudged(2, failed=1)
    assert sorted(kinds()) == [Kind.MISSING, Kind.NOT_SEEN_YET]
    assert "could not be judged" in caplog.text


def test_what_the_budget_leaves_over_is_looked_at_next(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    run(now=NOON)
    end(contract)
    deliver(contract, endpoint, event=Event.ENDED)
    for _ in range(3):
        assert run(now=READ, budget=timedelta()) == Rejudged(0)
    assert run(now=READ) == Rejudged(1)


def test_where_nothing_is_open_it_asks_three_things_and_writes_nothing(contract: Contract) -> None:
    run(now=NOON)
    with CaptureQueriesContext(connection) as queries:
        run(now=NOON + HOUR)
    assert len(queries) == 3
    assert all(one["sql"].lstrip().startswith("SELECT") for one in queries)
