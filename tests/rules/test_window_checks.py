"""A check is of exactly the time that a person saw, says who made it, and proves nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.lost_window import Stop
from dashboard.rules.run_endings import EndingKind
from dashboard.rules.window_checks import (
    Check,
    Checked,
    can_be_checked,
    check_words,
    checked,
    counted_words,
    span_from,
    span_text,
)

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOW = NOON + 60 * MINUTE
OUTAGE = Stop(NOON, NOON + 2 * MINUTE)
CHECK = Check(NOON, NOON + 2 * MINUTE, "ana", NOON + 5 * MINUTE, "Partner compared with its own list")


def test_check_of_exactly_this_time_covers_it_and_says_who_and_how() -> None:
    words = "Checked by ana, 12:05 UTC: Partner compared with its own list."
    assert checked(OUTAGE, None, checks=[CHECK], now=NOW) == Checked(words, CHECK, covers=True)
    assert checked(OUTAGE, None, checks=[], now=NOW) == Checked()


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("", "Checked by ana, 12:05 UTC."),
        ("Asked them.", "Checked by ana, 12:05 UTC: Asked them."),
        ("All there?", "Checked by ana, 12:05 UTC: All there?"),
    ],
)
def test_note_ends_its_sentence(note: str, words: str) -> None:
    assert check_words(Check(NOON, NOW, "ana", NOON + 5 * MINUTE, note), now=NOW) == words


@pytest.mark.parametrize(
    "stop",
    [
        Stop(NOON, NOON + 3 * MINUTE),
        Stop(NOON, NOON + 2 * MINUTE + timedelta(microseconds=1)),
        Stop(NOON - MINUTE, NOON + 2 * MINUTE),
        Stop(NOON + MINUTE, NOON + 4 * MINUTE),
        Stop(NOON, None),
        Stop(NOON - MINUTE, None),
    ],
)
def test_time_that_has_grown_is_not_covered_and_says_why(stop: Stop) -> None:
    assert checked(stop, None, checks=[CHECK], now=NOW) == Checked(
        "ana checked the events between 12:00 UTC and 12:02 UTC, at 12:05 UTC. "
        "The time has changed since then, so that check does not cover it."
    )


@pytest.mark.parametrize(
    "stop",
    [Stop(NOON + 2 * MINUTE, NOON + 5 * MINUTE), Stop(NOON + 9 * MINUTE, None), Stop(NOON - 5 * MINUTE, NOON)],
)
def test_other_times_say_nothing_of_it(stop: Stop) -> None:
    assert checked(stop, None, checks=[CHECK], now=NOW) == Checked()


def test_new_check_counts_whatever_an_older_one_was_of() -> None:
    grown = Check(NOON, NOON + 3 * MINUTE, "ben", NOON + 9 * MINUTE)
    found = checked(Stop(grown.since, grown.until), None, checks=[CHECK, grown], now=NOW)
    assert found == Checked("Checked by ben, 12:09 UTC.", grown, covers=True)


def test_what_contracts_show_to_be_missing_cannot_be_checked_away() -> None:
    found = checked(OUTAGE, EndingKind.MISSING, checks=[CHECK], now=NOW)
    assert (found.covers, found.check) == (False, CHECK)
    assert found.words.startswith("Checked by ana, 12:05 UTC: ")
    assert found.words.endswith("A check does not cover what contracts show to be missing.")


@pytest.mark.parametrize("ending", [None, *EndingKind])
def test_only_a_time_that_is_over_can_be_checked(ending: EndingKind | None) -> None:
    assert not can_be_checked(Stop(NOON, None), ending)
    assert can_be_checked(OUTAGE, ending) is (ending is not EndingKind.MISSING)


@given(
    since=st.timedeltas(timedelta(days=-9000), timedelta(days=60_000)).map(lambda passed: NOON + passed),
    lasted=st.timedeltas(MINUTE, 900 * MINUTE),
)
def test_name_of_a_time_is_exact(since: datetime, lasted: timedelta) -> None:
    assert span_from(span_text(Stop(since, since + lasted))) == (since, since + lasted)


@pytest.mark.parametrize(
    "text", ["", "1", "-", "1-", "-1-2", "a-b", "1-2-3", "1" * 17 + "-1", "\uff11-\uff12", "1-2\n", " 1-2"]
)
def test_text_that_names_no_time_is_none(text: str) -> None:
    assert span_from(text) is None


def test_longest_name_is_a_time() -> None:
    assert span_from(f"{'9' * 16}-{'9' * 16}") is not None
    assert span_text(Stop(NOON, None)) == ""


def test_checks_are_counted_and_never_called_proven() -> None:
    assert counted_words(0) == ""
    assert counted_words(1) == "1 time in which nothing was sent was checked by a person, not proven."
    assert counted_words(1200) == "1,200 times in which nothing was sent were checked by people, not proven."
