"""The pure rules, in words; and the one of them that is also written in SQL, held against it on real rows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.models import Delivery
from dashboard.rules import deliveries
from dashboard.rules.deliveries import Cause, DeliveryFacts, EndpointFacts, HealthKind, Schedule, StateKind
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


def test_schedule_of_opentrain_gives_a_delivery_five_attempts() -> None:
    assert OPENTRAIN.attempts == 5


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
            "Attempt 1 of 5 failed; the next did not come. It was expected 3 min ago at the latest.",
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
    assert found.words == "Attempt 1 of 5 failed; nothing is attempted until the endpoint is re-enabled."


def test_delivery_of_an_endpoint_with_an_unknown_status_is_still_expected() -> None:
    assert state(after=timedelta(days=9), endpoint=EndpointFacts(status="DRAINING")).kind is StateKind.OVERDUE


def test_delivery_with_its_attempts_used_up_is_failed() -> None:
    found = state(after=14 * MINUTE, attempts_in_round=5)
    assert (found.kind, found.next_due) == (StateKind.FAILED, None)
    assert found.words == "5 attempts failed, the last 14 min ago. OpenTrain will not try again by itself."


def test_delivery_given_up_with_the_auto_disable_is_failed_since_then() -> None:
    found = state(after=14 * MINUTE, attempts_in_round=2, abandoned_at=NOON + MINUTE)
    assert (found.kind, found.since, found.next_due) == (StateKind.FAILED, NOON + MINUTE, None)
    assert (
        found.words
        == "OpenTrain gave it up when the endpoint was disabled or deleted, and will not try again by itself."
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
    assert found.words == "Requested again 20 min ago and not seen yet; it was expected 15 min ago at the latest."


def test_delivery_requested_again_of_a_disabled_endpoint_waits_for_it() -> None:
    found = state(after=20 * MINUTE, requested_at=NOON, endpoint=DISABLED)
    assert (found.kind, found.next_due) == (StateKind.REQUESTED_AGAIN, None)
    assert found.words == "Requested again 20 min ago; nothing is attempted until the endpoint is re-enabled."


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


@pytest.mark.parametrize(
    ("status", "failures", "kind", "label", "words"),
    [
        ("ACTIVE", 0, HealthKind.ACTIVE, "Active", "The last delivery succeeded, or none has failed yet."),
        ("ACTIVE", 1, HealthKind.FAILING, "Failing", "1 of 10 failures in a row."),
        ("ACTIVE", 6, HealthKind.FAILING, "Failing", "6 of 10 failures in a row."),
        (
            "ACTIVE",
            7,
            HealthKind.AT_RISK,
            "At risk",
            "7 of 10 failures in a row: 3 more, and OpenTrain disables it.",
        ),
        (
            "ACTIVE",
            12,
            HealthKind.AT_RISK,
            "At risk",
            "12 failures in a row: OpenTrain disables an endpoint after 10.",
        ),
        (
            "DISABLED",
            10,
            HealthKind.DISABLED,
            "Disabled",
            "OpenTrain disabled it after 10 failures in a row. Nothing is attempted.",
        ),
        (
            "DISABLED",
            9,
            HealthKind.PAUSED,
            "Paused",
            "It was paused by somebody. Nothing is attempted until it is re-enabled.",
        ),
        ("DRAINING", 10, HealthKind.UNKNOWN, "DRAINING", "OpenTrain reports a status that Redeliver does not know."),
        ("", 0, HealthKind.UNKNOWN, "Unknown", "OpenTrain gave no status yet."),
    ],
)
def test_endpoint_health_is_named_by_status_and_streak(status, failures, kind, label, words) -> None:
    assert deliveries.endpoint_health(status=status, consecutive_failures=failures) == deliveries.EndpointHealth(
        kind, label, words
    )


@pytest.mark.parametrize(
    ("cause", "status", "words"),
    [
        ("", 204, "delivered (204)"),
        ("", None, "delivered"),
        ("status", 503, "503 from your handler"),
        ("status", None, "an error from your handler"),
        ("timeout", 504, "no answer from your handler within 9.5 s"),
        ("refused", 502, "connection refused by your handler"),
        ("tls", 502, "TLS failed: no secure connection to your handler"),
        ("sunspots", 502, "sunspots"),
    ],
)
def test_describe_cause_says_it_in_plain_words(cause, status, words) -> None:
    assert deliveries.describe_cause(cause=cause, status=status) == words


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause])
def test_describe_cause_has_words_of_its_own_for_every_cause(cause) -> None:
    assert deliveries.describe_cause(cause=cause, status=502) != cause.value


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_span_is_in_its_largest_fitting_unit(seconds, words) -> None:
    assert deliveries.span(duration=timedelta(seconds=seconds)) == words


def test_ago_of_a_clock_ahead_of_ours_is_just_now() -> None:
    assert deliveries.ago(then=NOON + MINUTE, now=NOON) == "just now"


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


@pytest.mark.parametrize(
    ("counted", "reached", "words"),
    [
        (8, 2, "OpenTrain counts 8 failures, 2 reached us: 6 never got here."),
        (1, 0, "OpenTrain counts 1 failure, none reached us: 1 never got here."),
        (8, 8, ""),
        (0, 3, ""),
    ],
)
def test_failures_that_never_reached_us_are_said_and_nothing_else(counted, reached, words) -> None:
    assert deliveries.unseen_words(counted=counted, reached=reached) == words


def test_failures_that_its_handler_did_not_report_are_not_said_to_have_gone_astray() -> None:
    words = deliveries.unseen_words(counted=8, reached=2, reported=True)
    assert words == "OpenTrain counts 8 failures, its handler reported 2: 6 untold."


@pytest.mark.django_db
def test_severity_and_its_column_agree_on_every_combination() -> None:
    install = make_endpoint().install
    for status in ("ACTIVE", "DISABLED", "", "MAINTENANCE", "active"):
        for failures in (0, 1, 6, 7, 9, 10, 11, 400):
            endpoint = make_endpoint(install=install, status=status, consecutive_failures=failures)
            stored = type(endpoint).objects.values_list("severity", flat=True).get(pk=endpoint.pk)
            assert stored == deliveries.severity(status=status, consecutive_failures=failures), (status, failures)
