"""An attempt that both the receiver and the handler report counts once, in either order."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from dashboard.actions.deliveries import matching, observations
from dashboard.actions.deliveries.observations import Recorded
from dashboard.models import Attempt, Delivery
from dashboard.rules.attempts import AttemptResult, Event
from dashboard.rules.observations import Observation
from tests.actions.deliveries.test_record import record
from tests.factories import BODY, NOON, make_endpoint

SECOND = timedelta(seconds=1)


def observe(*, endpoint, status=200, at=NOON, body=None, delivery_id="dlv_known") -> Recorded:
    event = Event(delivery_id=delivery_id, event_id="", event_type="contract.started", resource_id="", body=body)
    result = AttemptResult(
        received_at=at,
        request_headers=[],
        answered_status=status,
        cause="" if status < 300 else "status",
        handler_url="",
        handler_status=status,
        latency_ms=7,
        response_headers=[],
        response_head=b"",
        source=Attempt.Source.OBSERVED,
        signature="",
    )
    return observations.record(endpoint=endpoint, observations=[Observation(event, result)])


def told() -> list[tuple[int, str, int]]:
    return list(Attempt.objects.order_by("number").values_list("number", "source", "answered_status"))


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [-10, -0.5, 0, 0.3, 10])
def test_observation_of_what_the_receiver_took_is_known(seconds) -> None:
    endpoint = make_endpoint()
    record(endpoint=endpoint, status=504)
    assert observe(endpoint=endpoint, at=NOON + seconds * SECOND) == Recorded(stored=0, known=1)
    row = Delivery.objects.get()
    assert (told(), row.attempt_count, row.last_status) == ([(1, "receiver", 504)], 1, 504)


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [-10.001, 10.001])
def test_observation_further_away_is_an_attempt_of_its_own(seconds) -> None:
    endpoint = make_endpoint()
    record(endpoint=endpoint)
    assert observe(endpoint=endpoint, at=NOON + seconds * SECOND) == Recorded(stored=1, known=0)
    assert Delivery.objects.get().attempt_count == 2


@pytest.mark.django_db
def test_each_attempt_of_both_is_counted_once() -> None:
    endpoint = make_endpoint()
    for minute, status in enumerate([503, 503, 200]):
        record(endpoint=endpoint, status=status, at=NOON + minute * 60 * SECOND)
        observe(endpoint=endpoint, status=status, at=NOON + minute * 60 * SECOND + SECOND)
    assert told() == [(1, "receiver", 503), (2, "receiver", 503), (3, "receiver", 200)]


@pytest.mark.django_db
def test_receiver_takes_the_place_of_an_observation_that_was_first() -> None:
    endpoint = make_endpoint()
    observe(endpoint=endpoint, at=NOON + SECOND)
    attempt = record(endpoint=endpoint, status=504, cause="timeout")
    row = Delivery.objects.get()
    assert (row.attempt_count, row.attempts_in_round, row.last_ok, row.last_status, row.last_cause) == (
        1, 1, False, 504, "timeout",
    )  # fmt: skip
    assert (row.first_received_at, row.last_attempt_at, row.last_latency_ms, row.event_id) == (NOON, NOON, 12, "evt_1")
    assert (bytes(row.body), row.last_signature) == (BODY, "verified")
    stored = Attempt.objects.get()
    assert (stored.pk, stored.number, stored.source, stored.signature, stored.received_at, stored.answered_status) == (
        attempt.pk, 1, "receiver", "verified", NOON, 504,
    )  # fmt: skip
    assert observe(endpoint=endpoint, at=NOON + SECOND) == Recorded(stored=0, known=1)


@pytest.mark.django_db
def test_receiver_takes_the_nearest_observation_and_leaves_the_others() -> None:
    endpoint = make_endpoint()
    for second in (-8, 1, 5):
        observe(endpoint=endpoint, at=NOON + second * SECOND)
    record(endpoint=endpoint, status=503)
    assert told() == [(1, "observed", 200), (2, "receiver", 503), (3, "observed", 200)]
    row = Delivery.objects.get()
    assert (row.attempt_count, row.last_attempt_at, row.last_status) == (3, NOON + 5 * SECOND, 200)


@pytest.mark.django_db
def test_receiver_answers_the_request_that_the_handlers_slow_clock_did_not() -> None:
    endpoint = make_endpoint()
    observe(endpoint=endpoint, status=503, at=NOON - 60 * SECOND)
    Delivery.objects.update(requested_at=NOON)
    observe(endpoint=endpoint, status=503, at=NOON - SECOND)
    record(endpoint=endpoint, at=NOON + SECOND)
    row = Delivery.objects.get()
    assert (row.attempt_count, row.attempts_in_round, row.requested_at, row.last_ok) == (2, 1, None, True)


@pytest.mark.django_db
def test_later_attempt_brings_the_body_that_nobody_told_of() -> None:
    endpoint = make_endpoint()
    observe(endpoint=endpoint)
    observe(endpoint=endpoint, at=NOON + 60 * SECOND, body=b"told later")
    observe(endpoint=endpoint, at=NOON + 120 * SECOND, body=b"another")
    row = Delivery.objects.get()
    assert (bytes(row.body), row.body_gone_at) == (b"told later", None)


@pytest.mark.parametrize(("delays", "seconds"), [([60, 300], 10), ([4, 8], 2), ([20], 10), ([], 10)])
def test_two_attempts_are_never_close_enough_to_be_taken_for_one(settings, delays, seconds) -> None:
    settings.OPENTRAIN_RETRY_DELAYS_S = delays
    assert matching.same_within() == seconds * SECOND


@pytest.mark.django_db(transaction=True)
def test_receiver_and_handler_at_once_count_each_delivery_once() -> None:
    endpoint = make_endpoint()

    def tell(number: int) -> None:
        name = f"dlv_{number // 2}"
        try:
            if number % 2:
                record(endpoint=endpoint, delivery_id=name)
            else:
                observe(endpoint=endpoint, delivery_id=name, at=NOON + SECOND)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tell, range(60)))
    assert set(Delivery.objects.values_list("attempt_count", flat=True)) == {1}
    assert list(Attempt.objects.values_list("source", flat=True)) == ["receiver"] * 30
