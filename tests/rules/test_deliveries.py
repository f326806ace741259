"""The state of a delivery in words; the rule is also written in SQL, and both are compared on real rows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.models import Delivery
from dashboard.rules import deliveries
from dashboard.rules.deliveries import DeliveryFacts, StateKind, due_from, overdue_after
from dashboard.rules.endpoints import EndpointFacts
from dashboard.rules.schedule import Schedule
from tests.factories import make_delivery, make_endpoint

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)

MINUTE = timedelta(minutes=1)

OPENTRAIN = Schedule(
    retry_delays=tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120)), run_interval=5 * MINUTE
)

ACTIVE = EndpointFacts(status="ACTIVE")

DISABLED = EndpointFacts(status="DISABLED")


def state(*, after, endpoint=ACTIVE, **facts):
    defaults = {"last_ok": False, "attempts_in_round": 1, "last_attempt_at": NOON}
    return deliveries.delivery_state(
        facts=DeliveryFacts(**defaults | facts), endpoint=endpoint, now=NOON + after, schedule=OPENTRAIN
    )


def test_delivery_that_succeeded_is_delivered_since_its_last_attempt() -> None:
    found = state(after=14 * MINUTE, last_ok=True)
    assert (found.kind, found.words, found.next_due, found.since) == (
        StateKind.DELIVERED,
        "Delivered 14 min ago.",
        None,
        NOON,
    )


@pytest.mark.parametrize(
    ("attempts", "delay_min", "words"),
    [
        (1, 1, "Attempt 1 of 5 failed; next in 60 s to 6 min."),
        (2, 5, "Attempt 2 of 5 failed; next in 5 min to 10 min."),
        (3, 30, "Attempt 3 of 5 failed; next in 30 min to 35 min."),
        (4, 120, "Attempt 4 of 5 failed; next in about 2 h."),
    ],
)
def test_delivery_that_failed_is_retried_by_the_schedule(attempts, delay_min, words) -> None:
    found = state(after=timedelta(0), attempts_in_round=attempts)
    assert (found.kind, found.next_due, found.words) == (StateKind.RETRYING, NOON + delay_min * MINUTE, words)


@pytest.mark.parametrize(
    ("after", "kind", "words"),
    [
        (1 * MINUTE, StateKind.RETRYING, "Attempt 1 of 5 failed; next within 5 min."),
        (6 * MINUTE, StateKind.RETRYING, "Attempt 1 of 5 failed; next any moment now."),
        (7 * MINUTE, StateKind.RETRYING, "Attempt 1 of 5 failed; next any moment now."),
        (
            9 * MINUTE,
            StateKind.OVERDUE,
            "Attempt 1 of 5 failed; the next is overdue, expected 3 min ago at the latest.",
        ),
    ],
)
def test_delivery_whose_next_attempt_does_not_come_becomes_overdue(after, kind, words) -> None:
    found = state(after=after)
    assert (found.kind, found.words) == (kind, words)


def test_delivery_overdue_is_so_since_it_should_have_been_seen() -> None:
    assert state(after=9 * MINUTE).since == NOON + 6 * MINUTE
    assert state(after=7 * MINUTE + timedelta(milliseconds=1)).kind is StateKind.OVERDUE


def test_delivery_of_a_disabled_endpoint_has_nothing_due_and_is_never_overdue() -> None:
    found = state(after=timedelta(days=9), endpoint=DISABLED)
    assert (found.kind, found.next_due) == (StateKind.RETRYING, None)
    assert found.words == "Attempt 1 of 5 failed; deliveries are stopped until the endpoint is re-enabled."


def test_delivery_of_an_endpoint_with_an_unknown_status_is_still_expected() -> None:
    assert state(after=timedelta(days=9), endpoint=EndpointFacts(status="DRAINING")).kind is StateKind.OVERDUE


def test_delivery_with_its_attempts_used_up_is_failed() -> None:
    found = state(after=14 * MINUTE, attempts_in_round=5)
    assert (found.kind, found.next_due) == (StateKind.FAILED, None)
    assert found.words == "5 attempts failed, the last 14 min ago. OpenTrain will not retry automatically."


def test_delivery_given_up_with_the_auto_disable_is_failed_since_then() -> None:
    found = state(after=14 * MINUTE, attempts_in_round=2, abandoned_at=NOON + MINUTE)
    assert (found.kind, found.since, found.next_due) == (StateKind.FAILED, NOON + MINUTE, None)
    assert (
        found.words
        == "OpenTrain abandoned it when the endpoint was disabled or deleted, and will not retry automatically."
    )


@pytest.mark.parametrize(
    "facts", [{"last_ok": True}, {"attempts_in_round": 5}, {"abandoned_at": NOON}, {"attempts_in_round": 2}]
)
def test_delivery_requested_again_is_so_whatever_it_was(facts) -> None:
    found = state(after=12 * MINUTE, requested_at=NOON + 10 * MINUTE, **facts)
    assert (found.kind, found.since) == (StateKind.REQUESTED_AGAIN, NOON + 10 * MINUTE)
    assert found.words == "Requested again 2 min ago; expected within 3 min."


def test_delivery_requested_again_and_not_seen_says_so() -> None:
    found = state(after=20 * MINUTE, requested_at=NOON)
    assert (found.kind, found.since) == (StateKind.OVERDUE, NOON + 5 * MINUTE)
    assert found.words == "Requested again 20 min ago and not received yet; expected 15 min ago at the latest."


def test_delivery_requested_again_of_a_disabled_endpoint_waits_for_it() -> None:
    found = state(after=20 * MINUTE, requested_at=NOON, endpoint=DISABLED)
    assert (found.kind, found.next_due) == (StateKind.REQUESTED_AGAIN, None)
    assert found.words == "Requested again 20 min ago; deliveries are stopped until the endpoint is re-enabled."


moments = st.integers(-50_000, 50_000).map(lambda seconds: NOON + timedelta(seconds=seconds))


@given(
    facts=st.builds(
        DeliveryFacts,
        last_ok=st.booleans(),
        attempts_in_round=st.integers(0, 9),
        last_attempt_at=moments,
        requested_at=st.none() | moments,
        abandoned_at=st.none() | moments,
    ),
    endpoint=st.sampled_from([ACTIVE, DISABLED]),
    now=moments,
)
def test_delivery_state_promises_an_attempt_only_where_one_is_to_come(facts, endpoint, now) -> None:
    found = deliveries.delivery_state(facts=facts, endpoint=endpoint, now=now, schedule=OPENTRAIN)
    settled = found.kind in {StateKind.DELIVERED, StateKind.FAILED}
    assert (found.next_due is None) == (settled or endpoint is DISABLED)
    assert found.words.endswith(".")


@pytest.mark.django_db
def test_delivery_state_and_the_query_of_failed_agree_on_every_combination() -> None:
    endpoint = make_endpoint()
    for last_ok in (True, False):
        for attempts in (0, 1, 4, 5, 6):
            for requested in (None, NOON):
                for abandoned in (None, NOON):
                    make_delivery(
                        endpoint=endpoint,
                        last_ok=last_ok,
                        attempts_in_round=attempts,
                        requested_at=requested,
                        abandoned_at=abandoned,
                    )
    by_rule = {row.pk for row in Delivery.objects.all() if state_of(row).kind is StateKind.FAILED}
    by_query = set(Delivery.objects.failed().values_list("pk", flat=True))
    assert by_query == by_rule
    assert len(by_rule) == 7  # undelivered and not requested: two exhausted, or any of the five abandoned


def state_of(row):
    facts = DeliveryFacts(
        last_ok=row.last_ok,
        attempts_in_round=row.attempts_in_round,
        last_attempt_at=row.last_attempt_at,
        requested_at=row.requested_at,
        abandoned_at=row.abandoned_at,
    )
    return deliveries.delivery_state(facts=facts, endpoint=ACTIVE, now=NOON, schedule=OPENTRAIN)


@given(
    facts=st.builds(
        DeliveryFacts,
        last_ok=st.booleans(),
        attempts_in_round=st.integers(0, 9),
        last_attempt_at=moments,
        requested_at=st.none() | moments,
        abandoned_at=st.none() | moments,
    ),
    endpoint=st.sampled_from([ACTIVE, DISABLED]),
    now=moments,
)
def test_state_of_what_a_row_keeps_is_the_state_in_words(facts, endpoint, now) -> None:
    kept = {
        "standing": deliveries.standing(facts=facts, schedule=OPENTRAIN),
        "due_by": deliveries.due_by(facts=facts, schedule=OPENTRAIN),
    }
    in_words = deliveries.delivery_state(facts=facts, endpoint=endpoint, now=now, schedule=OPENTRAIN)
    assert deliveries.state_kind(**kept, endpoint=endpoint, now=now) is in_words.kind


def test_attempt_is_overdue_a_delivery_run_and_a_minute_after_it_was_due() -> None:
    assert overdue_after(due=NOON, schedule=OPENTRAIN) == NOON + 6 * MINUTE
    assert due_from(due_by=overdue_after(due=NOON, schedule=OPENTRAIN), schedule=OPENTRAIN) == NOON
