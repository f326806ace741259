"""Requests to hand over: a row and an audit entry for each event, once, and one job for the endpoint."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.actions.handovers import asking
from dashboard.models import AuditEntry, Handover, User
from dashboard.rules.reconstruction import LinkFields
from tests.factories import make_contract, make_finding, make_handover
from tests.handing_over import LATE, Scene, queued

pytestmark = pytest.mark.django_db


def test_event_that_is_asked_for_waits_with_its_audit_entry_and_a_job(scene: Scene, support: User) -> None:
    row = scene.ask(support)
    assert (row.event_type, row.link_id, row.contract_opentrain_id) == (
        "contract.ended",
        scene.link.opentrain_id,
        scene.contract.opentrain_id,
    )
    assert (row.actor, row.actor_name, row.asked_at, row.batch) == (support, "ana", LATE, None)
    assert (row.sent_at, row.ended_at, row.body, row.ok, row.result) == (None, None, None, False, "")
    entry = AuditEntry.objects.get(action="hand over event")
    assert (entry.phase, entry.operation, entry.endpoint_id) == ("requested", row.operation, scene.endpoint.pk)
    assert (entry.delivery_id, entry.actor_name) == (row.delivery_id, "ana")
    assert entry.words == f"contract.ended of contract {scene.contract.opentrain_id}."
    assert queued() == [scene.endpoint.pk]
    assert asking.endpoints_waiting() == [scene.endpoint.pk]


def test_form_that_is_sent_twice_asks_once(scene: Scene, support: User) -> None:
    operation = uuid.uuid4()
    first = scene.ask(support, operation=operation)
    assert scene.ask(support, operation=operation) == first
    assert (Handover.objects.count(), AuditEntry.objects.filter(action="hand over event").count()) == (1, 1)
    assert queued() == [scene.endpoint.pk]


def test_event_that_waits_is_not_asked_for_again_by_anyone(scene: Scene, support: User, support_lead: User) -> None:
    first = scene.ask(support)
    assert scene.ask(support_lead) == first
    assert scene.ask(support_lead, is_batch=True) == first
    assert Handover.objects.count() == 1


def test_event_that_failed_before_can_be_asked_for_again_with_the_same_delivery_id(scene: Scene, support: User) -> None:
    first = scene.ask(support)
    scene.send(first)  # nothing listens there
    again = scene.ask(support)
    assert (again.pk != first.pk, again.delivery_id) == (True, first.delivery_id)


def test_selection_keeps_its_order_and_each_of_its_events_has_an_operation(scene: Scene, support: User) -> None:
    other = make_contract(install=scene.install, status="ended", link_ids=[scene.link.opentrain_id])
    make_finding(contract=other, endpoint=scene.endpoint)
    first, batch = scene.case(), uuid.uuid4()
    second = asking.Wanted(
        type(first)(other, scene.endpoint, first.event, first.verdict, first.links, "", ""), first.links[0]
    )
    wanted = [second, asking.Wanted(first, first.links[0])]
    for _ in range(2):  # the form is sent twice
        rows = asking.ask(
            actor=support, endpoint=scene.endpoint, wanted=wanted, operation=batch, is_batch=True, now=LATE
        )
    assert [row.contract_id for row in rows] == [other.pk, scene.contract.pk]
    assert [row.pk for row in rows] == sorted(row.pk for row in Handover.objects.all())
    assert {row.batch for row in rows} == {batch}
    assert len({row.operation for row in rows} | {batch}) == 3


def test_selection_costs_the_same_number_of_queries_for_any_number(scene: Scene, support: User) -> None:
    def queries(number: int) -> int:
        wanted = [asking.Wanted(scene.case(), LinkFields(f"plk_{number}_{one}")) for one in range(number)]
        given = {"operation": uuid.uuid4(), "is_batch": True, "now": LATE}
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs")
        with CaptureQueriesContext(connection) as captured:
            asking.ask(actor=support, endpoint=scene.endpoint, wanted=wanted, **given)
        return len(captured)

    assert queries(2) == queries(30)
    assert Handover.objects.count() == 32


def test_what_has_ended_does_not_wait(scene: Scene) -> None:
    make_handover(contract=scene.contract, endpoint=scene.endpoint)
    assert asking.endpoints_waiting() == []
