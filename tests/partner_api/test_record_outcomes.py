"""Recorded attempts: the schedule, the automatic disabling, and the new round that a redelivery starts."""

from datetime import timedelta

import pytest

from dashboard.partner_api.endpoints import Registered
from dashboard.partner_api.engine import Report
from dashboard.partner_api.models import Attempt, Delivery, Endpoint
from tests.partner_api.conftest import THEN, Partner
from tests.partner_api.deeds import change, deliver, emit, redeliver, states
from tests.partner_api.sink import Sink


def test_a_delivery_is_tried_five_times_by_the_schedule_and_then_failed(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    receiver.always(503)
    emit(partner)
    now = THEN
    for tries, minutes in enumerate((1, 5, 30, 120), start=1):
        assert deliver(now=now).attempted == 1
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.tries) == ("PENDING", tries)
        assert delivery.next_attempt_at == now + timedelta(minutes=minutes)
        assert deliver(now=delivery.next_attempt_at - timedelta(seconds=1)).attempted == 0
        now = delivery.next_attempt_at
    assert deliver(now=now).attempted == 1
    assert (states(), Endpoint.objects.get().consecutive_failures) == (["FAILED"], 5)
    assert deliver(now=now + timedelta(days=9)).attempted == 0
    attempts = Attempt.objects.order_by("number").values_list("number", "status_code", "cause")
    assert list(attempts) == [(number, 503, "status") for number in range(1, 6)]
    assert len(set(receiver.delivery_ids)) == 1
    assert len({received.headers["X-OpenTrain-Signature"] for received in receiver.requests}) == 5


@pytest.mark.parametrize("failures_before", [0, 4])
def test_an_endpoint_is_disabled_after_exactly_ten_failures(
    partner: Partner, hooked: Registered, receiver: Sink, failures_before: int
) -> None:
    receiver.always(503)
    Endpoint.objects.update(consecutive_failures=failures_before)
    emit(partner, count=30)
    assert deliver().attempted == 10 - failures_before
    endpoint = Endpoint.objects.get()
    assert (endpoint.status, endpoint.consecutive_failures, endpoint.disabled_at) == ("DISABLED", 10, THEN)
    assert endpoint.disabled_reason == (
        "Disabled automatically after 10 consecutive failed delivery attempts. The last one: HTTP 503."
    )
    assert states() == ["FAILED"] * 30
    assert len(receiver.requests) == Attempt.objects.count() == 10 - failures_before
    assert deliver(now=THEN + timedelta(days=1)).attempted == 0


def test_nine_failures_and_a_success_begin_the_streak_anew(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    receiver.always(500)
    emit(partner, count=9)
    deliver()
    assert Endpoint.objects.get().consecutive_failures == 9
    receiver.always(200)
    emit(partner)
    assert deliver() == Report(attempted=1, delivered=1, unfinished=False)
    endpoint = Endpoint.objects.get()
    assert (endpoint.status, endpoint.consecutive_failures) == ("ACTIVE", 0)


def test_one_failure_after_re_enabling_does_not_disable_again(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    receiver.always(503)
    emit(partner, count=12)
    deliver()
    change(hooked.endpoint, status="ACTIVE")
    emit(partner)
    assert deliver().attempted == 1
    endpoint = Endpoint.objects.get()
    assert (endpoint.status, endpoint.consecutive_failures, endpoint.disabled_at) == ("ACTIVE", 1, None)
    assert states() == ["FAILED"] * 12 + ["PENDING"]


def test_recovery_re_enable_and_redeliver_all_delivers_everything(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    receiver.always(503)
    emit(partner, count=12)
    deliver()
    receiver.always(200)
    assert redeliver(hooked.endpoint) == 12
    assert deliver().attempted == 0
    change(hooked.endpoint, status="ACTIVE")
    assert deliver() == Report(attempted=12, delivered=12, unfinished=False)
    assert states() == ["DELIVERED"] * 12
    first = Attempt.objects.filter(delivery_id=receiver.delivery_ids[0]).order_by("number")
    assert [(attempt.number, attempt.status_code) for attempt in first] == [(1, 503), (2, 200)]


def test_a_requeued_delivery_has_five_attempts_anew(partner: Partner, hooked: Registered, receiver: Sink) -> None:
    emit(partner)
    receiver.always(500)
    Delivery.objects.update(status="FAILED", next_attempt_at=None, tries=5, attempts=5)
    redeliver(hooked.endpoint)
    deliver()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.round, delivery.tries, delivery.attempts) == ("PENDING", 2, 1, 6)
    assert delivery.next_attempt_at == THEN + timedelta(minutes=1)
    assert Attempt.objects.get().number == 6


def test_a_delivered_delivery_is_sent_again_with_the_same_id(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    emit(partner)
    deliver()
    delivery = Delivery.objects.get()
    redeliver(hooked.endpoint, delivery_id=delivery.pk)
    deliver()
    assert receiver.delivery_ids == [delivery.pk, delivery.pk]
    assert receiver.requests[0].body == receiver.requests[1].body
