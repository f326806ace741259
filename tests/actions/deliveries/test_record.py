"""Writes to the delivery log: rounds, races, abandoned and requeued deliveries."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction

from dashboard.actions.deliveries import record as deliveries
from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery, RefusedAttempt
from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt, Refusal
from tests.factories import BODY, NOON, make_delivery, make_endpoint, make_failed_delivery
from tests.faults.failed import somebody_waits, wait_until

MINUTE = timedelta(minutes=1)


def record(*, endpoint, status=200, at=NOON, delivery_id="dlv_known", cause=None, **event):
    facts = {"event_id": "evt_1", "event_type": "contract.started", "resource_id": "con_1", "body": BODY} | event
    given = RecordedAttempt(
        id=uuid.uuid4(),
        endpoint_id=endpoint.pk,
        event=Event(delivery_id=delivery_id, **facts),
        result=AttemptResult(
            received_at=at,
            request_headers=[["X-OpenTrain-Delivery", delivery_id]],
            answered_status=status,
            cause=("" if status < 300 else "status") if cause is None else cause,
            handler_url="https://handler.example.com/hook",
            handler_status=status,
            latency_ms=12,
            response_headers=[["Content-Type", "text/plain"]],
            response_head=b"answer",
        ),
    )
    [attempt] = deliveries.record_of_one([given])
    return attempt


def facts(delivery_id="dlv_known"):
    row = Delivery.objects.get(opentrain_id=delivery_id)
    return (row.attempt_count, row.attempts_in_round, row.last_ok, row.requested_at, row.abandoned_at)


@pytest.mark.django_db
def test_record_attempt_of_a_new_delivery_keeps_what_came_and_what_was_answered() -> None:
    endpoint = make_endpoint()
    attempt = record(endpoint=endpoint, status=503)
    row = Delivery.objects.get()
    assert (row.endpoint, row.opentrain_id, row.event_id, row.event_type, row.resource_id, bytes(row.body)) == (
        endpoint, "dlv_known", "evt_1", "contract.started", "con_1", BODY,
    )  # fmt: skip
    assert (row.first_received_at, row.last_attempt_at, row.last_status, row.last_cause, row.last_latency_ms) == (
        NOON, NOON, 503, "status", 12,
    )  # fmt: skip
    assert facts() == (1, 1, False, None, None)
    stored = Attempt.objects.get(pk=attempt.pk)
    assert (stored.delivery, stored.number, stored.ok, stored.handler_status, bytes(stored.response_head)) == (
        row, 1, False, 503, b"answer",
    )  # fmt: skip


@pytest.mark.django_db
def test_record_attempt_again_continues_the_round_and_keeps_the_first_body() -> None:
    endpoint = make_endpoint()
    for number, status in enumerate([503, 500, 204]):
        record(endpoint=endpoint, status=status, at=NOON + number * MINUTE, body=b"%d" % number)
    row = Delivery.objects.get()
    assert facts() == (3, 3, True, None, None)
    assert (row.first_received_at, row.last_attempt_at, row.last_status) == (NOON, NOON + 2 * MINUTE, 204)
    assert bytes(row.body) == b"0"
    assert [(a.number, a.answered_status) for a in row.attempts.all()] == [(1, 503), (2, 500), (3, 204)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "before",
    [
        {"last_ok": True, "attempts_in_round": 2},
        {"attempts_in_round": 5},
        {"attempts_in_round": 2, "abandoned_at": NOON},
        {"attempts_in_round": 2, "requested_at": NOON + MINUTE},
        {"last_ok": True, "attempts_in_round": 1, "requested_at": NOON + MINUTE},
    ],
    ids=["delivered", "exhausted", "abandoned", "requested", "delivered and requested"],
)
def test_record_attempt_after_the_round_was_over_starts_a_new_one(before) -> None:
    endpoint = make_endpoint()
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_known", attempt_count=5, **before)
    record(endpoint=endpoint, status=503, at=NOON + 2 * MINUTE)
    assert facts() == (6, 1, False, None, None)


@pytest.mark.django_db
def test_record_attempt_that_came_before_the_request_leaves_it_waiting() -> None:
    endpoint = make_endpoint()
    make_failed_delivery(
        endpoint=endpoint, opentrain_id="dlv_known", attempts_in_round=2, requested_at=NOON + 2 * MINUTE
    )
    record(endpoint=endpoint, status=503, at=NOON + MINUTE)
    assert facts() == (6, 3, False, NOON + 2 * MINUTE, None)


@pytest.mark.django_db
def test_attempt_of_the_same_id_on_another_endpoint_is_another_delivery() -> None:
    record(endpoint=make_endpoint())
    record(endpoint=make_endpoint())
    assert list(Delivery.objects.values_list("attempt_count", flat=True)) == [1, 1]


def refuse(*, endpoint, at=NOON, reason="mismatch") -> None:
    refusal = Refusal(
        received_at=at,
        reason=reason,
        explanation="The signature does not match.",
        answered_status=401,
        claimed_delivery_id="dlv_1",
        claimed_event_type="contract.started",
        request_headers=[["Content-Type", "application/json"]],
        body_size=2,
        body_sha256=hashlib.sha256(b"{}").hexdigest(),
    )
    deliveries.record_refusals([(endpoint.pk, refusal)])


@pytest.mark.django_db
def test_record_refusals_keeps_only_the_newest_of_an_endpoint(monkeypatch) -> None:
    monkeypatch.setattr(deliveries, "REFUSED_KEPT", 3)
    endpoint, other = make_endpoint(), make_endpoint()
    refuse(endpoint=other)
    for number in range(5):
        refuse(endpoint=endpoint, at=NOON + number * MINUTE)
    kept = RefusedAttempt.objects.filter(endpoint=endpoint).order_by("received_at")
    assert [row.received_at for row in kept] == [NOON + number * MINUTE for number in (2, 3, 4)]
    assert RefusedAttempt.objects.filter(endpoint=other).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("ahead", [-60, -5, -1, 0, 1, 5, 60])
def test_abandon_undelivered_gives_up_what_was_waiting_when_we_learned_of_the_disable(ahead: int) -> None:
    """OpenTrain's clock may be minutes behind ours or ahead of it: its `disabledAt` is compared with nothing."""
    endpoint = make_endpoint()
    learned_at = NOON + 10 * MINUTE
    disabled_at = learned_at + ahead * MINUTE
    make_failed_delivery(endpoint=endpoint, opentrain_id="retrying", attempts_in_round=2)
    make_failed_delivery(
        endpoint=endpoint, opentrain_id="asked before", attempts_in_round=5, requested_at=NOON + MINUTE
    )
    make_failed_delivery(endpoint=endpoint, opentrain_id="asked then", attempts_in_round=5, requested_at=learned_at)
    make_failed_delivery(
        endpoint=endpoint, opentrain_id="asked after", attempts_in_round=2, requested_at=NOON + 11 * MINUTE
    )
    make_failed_delivery(endpoint=endpoint, opentrain_id="exhausted", attempts_in_round=5)
    make_failed_delivery(
        endpoint=endpoint, opentrain_id="later", attempts_in_round=1, last_attempt_at=NOON + 11 * MINUTE
    )
    make_failed_delivery(
        endpoint=endpoint,
        opentrain_id="under way",
        attempts_in_round=1,
        last_attempt_at=learned_at + timedelta(seconds=30),
    )
    make_delivery(endpoint=endpoint, opentrain_id="delivered")
    make_delivery(endpoint=endpoint, opentrain_id="delivered, asked", requested_at=NOON + MINUTE)
    make_failed_delivery(opentrain_id="elsewhere", attempts_in_round=2)

    assert deliveries.abandon_undelivered(endpoint=endpoint, at=disabled_at, learned_at=learned_at) == 3

    rows = {row.opentrain_id: (row.abandoned_at, row.requested_at) for row in Delivery.objects.all()}
    assert rows == {
        "retrying": (disabled_at, None),
        "asked before": (disabled_at, None),
        "asked then": (None, learned_at),
        "asked after": (None, NOON + 11 * MINUTE),
        "exhausted": (None, None),
        "later": (None, None),
        "under way": (disabled_at, None),
        "delivered": (None, None),
        "delivered, asked": (None, None),
        "elsewhere": (None, None),
    }
    assert deliveries.abandon_undelivered(endpoint=endpoint, at=disabled_at, learned_at=learned_at) == 0


