"""Evidence says what the log says, outlives it, and is written only where something has changed."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from dashboard.actions.deliveries import retention
from dashboard.actions.reconciliation import evidence
from dashboard.actions.reconciliation.evidence import link_of
from dashboard.models import Contract, Delivery, Endpoint, Evidence, Install
from dashboard.rules.deliveries import Standing
from dashboard.rules.reconciliation import Event
from tests.actions.reconciliation.worlds import (
    DAY,
    HOUR,
    MINUTE,
    body,
    deliver,
    evidence_of,
    make_received,
    make_running,
)
from tests.factories import NOON, make_attempt, make_contract

pytestmark = pytest.mark.django_db
FAILED = {"last_ok": False, "last_status": 503, "last_cause": "status"}


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_received(install=acme)


@pytest.fixture
def contract(acme: Install, endpoint: Endpoint) -> Contract:
    return make_running(install=acme)


def harvest(install: Install) -> set[int]:
    with transaction.atomic():
        return evidence.harvest(install_id=install.pk)


def test_a_delivery_becomes_evidence(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    delivery = deliver(contract, endpoint)
    assert harvest(acme) == {contract.pk}
    row = evidence_of(contract)
    assert (row.endpoint_id, row.event_type, row.opentrain_id) == (endpoint.pk, Event.STARTED, delivery.opentrain_id)
    assert (row.link_id, row.taken_at, row.standing) == ("lnk_1", contract.created_at, Standing.DELIVERED)
    assert (row.first_received_at, row.last_attempt_at, row.attempt_count) == (row.taken_at, row.taken_at, 1)


def test_what_is_unchanged_is_not_written_again(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    deliver(contract, endpoint)
    harvest(acme)
    before = versions()
    assert harvest(acme) == set()
    assert versions() == before


def versions() -> list[str]:
    """Return which transaction wrote each row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM dashboard_evidence ORDER BY id")
        return [version for (version,) in cursor.fetchall()]


@pytest.mark.parametrize("columns", [{"event_type": "milestone.funded"}, {"resource_id": "con_of_nobody"}])
def test_other_deliveries_are_left_out(acme: Install, contract: Contract, endpoint: Endpoint, columns) -> None:
    deliver(contract, endpoint)
    Delivery.objects.update(**columns)
    assert harvest(acme) == set()


def test_a_delivery_to_another_install_is_left_out(acme: Install, contract: Contract) -> None:
    """IDs of contracts are unique at OpenTrain, but a body is only what its sender says."""
    deliver(contract, make_received())
    assert harvest(acme) == set()


def test_it_is_taken_since_the_first_success_whatever_came_later(
    acme: Install, contract: Contract, endpoint: Endpoint
) -> None:
    """Attempts failed, succeeded, succeeded again when redelivered, and then failed."""
    delivery = deliver(contract, endpoint, **FAILED)
    harvest(acme)
    assert evidence_of(contract).taken_at is None
    for number, is_ok in ((2, True), (3, True), (4, False)):
        make_attempt(delivery=delivery, number=number, received_at=NOON + number * HOUR, ok=is_ok)
    Delivery.objects.update(attempt_count=4, last_attempt_at=NOON + 4 * HOUR)
    assert harvest(acme) == {contract.pk}
    row = evidence_of(contract)
    assert (row.taken_at, row.last_attempt_at, row.attempt_count) == (NOON + 2 * HOUR, NOON + 4 * HOUR, 4)


def test_an_earlier_success_that_is_reported_late_counts(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    """The order in which attempts are reported makes no difference."""
    delivery = deliver(contract, endpoint, at=NOON)
    harvest(acme)
    make_attempt(delivery=delivery, number=2, received_at=NOON - MINUTE)
    Delivery.objects.update(attempt_count=2, first_received_at=NOON - MINUTE)
    harvest(acme)
    row = evidence_of(contract)
    assert (row.taken_at, row.first_received_at) == (NOON - MINUTE, NOON - MINUTE)


def test_evidence_outlives_its_delivery(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    deliver(contract, endpoint, **FAILED, standing=Standing.FAILED)
    harvest(acme)
    before = Evidence.objects.values().get()
    retention.retain(now=NOON + 100 * DAY, rest=lambda _s: None)
    assert not Delivery.objects.exists()
    assert harvest(acme) == set()
    assert Evidence.objects.values().get() == before


def test_a_delivery_that_comes_again_after_retention_removed_it_stays_taken(
    acme: Install, contract: Contract, endpoint: Endpoint
) -> None:
    delivery = deliver(contract, endpoint)
    harvest(acme)
    Delivery.objects.all().delete()
    deliver(contract, endpoint, at=NOON + 100 * DAY, opentrain_id=delivery.opentrain_id, **FAILED)
    assert harvest(acme) == {contract.pk}
    row = evidence_of(contract)
    assert (row.taken_at, row.first_received_at) == (contract.created_at, contract.created_at)
    assert (row.standing, row.last_attempt_at) == (Standing.RETRYING, NOON + 100 * DAY)
    assert harvest(acme) == set()


def test_a_body_is_read_once_and_late_if_need_be(
    acme: Install, contract: Contract, endpoint: Endpoint, monkeypatch
) -> None:
    read = []
    monkeypatch.setattr(evidence, "link_of", lambda raw: read.append(raw) or "lnk_1")
    delivery = deliver(contract, endpoint, body=None)
    harvest(acme)
    assert (read, evidence_of(contract).link_id) == ([], None)
    Delivery.objects.update(body=body(contract, Event.STARTED), attempt_count=2)
    harvest(acme)
    assert (len(read), evidence_of(contract).link_id) == (1, "lnk_1")
    make_attempt(delivery=delivery, number=3, received_at=NOON)
    Delivery.objects.update(attempt_count=3)
    harvest(acme)
    assert len(read) == 1


@pytest.mark.parametrize(
    ("raw", "link"),
    [
        (b'{"data":{"projectLink":{"id":"lnk_1"}}}', "lnk_1"),
        (b'\xef\xbb\xbf{"data":{"projectLink":{"id":"lnk_1","more":[1]}}}', "lnk_1"),
        (b'{"data":{"projectLink":{"id":"l\\u0000\\ud800"}}}', "l\ufffd?"),
        (b'{"data":{"projectLink":{"id":12}}}', ""),
        (b'{"data":{"projectLink":{"id":""}}}', ""),
        (b'{"data":{"projectLink":{"id":"' + b"l" * 201 + b'"}}}', ""),
        (b'{"data":{"projectLink":["id"]}}', ""),
        (b'{"data":null}', ""),
        (b"[1]", ""),
        (b"", ""),
        (b"\xff\xfe\x00", ""),
        (b"[" * 100_000, ""),
        (b'{"data":' + b"9" * 5000 + b"}", ""),
    ],
)
def test_link_of_reads_any_body(raw: bytes, link: str) -> None:
    assert link_of(raw) == link


def test_a_large_body_is_not_read(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    large = body(contract, Event.STARTED) + b" " * evidence.BODY_BYTES
    deliver(contract, endpoint, body=large)
    harvest(acme)
    assert evidence_of(contract).link_id == ""


def test_the_number_of_statements_does_not_depend_on_contracts(acme: Install, endpoint: Endpoint) -> None:
    counts = []
    for _ in range(2):
        for _ in range(5):
            deliver(make_contract(install=acme), endpoint)
        with CaptureQueriesContext(connection) as queries:
            harvest(acme)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert Evidence.objects.filter(link_id="lnk_1").count() == 10
