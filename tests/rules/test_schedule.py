"""OpenTrain's retry schedule."""

from datetime import timedelta

from tests.rules.test_deliveries import OPENTRAIN


def test_schedule_of_opentrain_gives_a_delivery_five_attempts() -> None:
    assert OPENTRAIN.attempts == 5


def test_retry_span_of_opentrain_is_its_delays_and_a_run_interval_for_each_attempt() -> None:
    assert OPENTRAIN.retry_span == timedelta(minutes=1 + 5 + 30 + 120 + 5 * 5)


def test_opentrain_retries_for_its_delays_at_least() -> None:
    assert OPENTRAIN.retried_for == timedelta(minutes=1 + 5 + 30 + 120)
