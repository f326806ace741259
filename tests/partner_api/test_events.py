"""Recording an event and fanning it out."""

import json
import threading

import pytest
from django.db import connection, transaction

from dashboard.partner_api import events
from dashboard.partner_api.models import Delivery, Endpoint, Event, Install, event_wire_id
from tests.faults.failed import somebody_waits, wait_until
from tests.partner_api.conftest import THEN, Partner, emit_one, make_endpoint, make_partner


def test_emit_fans_out_to_subscribed_active_endpoints_of_the_install(partner: Partner, outsider: Partner) -> None:
    subscribed = [make_endpoint(partner).endpoint.pk for _ in range(2)]
    make_endpoint(partner, event_types=["milestone.funded"])
    disabled = make_endpoint(partner).endpoint
    Endpoint.objects.filter(pk=disabled.pk).update(status="DISABLED", disabled_at=THEN, disabled_reason="x")
    make_endpoint(outsider)
    emitted = emit_one(partner)
    assert emitted.deliveries == 2
    rows = Delivery.objects.values_list("endpoint_id", "status", "round", "tries", "next_attempt_at")
    assert sorted(rows) == sorted((pk, "PENDING", 1, 0, THEN) for pk in subscribed)


@pytest.mark.parametrize("count", [1, 60])
def test_emit_takes_as_many_statements_for_many_endpoints_as_for_one(
    partner: Partner, django_assert_num_queries, count: int
) -> None:
    for _ in range(count):
        make_endpoint(partner)
    # A savepoint around four statements: the install, the ID, the event, and one INSERT … SELECT.
    with django_assert_num_queries(6) as captured:
        assert emit_one(partner).deliveries == count
    inserts = [query["sql"] for query in captured.captured_queries if "partner_api_delivery" in query["sql"]]
    assert [(" SELECT " in " ".join(sql.split()), sql.count("INSERT INTO")) for sql in inserts] == [(True, 1)]


def test_an_endpoint_gets_no_event_from_before_it(partner: Partner) -> None:
    emit_one(partner)
    make_endpoint(partner)
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 0)


def test_event_ids_grow_as_text_too(partner: Partner) -> None:
    ids = [emit_one(partner).event_id for _ in range(12)]
    assert ids == sorted(ids)
    assert event_wire_id(9) < event_wire_id(10) < event_wire_id(2**63 - 1)
    assert [json.loads(bytes(event.body))["id"] for event in Event.objects.order_by("id")] == ids


@pytest.mark.parametrize("status", ["SUSPENDED", "REVOKED"])
def test_nothing_is_emitted_for_an_install_that_is_not_active(partner: Partner, status: str) -> None:
    Install.objects.update(status=status)
    with pytest.raises(events.NotEmitted, match="ACTIVE installs only"):
        emit_one(partner)
    assert Event.objects.count() == 0


def test_an_unknown_event_type_is_not_emitted(partner: Partner) -> None:
    with pytest.raises(events.NotEmitted, match=r"There is no event type contract\.paused"):
        emit_one(partner, event_type="contract.paused")


@pytest.mark.django_db(transaction=True)
def test_an_event_waits_for_an_endpoint_that_is_just_being_disabled() -> None:
    partner = make_partner()
    endpoint = make_endpoint(partner).endpoint
    made: list[int] = []

    def emit_elsewhere() -> None:
        try:
            made.append(emit_one(partner).deliveries)
        finally:
            connection.close()

    with transaction.atomic():
        Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        thread = threading.Thread(target=emit_elsewhere)
        thread.start()
        wait_until(somebody_waits)
        assert made == []
        Endpoint.objects.update(status="DISABLED", disabled_at=THEN, disabled_reason="x")
    thread.join(timeout=60)
    assert (made, Delivery.objects.count()) == ([0], 0)
