"""What is said of a time in which nothing was sent: never that nothing is missing, unless that is proven."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.lost_window import Stop
from dashboard.rules.may_be_missing import (
    Count,
    Received,
    Siblings,
    clear_words,
    is_proven,
    span_words,
    why_words,
    window_words,
)
from dashboard.rules.reconciliation import Event
from dashboard.rules.run_endings import EndingKind

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOW = NOON + 60 * MINUTE
BOTH = ["contract.started", "contract.ended"]
OUTAGE = Stop(NOON + 1 * MINUTE, NOON + 2 * MINUTE + timedelta(seconds=50))


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        (OUTAGE, "between 12:01 UTC and 12:02 UTC"),
        (Stop(NOON, NOON + timedelta(seconds=50)), "at 12:00 UTC"),
        (Stop(NOON, None), "since 12:00 UTC"),
        (Stop(NOON, None, is_begun_known=False), "since 12:00 UTC or earlier"),
        (Stop(NOON, NOON + MINUTE, is_begun_known=False), "before 12:01 UTC"),
        (Stop(NOON - timedelta(days=2), NOON), "between 12:00 UTC on 28 November and 12:00 UTC"),
    ],
)
def test_time_is_told_as_far_as_it_is_known(stop: Stop, words: str) -> None:
    assert span_words(stop, now=NOW) == words
    assert window_words(stop, None, event_types=BOTH, now=NOW) == f"Events {words} may be missing here."


def test_cause_is_told() -> None:
    assert why_words(OUTAGE) == "It was disabled then."
    assert why_words(Stop(NOON, None, is_paused=True)) == "OpenTrain sends nothing while the endpoint is paused."


def test_what_contracts_prove_is_taken_out_and_other_events_stay() -> None:
    types = [*BOTH, "milestone.funded"]
    clear = EndingKind.NOTHING_MISSING
    assert window_words(OUTAGE, clear, event_types=types, now=NOW) == (
        "Events other than contract.started and contract.ended between 12:01 UTC and 12:02 UTC may be missing here."
    )
    assert is_proven(clear, event_types=BOTH)
    assert not is_proven(clear, event_types=types)


@given(
    ending=st.none() | st.sampled_from(EndingKind),
    event_types=st.sets(st.sampled_from([*BOTH, "milestone.funded", "install.revoked"])),
)
def test_only_a_read_that_shows_all_of_what_is_subscribed_is_a_proof(
    ending: EndingKind | None, event_types: set[str]
) -> None:
    proven = is_proven(ending, event_types=event_types)
    assert proven == (ending is EndingKind.NOTHING_MISSING and event_types <= {event.value for event in Event})


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([Count("contract.ended", 15, 15)], "received 15 contract.ended then. None of them is in this endpoint's log."),
        (
            [Count("contract.ended", 15, 14), Count("contract.started", 2, 0)],
            ("received 15 contract.ended and 2 contract.started then. 14 of them are not in this endpoint's log."),
        ),
        ([Count("contract.ended", 2, 1)], "received 2 contract.ended then. 1 of them is not in this endpoint's log."),
        ([Count("contract.ended", 1, 1)], "received 1 contract.ended then. It is not in this endpoint's log."),
        ([Count("contract.ended", 3, 0)], "received 3 contract.ended then. All of them are in this endpoint's log."),
        ([Count("contract.ended", 1, 0)], "received 1 contract.ended then. It is in this endpoint's log."),
        (
            [Count("contract.ended", 501, 501, more=True)],
            ("received at least 501 contract.ended then. At least 501 of them are not in this endpoint's log."),
        ),
        (
            [Count("contract.ended", 501, 0, more=True)],
            "received at least 501 contract.ended then. All that were looked at are in this endpoint's log.",
        ),
    ],
)
def test_what_others_received_is_told_with_what_of_it_is_here(counts: list[Count], words: str) -> None:
    found = Siblings(endpoints=1, together=tuple(counts), received=(Received(7, tuple(counts)),))
    assert found.words == f"The install's other endpoints {words}"
    assert found.remark == ""


def test_silence_of_the_others_proves_nothing_and_is_told_as_what_it_is() -> None:
    assert Siblings(endpoints=0).words == ("The install has no other endpoint whose log could show what happened then.")
    assert Siblings(endpoints=2).words == (
        "The install's other endpoints received none of its event types then, as far as their logs show."
    )


def test_endpoints_that_were_not_looked_at_are_told_with_what_the_others_received() -> None:
    assert Siblings(endpoints=12, left=1).words == (
        "Those of the install's other endpoints that were looked at received none of its event types then, as far as "
        "their logs show. 1 more endpoint of the install was not looked at."
    )
    counts = (Count("contract.ended", 3, 0),)
    assert Siblings(endpoints=14, left=4, together=counts).absent_words == (
        "All of them are in this endpoint's log. 4 more endpoints of the install were not looked at."
    )


def test_others_that_could_not_receive_are_no_sign_that_nothing_happened() -> None:
    assert Siblings(endpoints=2, stopped=1, unlogged=2).words == (
        "The install's other endpoints received none of its event types then, as far as their logs show. "
        "1 of the other endpoints was disabled or paused too, then or later. 2 of the other endpoints have no log here."
    )
    counts = (Count("contract.ended", 2, 0),)
    assert Siblings(endpoints=3, stopped=2, unlogged=1, together=counts).absent_words == (
        "All of them are in this endpoint's log. 2 of the other endpoints were disabled or paused too, then or later. "
        "1 of the other endpoints has no log here."
    )


def test_inbox_says_of_how_many_endpoints() -> None:
    assert clear_words(0) == ""
    assert clear_words(1) == "Events of 1 endpoint may be missing, from times in which nothing was sent."
    assert clear_words(1200).startswith("Events of 1,200 endpoints may be")
    assert clear_words(20, more=True).startswith("Events of more than 20 endpoints may be")
    assert clear_words(0, more=True) == (
        "More endpoints were stopped than are looked at here. Events of them may be missing."
    )