@pytest.mark.django_db
def test_abandon_undelivered_gives_up_what_a_handler_reports_by_a_clock_that_is_ahead() -> None:
    endpoint = make_endpoint(receiver_key=None)
    reported = make_failed_delivery(endpoint=endpoint, attempts_in_round=1, last_attempt_at=NOON + 5 * MINUTE)
    assert deliveries.abandon_undelivered(endpoint=endpoint, at=NOON, learned_at=NOON) == 1
    assert Delivery.objects.get(pk=reported.pk).abandoned_at == NOON


def all_requested(endpoint, failed_then, *, requeued) -> int:
    at = NOON + 2 * MINUTE
    return deliveries.mark_requeued(endpoint=endpoint, failed_then=failed_then, requeued=requeued, at=at)


@pytest.mark.django_db
def test_call_for_all_failed_is_about_those_that_were_failed_before_it() -> None:
    endpoint = make_endpoint()
    make_failed_delivery(endpoint=endpoint, opentrain_id="exhausted")
    make_failed_delivery(endpoint=endpoint, opentrain_id="abandoned", attempts_in_round=1, abandoned_at=NOON)
    make_failed_delivery(endpoint=endpoint, opentrain_id="retrying", attempts_in_round=1)
    make_failed_delivery(endpoint=endpoint, opentrain_id="asked", requested_at=NOON + MINUTE)
    make_failed_delivery(endpoint=endpoint, opentrain_id="came meanwhile", last_attempt_at=NOON + 3 * MINUTE)
    make_delivery(endpoint=endpoint, opentrain_id="delivered")
    make_failed_delivery(opentrain_id="elsewhere")

    failed_then = deliveries.failed_now(endpoint=endpoint)
    # The one that came meanwhile counts, because it may have been the redelivery.
    assert all_requested(endpoint, failed_then, requeued=2) == 3
    assert endpoint.deliveries.filter(requested_at=NOON + 2 * MINUTE).count() == 0
    assert all_requested(endpoint, failed_then, requeued=3) == 3

    assert dict(Delivery.objects.values_list("opentrain_id", "requested_at")) == {
        "exhausted": NOON + 2 * MINUTE,
        "abandoned": NOON + 2 * MINUTE,
        "retrying": None,
        "asked": NOON + MINUTE,
        "came meanwhile": None,
        "delivered": None,
        "elsewhere": None,
    }


