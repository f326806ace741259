"""Times within sentences: what they are in UTC, and stored sentences for another reader."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.rules import durations
from dashboard.rules.time_zones import read_in, zone_named
from dashboard.rules.times_in_words import retell, retold, times_in
from tests.rules.test_time_zones import MOMENTS, ZONES

WRITTEN = datetime(2026, 11, 29, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("11:22 CET, until 12:00 CEST on 25 October", [("11:22 CET", "10:22 UTC"), ("12:00 CEST", "10:00 UTC")]),
        ("at 2026-06-12 04:00:00 UTC+05:30.", [("2026-06-12 04:00:00 UTC+05:30", "2026-06-11 22:30:00 UTC")]),
        ("by 03:00 UTC+05:30", [("03:00 UTC+05:30", "21:30 UTC the day before")]),
        ("by 22:00 EDT", [("22:00 EDT", "02:00 UTC the day after")]),
        ("since 11:22 UTC; 11:22 IST; 25:61 CET; 11:22 CETERA; 9999-12-31 23:59 PST; 2026-06-31 10:00 CET", []),
    ],
)  # fmt: skip
def test_times_of_other_zones_in_words_are_found_with_their_utc(words, told) -> None:
    assert [(words[start:end], utc) for start, end, utc in times_in(words)] == told


@given(moment=MOMENTS, name=ZONES)
@example(moment=datetime(1970, 6, 12, tzinfo=UTC), name="Africa/Monrovia")  # 44 minutes and 30 seconds behind
def test_utc_of_a_time_in_words_is_its_moment(moment, name) -> None:
    with read_in(zone_named(name)):
        words = f"Since {durations.exactly(moment)}."
    found = [utc for _start, _end, utc in times_in(words)]
    assert found in ([], [durations.exactly_utc(moment)])
    assert bool(found) is not words.endswith(" UTC.")


@pytest.mark.parametrize(
    ("words", "in_berlin"),
    [
        ("Disabled since 14:01 UTC.", "Disabled since 15:01 CET on 29 November."),
        ("From 23:10 UTC to 23:15 UTC", "From 00:10 CET to 00:15 CET"),
        ("since 22:50 UTC on 28 November: late", "since 23:50 CET on 28 November: late"),
        ("since 23:50 UTC on 31 December 2025.", "since 00:50 CET on 1 January."),
        ("at 2026-07-01 22:30:07 UTC", "at 2026-07-02 00:30:07 CEST"),
        ("From: 2026-07-01 22:30 UTC", "From: 2026-07-02 00:30 CEST"),
        ("To: 2026-07-01 22:30:07.25 UTC", "To: 2026-07-02 00:30:07.25 CEST"),
        ("paused at 09:31 UTC+05:30", "paused at 05:01 CET"),
        ("paused at 09:31 EST", "paused at 15:31 CET on 29 November"),
    ],
)  # fmt: skip
def test_stored_sentence_has_its_times_in_the_readers_zone(words, in_berlin) -> None:
    with read_in(zone_named("Europe/Berlin")):
        assert retell(words, written=WRITTEN, now=WRITTEN + timedelta(hours=1)) == in_berlin


@pytest.mark.parametrize(
    "words",
    [
        "",
        "OpenTrain: “Disabled at 14:01 UTC”",
        "The handler said “retry at 14:01 UTC",
        "Thu, 29 Nov 2026 14:01:22 GMT",
        "29 Nov 2026 14:01 UTC",
        "14:01:22 UTC",
        "25:61 UTC; 14:01 IST; 14:01; 14:01 UTC+5; 3:14:01 UTC; 2026-11-29T14:01 UTC; 12:00-14:01 UTC",
        "on 31 June: 2026-06-31 10:00 UTC and 10:00 UTC on 31 June",
        "9999-12-31 23:59 PST",
    ],
)
def test_what_is_quoted_or_has_another_form_stays_as_it_is(words) -> None:
    with read_in(zone_named("Europe/Berlin")):
        assert retell(words, written=WRITTEN, now=WRITTEN) == words


def test_time_without_a_day_stays_as_it_is_where_the_day_may_have_ended_before_it_was_stored() -> None:
    words, midnight = "paused at 23:59 UTC", WRITTEN.replace(hour=0, minute=1)
    later = midnight + timedelta(minutes=2)
    with read_in(zone_named("Europe/Berlin")):
        assert retell(words, written=midnight, now=midnight) == words
        assert retell(words, written=later, now=midnight) == "paused at 00:59 CET on 30 November"


def test_stored_time_of_day_gets_its_day_for_later_readers_in_utc_too() -> None:
    words, at = "Disabled since 14:01 UTC.", datetime(2026, 11, 29, 14, 1, tzinfo=UTC)
    assert retell(words, written=WRITTEN, now=WRITTEN) == words
    assert list(retold(words, written=WRITTEN, now=WRITTEN + timedelta(days=2))) == [
        ("Disabled since ", None),
        ("14:01 UTC on 29 November", at),
        (".", None),
    ]


AGES = st.timedeltas(timedelta(), timedelta(days=400))


@given(moment=MOMENTS, age=AGES, stored_in=st.sampled_from(["UTC", "Asia/Kathmandu"]), later=AGES, name=ZONES)
def test_what_is_told_again_is_what_would_be_written_for_the_reader(moment, age, stored_in, later, name) -> None:
    written, now = moment + age, moment + age + later
    with read_in(zone_named(stored_in)):
        stored = f"Since {durations.clock(then=moment, now=written)}, exactly {durations.exactly(moment)}."
    with read_in(zone_named(name)):
        again = retell(stored, written=written, now=now)
        wanted = f"Since {durations.clock(then=moment, now=now)}, exactly {durations.exactly(moment)}."
    there = written.astimezone(zone_named(stored_in))
    if " on " in stored or 1 < there.hour < 22:  # else the day may have been another
        assert again == wanted
