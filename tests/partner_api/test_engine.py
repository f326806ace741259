"""The delivery run, end to end: real rows, real HTTP, a receiver that answers as it is told."""

import asyncio
import hashlib
import hmac
import json
import logging
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils import timezone

from dashboard.partner_api import conf, endpoints, engine, ledger, policy, settling
from dashboard.partner_api.endpoints import Changes, Registered
from dashboard.partner_api.engine import Report
from dashboard.partner_api.ledger import Claim
from dashboard.partner_api.models import Attempt, Delivery, Endpoint
from dashboard.partner_api.rota import Ask
from tests.partner_api import sink
from tests.partner_api.conftest import THEN, Partner, emit_one, make_endpoint, make_partner
from tests.partner_api.sink import Received, Sink


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink.running_sink() as running:
        yield running


@pytest.fixture
def hooked(partner: Partner, receiver: Sink) -> Registered:
    return make_endpoint(partner, url=receiver.url)


def deliver(*, now: datetime = THEN) -> Report:
    """One delivery run, at a moment of our choosing."""
    return async_to_sync(engine.run)(clock=lambda: now)


def claim_all(*, now: datetime = THEN) -> list[Claim]:
    """Claim what is due as a run does."""
    asks = [Ask(endpoint_id=found, count=10, held=0) for found in ledger.due_endpoints(now=now)]
    return ledger.claim(asks=asks, now=now, knobs=conf.knobs())


def emit(partner: Partner, *, count: int = 1) -> None:
    for _ in range(count):
        emit_one(partner)


def states() -> list[str]:
    return sorted(Delivery.objects.values_list("status", flat=True))


def change(endpoint: Endpoint, **changes: object) -> Endpoint:
    return endpoints.change(
        install_id=endpoint.install_id, endpoint_id=endpoint.pk, changes=Changes(**changes), now=THEN
    )


def redeliver(endpoint: Endpoint, *, delivery_id: str | None = None, now: datetime = THEN) -> int:
    done = endpoints.redeliver(
        install_id=endpoint.install_id, endpoint_id=endpoint.pk, delivery_id=delivery_id, now=now
    )
    return done.count


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


def test_what_came_instead_of_an_answer_is_recorded(partner: Partner) -> None:
    make_endpoint(partner, url=sink.unused_url())
    emit(partner)
    deliver()
    attempt = Attempt.objects.get()
    assert (attempt.status_code, attempt.cause, bytes(attempt.response_head)) == (None, "refused", b"")


def test_a_slow_receiver_times_out_and_does_not_hold_up_another(partner: Partner, receiver: Sink, settings) -> None:
    settings.PARTNER_API_TIMEOUT_S = 1
    settings.PARTNER_API_DISABLE_AFTER = 3
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


def test_a_paused_endpoint_is_left_alone_and_goes_on_when_resumed(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    emit(partner, count=2)
    change(hooked.endpoint, status="DISABLED")
    assert deliver().attempted == 0
    assert states() == ["PENDING", "PENDING"]
    change(hooked.endpoint, status="ACTIVE")
    assert deliver().delivered == 2


@pytest.mark.parametrize("event", ["paused", "deleted"])
def test_what_changed_since_an_endpoint_was_found_due_is_not_claimed(
    partner: Partner, hooked: Registered, receiver: Sink, event: str
) -> None:
    emit(partner)
    asks = [Ask(endpoint_id=found, count=10, held=0) for found in ledger.due_endpoints(now=THEN)]
    if event == "paused":
        change(hooked.endpoint, status="DISABLED")
    else:
        endpoints.delete(install_id=partner.install_id, endpoint_id=hooked.endpoint.pk)
    assert [ask.endpoint_id for ask in asks] == [hooked.endpoint.pk]
    assert ledger.claim(asks=asks, now=THEN, knobs=conf.knobs()) == []


def test_a_claim_says_what_to_post_where_and_shows_no_secret(partner: Partner, hooked: Registered) -> None:
    emit(partner)
    change(hooked.endpoint, url="https://new.example.com/")
    [claim] = claim_all()
    assert (claim.url, claim.event_type) == ("https://new.example.com/", "contract.started")
    assert hooked.endpoint.secret_sealed not in repr(claim)


def test_a_released_claim_is_free_at_once_and_anothers_is_left_alone(partner: Partner, hooked: Registered) -> None:
    emit(partner, count=2)
    mine, lapsed = claim_all()
    Delivery.objects.filter(pk=lapsed.delivery_id).update(claimed_by=uuid.UUID(int=1))
    ledger.release(claims=[mine, lapsed])
    held = Delivery.objects.exclude(claimed_by=None)
    assert list(held.values_list("id", "claimed_by")) == [(lapsed.delivery_id, uuid.UUID(int=1))]
    assert [claim.delivery_id for claim in claim_all()] == [mine.delivery_id]


def test_an_endpoint_paused_during_the_run_is_posted_to_no_more(
    partner: Partner, hooked: Registered, receiver: Sink, settings
) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 1
    emit(partner, count=5)
    record = settling.record

    def record_and_pause(**values: object) -> None:
        record(**values)
        change(hooked.endpoint, status="DISABLED")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_record", engine.sync_to_async(record_and_pause))
        assert deliver().attempted == 1
    assert states() == ["DELIVERED", "PENDING", "PENDING", "PENDING", "PENDING"]


def result_of(claim: Claim, *, status: int, ended_at: datetime = THEN) -> ledger.Result:
    outcome = policy.answered(status=status)
    return ledger.Result(claim=claim, outcome=outcome, started_at=THEN, ended_at=ended_at, duration_ms=7)


def post_during(action: Callable[[], object], *, status: int) -> None:
    """Do something while the only delivery is in flight."""
    [claim] = claim_all()
    action()
    settling.record(results=[result_of(claim, status=status)], knobs=conf.knobs())


@pytest.mark.parametrize("status", [200, 500])
def test_a_requeue_during_the_attempt_is_honoured_after_it(
    partner: Partner, hooked: Registered, receiver: Sink, status: int
) -> None:
    emit(partner)
    delivery = Delivery.objects.get()

    def requeue() -> None:
        redeliver(hooked.endpoint, delivery_id=delivery.pk)
        assert claim_all() == []

    post_during(requeue, status=status)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries, delivery.attempts) == ("PENDING", 0, 1)
    assert deliver().delivered == 1


