"""What contracts did while nothing was sent, in words that claim no more than is known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.rules.lost_window import (
    Change,
    Found,
    Lost,
    Reads,
    Stop,
    found,
    lost_from,
    may_have_happened,
    missing_words,
    pause_words,
    run_words,
    stop_words,
)
from dashboard.rules.reconciliation import Consequence, ContractFacts, Event, Kind, Reason

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOW = NOON + 4 * HOUR
SCOPES = ("contracts:read", "project-links:read")
READS = Reads(SCOPES, read_at=NOW - MINUTE, judged_at=NOW - MINUTE)
STOP = Stop(NOON, None)
SENT = "while nothing was sent (from 12:00 UTC)"
BOTH = ("contract.started", "contract.ended")


def contract(**columns: Any) -> ContractFacts:
    """Return a contract that OpenTrain made at noon, that was read as active soon after, and is so still."""
    made = {
        "status": "active",
        "created_at": NOON,
        "end_date": None,
        "first_seen_at": NOON + 10 * MINUTE,
        "active_seen_at": NOW,
        "ended_seen_at": None,
    }
    return ContractFacts(**made | columns)


ENDED = {
    "status": "ended",
    "end_date": NOON + HOUR,
    "active_seen_at": NOON + HOUR / 2,
    "ended_seen_at": NOON + 2 * HOUR,
}


@pytest.mark.parametrize(
    ("event", "columns", "since", "until", "is_so"),
    [
        (Event.STARTED, {}, NOON, NOON + HOUR, True),
        (Event.STARTED, {}, NOON + 4 * MINUTE, NOON + HOUR, True),  # the clocks may differ by five minutes
        (Event.STARTED, {}, NOON + 6 * MINUTE, NOON + HOUR, False),
        (Event.STARTED, {}, NOON - HOUR, NOON - 6 * MINUTE, False),
        (Event.STARTED, {"created_at": None}, NOON - HOUR, NOON - 6 * MINUTE, True),
        (Event.STARTED, {"created_at": None}, NOON + HOUR, NOON + 2 * HOUR, False),
        (Event.ENDED, {}, NOON, NOW, False),
        (Event.ENDED, ENDED, NOON, NOW, True),
        (Event.ENDED, ENDED, NOON + 66 * MINUTE, NOW, False),
        (Event.ENDED, ENDED, NOON, NOON + 54 * MINUTE, False),
        (Event.ENDED, ENDED | {"end_date": None}, NOON + 90 * MINUTE, NOW, True),
        (Event.ENDED, ENDED | {"end_date": None}, NOON + 121 * MINUTE, NOW, False),
        (Event.ENDED, ENDED | {"end_date": None}, NOON, NOON + 29 * MINUTE, False),
    ],
)
def test_event_may_have_happened_in_a_span_unless_reads_or_dates_exclude_it(
    event: Event, columns: dict[str, Any], since: datetime, until: datetime, is_so: bool
) -> None:
    assert may_have_happened(event, contract=contract(**columns), since=since, until=until) is is_so


def test_found_counts_contracts_by_what_became_of_their_events() -> None:
    changes = [
        Change(1, Event.ENDED, Kind.MISSING, Reason.DISABLED),
        Change(1, Event.STARTED, Kind.FAILED, consequence=Consequence.PROVISION, is_told=True),
        Change(9, Event.STARTED, Kind.FAILED, is_told=True),
        Change(10, Event.STARTED, Kind.MISSING, Reason.DISABLED),  # of a contract that has ended
        Change(2, Event.ENDED, Kind.REFUSED),
        Change(3, Event.ENDED, Kind.NOT_SEEN_YET, until=NOON + HOUR),
        Change(4, Event.ENDED, Kind.RETRYING, until=NOON + 2 * HOUR, is_told=True),
        Change(5, Event.ENDED, Kind.NOT_SEEN_YET),
        Change(6, Event.STARTED),
        Change(7, Event.STARTED, is_told=True),
        Change(8, Event.STARTED, Kind.MISSING, Reason.REGISTERED_AFTER),
        Change(8, Event.ENDED, Kind.MISSING, Reason.NOT_SUBSCRIBED),
    ]
    assert found(changes, subscribed=BOTH) == Found(
        started=6,
        ended=6,
        missing=((Event.ENDED, 2), (Event.STARTED, 1)),
        lacking=frozenset({1, 2}),
        coming=frozenset({3, 4, 5}),
        until=NOON + 2 * HOUR,
        harmless=2,
        unclear=1,
    )


def test_found_lacks_nothing_of_types_that_are_not_subscribed() -> None:
    changes = [Change(1, Event.ENDED, Kind.MISSING), Change(2, Event.ENDED)]
    assert found(changes, subscribed=["contract.started"]) == Found(ended=2)
    assert found([], subscribed=BOTH, more=True) == Found(more=True)


@pytest.mark.parametrize(
    ("lacking", "coming", "concerned"), [({1}, {2}, {1}), (set(), {2}, {2}), (set(), set(), set())]
)
def test_contracts_that_lack_an_event_concern_before_those_of_which_one_may_come(
    lacking: set[int], coming: set[int], concerned: set[int]
) -> None:
    assert Found(lacking=frozenset(lacking), coming=frozenset(coming)).concerned == concerned


@pytest.mark.parametrize(
    ("lost", "text", "words"),
    [
        (Lost(run=9), "run-9", "after run 9"),
        (Lost(endpoint=7), "endpoint-7", "while nothing is sent"),
    ],
)
def test_lost_time_is_named_in_urls_and_read_from_them(lost: Lost, text: str, words: str) -> None:
    assert (lost.text, lost.words, lost_from(text)) == (text, words, lost)


@pytest.mark.parametrize(
    "text",
    ["", "run", "run-", "run-x", "install-1", "run-1 ", "run--1", "run-" + "1" * 19, "run-\N{ARABIC-INDIC DIGIT ONE}"],
)
def test_other_names_are_none(text: str) -> None:
    assert lost_from(text) is None


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (((Event.ENDED, 1),), "the handler never took contract.ended of 1 contract"),
        (
            ((Event.ENDED, 1200), (Event.STARTED, 1)),
            "the handler never took contract.ended of 1,200 contracts and contract.started of 1 contract",
        ),
    ],
)
def test_missing_words_name_the_events(missing: tuple[tuple[Event, int], ...], words: str) -> None:
    assert missing_words(missing) == words


@pytest.mark.parametrize(
    ("stop", "one", "reads", "sentences"),
    [
        (
            STOP,
            Found(ended=3, started=1),
            READS,
            [f"3 contracts ended and 1 contract started {SENT}, as far as the times are known."],
        ),
        (
            STOP,
            Found(),
            READS,
            [f"No contract is known to have started or ended {SENT}."],
        ),
        (
            Stop(NOON, NOON + HOUR),
            Found(ended=2, missing=((Event.ENDED, 1),), coming=frozenset({4}), until=NOW + HOUR),
            READS,
            [
                (
                    "2 contracts ended while nothing was sent (from 12:00 UTC until 13:00 UTC), as far as the times "
                    "are known."
                ),
                "The handler never took contract.ended of 1 contract.",
                "Events of 1 contract may still come until 17:00 UTC.",
            ],
        ),
        (
            STOP,
            Found(ended=2, coming=frozenset({4, 5}), until=NOW),
            READS,
            [
                f"2 contracts ended {SENT}, as far as the times are known.",
                "Events of 2 contracts may still come.",
            ],
        ),
        (
            STOP,
            Found(started=2000, more=True),
            READS,
            [f"More than 2,000 contracts started {SENT}, as far as the times are known."],
        ),
        (
            STOP,
            Found(),
            Reads(("contracts:read",), read_at=NOW),
            [
                (
                    "What contracts did while nothing was sent: not known, because this token lacks "
                    "project-links:read. Add this "
                    "scope to your platform app, ask the customer to connect again, then replace this install's token."
                )
            ],
        ),
        (
            STOP,
            Found(),
            Reads(SCOPES),
            ["What contracts did while nothing was sent is not known: they have not been read yet."],
        ),
        (
            Stop(NOON, NOON + HOUR, is_begun_known=False),
            Found(unclear=2),
            Reads(SCOPES, read_at=NOON, error="OpenTrain did not answer.", out_of_reach="More than 200 of one link."),
            [
                (
                    "No contract is known to have started or ended while nothing was sent (from 12:00 UTC until "
                    "13:00 UTC)."
                ),
                (
                    "Not all of it is known: its beginning is not in the history; the last read of contracts failed "
                    "(OpenTrain "
                    "did not answer); More than 200 of one link; of 2 contracts the log of that time does not tell; "
                    "contracts "
                    "were last read at 12:00 UTC."
                ),
            ],
        ),
    ],
)
def test_stop_says_what_changed_and_what_is_not_known(
    stop: Stop, one: Found, reads: Reads, sentences: list[str]
) -> None:
    assert list(stop_words(stop, one, reads=reads, now=NOW)) == sentences


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Found(ended=2, started=1), "2 contracts ended and 1 contract started {}, as far as the times are known."),
        (Found(), "No contract is known to have started or ended {}."),
    ],
)
def test_run_says_what_changed_until_it_ended(one: Found, words: str) -> None:
    span = "between 12:00 UTC, when deliveries stopped, and the end of the run"
    assert run_words(NOON, one, now=NOW) == words.format(span)


HARM = "the handler may never learn of it, and the person may keep access."
SHOWN = "Redeliver goes on reading contracts and shows what is missing."


@pytest.mark.parametrize(
    ("active", "more", "reads", "words"),
    [
        (3, False, READS, f"If one of the 3 active contracts ends meanwhile, {HARM} {SHOWN}"),
        (1, False, READS, f"If the active contract ends meanwhile, {HARM} {SHOWN}"),
        (2000, True, READS, f"If one of the more than 2,000 active contracts ends meanwhile, {HARM} {SHOWN}"),
        (
            0,
            False,
            READS,
            f"No contract is active now. If one starts or ends meanwhile, the handler may never learn it. {SHOWN}",
        ),
        (
            0,
            False,
            Reads(SCOPES),
            (
                f"If a contract ends meanwhile, {HARM} Which contracts that concerns: not known, because contracts "
                f"have not "
                "been read yet."
            ),
        ),
        (
            3,
            False,
            Reads((), read_at=NOW),
            (
                f"If a contract ends meanwhile, {HARM} Which contracts that concerns: not known, because this "
                f"token lacks "
                "contracts:read and project-links:read. Add these scopes to your platform app, ask the customer "
                "to connect "
                "again, then replace this install's token."
            ),
        ),
    ],
)
def test_pause_says_what_it_can_do_to_people(active: int, more: bool, reads: Reads, words: str) -> None:
    assert pause_words(active=active, more=more, reads=reads) == words
