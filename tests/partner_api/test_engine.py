"""One delivery run, end to end: real rows, real HTTP, a receiver with chosen answers."""

import hashlib
import hmac
import json
import logging
from datetime import timedelta

from dashboard.partner_api.endpoints import Registered
from dashboard.partner_api.engine import Report
from dashboard.partner_api.models import Attempt, Delivery, Endpoint
from tests.partner_api import sink
from tests.partner_api.conftest import THEN, Partner, emit_one, make_endpoint
from tests.partner_api.deeds import claim_all, deliver, emit, states
from tests.partner_api.sink import Received, Sink


def test_a_delivery_carries_the_events_bytes_and_the_contracts_headers(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    emitted = emit_one(partner)
    assert deliver() == Report(attempted=1, delivered=1, unfinished=False)
    [received] = receiver.requests
    delivery = Delivery.objects.get()
    body = {
        "id": emitted.event_id,
        "type": "contract.started",
        "apiVersion": "v1",
        "createdAt": "2026-06-12T10:00:00.000Z",
        "resourceId": "ctr_1",
        "jobId": "job_1",
        "data": {"title": "Ünïcode"},
    }
    assert json.loads(received.body) == body
    assert received.body == bytes(delivery.event.body)
    stamp = int(THEN.timestamp())
    digest = hmac.new(hooked.secret.encode(), f"{stamp}.".encode() + received.body, hashlib.sha256).hexdigest()
    headers = {name: received.headers[name] for name in received.header_names if name != "Host"}
    assert headers == {
        "User-Agent": "OpenTrain-Partner-Webhooks/1.0",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "X-OpenTrain-Event": "contract.started",
        "X-OpenTrain-Delivery": delivery.pk,
        "X-OpenTrain-Signature": f"t={stamp},v1={digest}",
        "Content-Length": str(len(received.body)),
    }


def test_a_success_is_recorded_and_clears_claim_and_streak(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    Endpoint.objects.update(consecutive_failures=9)
    emit(partner)
    deliver()
    delivery, attempt = Delivery.objects.get(), Attempt.objects.get()
    assert (delivery.status, delivery.tries, delivery.next_attempt_at) == ("DELIVERED", 1, None)
    assert (delivery.claimed_by, delivery.lease_until) == (None, None)
    assert (attempt.number, attempt.started_at, attempt.status_code, attempt.cause) == (1, THEN, 200, "")
    assert bytes(attempt.response_head) == b"hello"
    assert Endpoint.objects.get().consecutive_failures == 0


def test_what_came_instead_of_an_answer_is_recorded(partner: Partner) -> None:
    make_endpoint(partner, url=sink.unused_url())
    emit(partner)
    deliver()
    attempt = Attempt.objects.get()
    assert (attempt.status_code, attempt.cause, bytes(attempt.response_head)) == (None, "refused", b"")


def test_a_slow_receiver_times_out_and_does_not_hold_up_another(partner: Partner, receiver: Sink, settings) -> None:
    settings.PARTNER_API_TIMEOUT_S = 3
    settings.PARTNER_API_DISABLE_AFTER = 2
    answered: list[str] = []
    with sink.running_socket(sink.silent) as silent_url:
        make_endpoint(partner, url=silent_url)
        make_endpoint(partner, url=receiver.url)
        emit(partner, count=12)

        def answer(received: Received) -> int:
            answered.append(received.delivery_id)
            return 200

        receiver.answer = answer
        deliver()
    assert len(answered) == 12
    assert set(Attempt.objects.values_list("cause", flat=True)) == {"", "timeout"}
    assert Delivery.objects.filter(status="DELIVERED").count() == 12


def test_a_crashed_runs_claim_lapses_after_its_lease(partner: Partner, hooked: Registered, receiver: Sink) -> None:
    emit(partner)
    assert len(claim_all()) == 1
    assert deliver(now=THEN + timedelta(seconds=59)).attempted == 0
    assert deliver(now=THEN + timedelta(seconds=60)).delivered == 1


def test_a_secret_that_cannot_be_read_is_logged_and_tried_after_the_lease(
    partner: Partner, hooked: Registered, receiver: Sink, settings, caplog
) -> None:
    emit(partner)
    settings.PARTNER_API_KEYS = ["A" * 43 + "="]
    with caplog.at_level(logging.ERROR):
        assert deliver() == Report(attempted=0, delivered=0, unfinished=False)
    assert "A signing secret cannot be read with any key of PARTNER_API_KEYS." in caplog.text
    assert (states(), receiver.requests) == (["PENDING"], [])


def test_limits_hold_overall_and_for_each_endpoint(partner: Partner, settings) -> None:
    settings.PARTNER_API_MAX_IN_FLIGHT = 3
    settings.PARTNER_API_MAX_PER_ENDPOINT = 2
    with sink.running_sink() as one, sink.running_sink() as other:
        seen: list[int] = []

        def answer(received: Received) -> int:
            seen.append(len(one._open) + len(other._open))
            return 200

        one.answer = other.answer = answer
        for url in (one.url, one.url, other.url):
            make_endpoint(partner, url=url)
        emit(partner, count=10)
        assert deliver().delivered == 30
    assert max(seen) <= 3
    assert (len(one.requests), len(other.requests)) == (20, 10)
    assert other.most_at_once <= 2