@pytest.mark.parametrize(("status", "expected"), [(200, "DELIVERED"), (500, "FAILED")])
def test_an_answer_after_the_automatic_disabling_settles_only_its_delivery(
    partner: Partner, hooked: Registered, receiver: Sink, status: int, expected: str
) -> None:
    emit(partner)

    def disable() -> None:
        Endpoint.objects.update(
            status="DISABLED", disabled_at=THEN, disabled_reason="Ten failures.", consecutive_failures=10
        )
        Delivery.objects.update(status="FAILED", next_attempt_at=None)

    post_during(disable, status=status)
    endpoint, delivery = Endpoint.objects.get(), Delivery.objects.get()
    assert (delivery.status, delivery.claimed_by) == (expected, None)
    assert (endpoint.consecutive_failures, endpoint.disabled_reason) == (10, "Ten failures.")


def test_an_endpoint_deleted_during_the_attempt_leaves_nothing(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    emit(partner)
    post_during(
        lambda: endpoints.delete(install_id=partner.install_id, endpoint_id=hooked.endpoint.pk),
        status=200,
    )
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)


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


def test_a_run_whose_time_is_up_says_that_it_is_unfinished(
    partner: Partner, hooked: Registered, receiver: Sink, settings
) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 1
    settings.PARTNER_API_RUN_BUDGET_S = 0.001
    emit(partner, count=200)
    report = deliver()
    assert report.unfinished
    assert report.attempted < 200


def run_in_thread(reports: list[Report]) -> None:
    try:
        reports.append(async_to_sync(engine.run)())
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_concurrent_runs_share_the_work_and_never_post_a_delivery_twice_at_once(receiver: Sink, settings) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 3
    partner = make_partner()
    for _ in range(6):
        make_endpoint(partner, url=receiver.url)
    emit(partner, count=25)
    reports: list[Report] = []
    runs = [threading.Thread(target=run_in_thread, args=(reports,)) for _ in range(3)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join(timeout=60)
    assert sum(report.attempted for report in reports) == 150
    assert len(receiver.requests) == len(set(receiver.delivery_ids)) == 150
    assert receiver.doubled == []
    assert states() == ["DELIVERED"] * 150


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_records_what_is_in_flight_and_gives_the_rest_back(receiver: Sink, settings) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 2
    partner = make_partner()
    make_endpoint(partner, url=receiver.url)
    emit(partner, count=8)
    told = threading.Event()

    def answer(received: Received) -> int:
        told.wait(10)
        return 200

    receiver.answer = answer

    async def cancel_in_flight() -> None:
        work = asyncio.create_task(engine.run(clock=timezone.now))
        await asyncio.to_thread(sink.wait_until, lambda: len(receiver.requests) == 2)
        work.cancel()
        await asyncio.sleep(0.05)
        told.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    async_to_sync(cancel_in_flight)()
    assert states() == ["DELIVERED"] * 2 + ["PENDING"] * 6
    assert Delivery.objects.exclude(claimed_by=None).count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_does_not_end_within_the_grace_is_dropped_and_comes_again(receiver: Sink, monkeypatch) -> None:
    monkeypatch.setattr(engine, "GRACE_S", 0.05)
    partner = make_partner()
    in_flight = threading.Event()

    def hang(connection: socket.socket, over: threading.Event) -> None:
        in_flight.set()
        sink.silent(connection, over)

    with sink.running_socket(hang) as url:
        make_endpoint(partner, url=url)
        emit(partner)

        async def cancel_soon() -> None:
            work = asyncio.create_task(engine.run(clock=lambda: THEN))
            await asyncio.to_thread(sink.wait_until, in_flight.is_set)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

        async_to_sync(cancel_soon)()
    assert (states(), Attempt.objects.count()) == (["PENDING"], 0)
    assert len(claim_all(now=THEN + timedelta(minutes=1))) == 1