@pytest.mark.django_db
def test_delivery_that_somebody_else_requested_meanwhile_is_left_to_that_request() -> None:
    endpoint = make_endpoint()
    mine, theirs = make_failed_delivery(endpoint=endpoint), make_failed_delivery(endpoint=endpoint)
    failed_then = deliveries.failed_now(endpoint=endpoint)
    deliveries.mark_requested(delivery=theirs, at=NOON + MINUTE)
    assert all_requested(endpoint, failed_then, requeued=1) == 1
    assert dict(endpoint.deliveries.values_list("pk", "requested_at")) == {
        mine.pk: NOON + 2 * MINUTE,
        theirs.pk: NOON + MINUTE,
    }


@pytest.mark.django_db
def test_delivery_that_was_deleted_meanwhile_counts_as_one_that_was_failed() -> None:
    endpoint = make_endpoint()
    _left, gone = make_failed_delivery(endpoint=endpoint), make_failed_delivery(endpoint=endpoint)
    failed_then = deliveries.failed_now(endpoint=endpoint)
    gone.delete()
    assert all_requested(endpoint, failed_then, requeued=1) == 2
    assert endpoint.deliveries.failed().count() == 1


@pytest.mark.django_db(transaction=True)
def test_attempt_that_is_being_recorded_is_waited_for_and_not_taken_for_one_to_come() -> None:
    endpoint = make_endpoint()
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_known")
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_other")
    failed_then = deliveries.failed_now(endpoint=endpoint)

    def mark() -> int:
        try:
            return deliveries.mark_requeued(endpoint=endpoint, failed_then=failed_then, requeued=2, at=NOON + MINUTE)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            record(endpoint=endpoint, status=503, at=NOON + 2 * MINUTE)
            waiting = pool.submit(mark)
            wait_until(somebody_waits)
        assert waiting.result(timeout=60) == 2
    assert (facts(), facts("dlv_other")) == ((6, 1, False, None, None), (5, 5, False, NOON + MINUTE, None))


@pytest.mark.django_db
def test_mark_requested_of_one_marks_it_whatever_its_state() -> None:
    endpoint = make_endpoint()
    delivered, other = make_delivery(endpoint=endpoint), make_failed_delivery(endpoint=endpoint)
    assert deliveries.mark_requested(delivery=delivered, at=NOON + MINUTE)
    delivered.refresh_from_db()
    other.refresh_from_db()
    assert (delivered.requested_at, other.requested_at) == (NOON + MINUTE, None)


@pytest.mark.django_db
def test_mark_requested_of_one_that_was_attempted_since_marks_nothing() -> None:
    delivery = make_failed_delivery(last_attempt_at=NOON + 2 * MINUTE)
    assert not deliveries.mark_requested(delivery=delivery, at=NOON + MINUTE)


def assert_settled(endpoint) -> None:
    """Assert for every row of the endpoint that the columns lists filter by match the rules."""
    for row in endpoint.deliveries.all():
        kept = row.standing, row.due_by
        row.settle(schedule=schedule())
        assert kept == (row.standing, row.due_by), row.opentrain_id


@pytest.mark.django_db
def test_every_write_keeps_what_lists_filter_by_in_step_with_the_facts() -> None:
    endpoint = make_endpoint()
    for number in range(5):
        record(endpoint=endpoint, status=503, at=NOON + number * MINUTE)
        assert_settled(endpoint)
    record(endpoint=endpoint, delivery_id="waiting", status=503, at=NOON)
    make_delivery(endpoint=endpoint, opentrain_id="delivered", requested_at=NOON)
    failed = deliveries.failed_now(endpoint=endpoint)
    assert deliveries.mark_requeued(endpoint=endpoint, failed_then=failed, requeued=1, at=NOON + 10 * MINUTE) == 1
    assert_settled(endpoint)
    deliveries.abandon_undelivered(endpoint=endpoint, at=NOON, learned_at=NOON + 20 * MINUTE)
    assert_settled(endpoint)
    assert sorted(endpoint.deliveries.values_list("standing", flat=True)) == [1, 3, 3]
    record(endpoint=endpoint, delivery_id="waiting", status=200, at=NOON + 30 * MINUTE)
    assert_settled(endpoint)
