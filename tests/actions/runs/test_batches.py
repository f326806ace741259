"""Batches: one confirmation starts one run per endpoint."""

import uuid
from typing import Any

import pytest

from dashboard.actions.runs import batches
from dashboard.actions.runs.batches import Confirmed, Started
from dashboard.models import Delivery, Install, Run, RunItem, User
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery, make_run

pytestmark = pytest.mark.django_db


def start(actor: User, *deliveries: Delivery, operation: uuid.UUID | None = None, **more: Any) -> Started:
    confirmed = Confirmed(ids=[one.pk for one in deliveries], words="those", **more)
    return batches.start(
        actor=actor, confirmed=confirmed, note="ticket 7", now=NOON, operation=operation or uuid.uuid4()
    )


def test_each_endpoint_gets_a_run_of_its_deliveries_in_one_batch(support: User, acme: Install) -> None:
    one, other = make_endpoint(install=acme), make_endpoint(install=acme)
    deliveries = [make_failed_delivery(endpoint=endpoint) for endpoint in (one, one, other)]
    make_failed_delivery(endpoint=one)  # not confirmed
    operation = uuid.uuid4()
    found = start(support, *deliveries, operation=operation)
    assert [(run.endpoint, run.items.count(), run.note, run.chosen) for run in found.runs] == [
        (one, 2, "ticket 7", "those"),
        (other, 1, "ticket 7", "those"),
    ]
    assert {run.batch for run in found.runs} == {operation}
    assert (found.in_the_way, found.dropped) == ([], 0)


def test_run_of_one_endpoint_is_no_batch(support: User) -> None:
    [run] = start(support, make_failed_delivery()).runs
    assert run.batch is None


def test_same_operation_again_starts_nothing_and_returns_the_same(support: User) -> None:
    deliveries, operation = [make_failed_delivery(), make_failed_delivery()], uuid.uuid4()
    first, second = (start(support, *deliveries, operation=operation) for _ in range(2))
    assert first.runs == second.runs
    assert Run.objects.count() == 2


def test_endpoint_with_an_active_run_is_left_to_that_one(support: User) -> None:
    busy, free = make_endpoint(), make_endpoint()
    run = make_run(endpoint=busy, state="running", ended_at=None)
    found = start(support, make_failed_delivery(endpoint=busy), make_failed_delivery(endpoint=free))
    assert ([one.endpoint for one in found.runs], found.in_the_way, found.dropped) == ([free], [run], 0)


def test_what_is_delivered_requested_or_gone_by_now_is_dropped(support: User) -> None:
    endpoint = make_endpoint()
    left = make_failed_delivery(endpoint=endpoint)
    delivered = make_delivery(endpoint=endpoint)
    requested = make_failed_delivery(endpoint=endpoint, requested_at=NOON)
    gone = make_failed_delivery(endpoint=endpoint)
    of_a_deleted_one = make_failed_delivery(endpoint=make_endpoint(deleted_at=NOON))
    Delivery.objects.filter(pk=gone.pk).delete()
    found = start(support, left, delivered, requested, gone, of_a_deleted_one)
    assert ([run.endpoint for run in found.runs], found.dropped) == ([endpoint], 4)
    waiting = RunItem.objects.filter(state=RunItem.State.WAITING)
    assert list(waiting.values_list("opentrain_id", flat=True)) == [left.opentrain_id]


def test_nothing_is_started_where_nothing_is_left(support: User) -> None:
    found = start(support, make_delivery())
    assert (found, Run.objects.count()) == (Started([], [], 1), 0)
    assert len(start(support, make_delivery(), include_delivered=True).runs) == 1


def test_endpoint_that_the_person_may_not_see_gets_no_run(partner_admin: User, acme: Install) -> None:
    mine = make_endpoint(install=acme)
    found = start(partner_admin, make_failed_delivery(endpoint=mine), make_failed_delivery())
    assert ([run.endpoint for run in found.runs], found.dropped) == ([mine], 1)
