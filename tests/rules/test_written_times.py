"""Times as people write and copy them, in the reader's time zone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.rules import durations
from dashboard.rules.time_zones import read_in, zone_named
from dashboard.rules.written_times import NotATime, WrittenTime, as_shown, as_typed, read
from tests.rules.test_time_zones import ZONES

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)  # a Monday
MINUTE = timedelta(minutes=1)
COLON = "write a time of day with a colon, such as 15:00, and a day as 2026-11-29"
WHICH_MONTH = "write the day as 2026-11-29 or 29 Nov, because 03/04 is in March to some people and in April to others"
MOMENTS = st.integers(3 * 86_400, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
"""Moments whose day is after the first of 1970 in every zone."""


def read_there(text: str, zone: str, *, now: datetime = NOW, later: bool = False) -> WrittenTime:
    with read_in(zone_named(zone)):
        return read(text, now=now, later=later)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("2026-06-12T12:30:00Z", timedelta(seconds=1)),
        ("2026-06-12 12:30 utc", MINUTE),
        ("2026-06-12T14:30+02:00", MINUTE),
        ("2026-06-12T14:30+0200", MINUTE),
        ("2026-06-12T14:30 02:00", MINUTE),  # a "+" that a URL made a space
        ("2026-06-12T10:00\u221202:30", MINUTE),
        ("20260612T123000.0Z", timedelta(milliseconds=100)),
        ("2026-06-12 18:00 UTC+05:30", MINUTE),
        ("2026-06-12 14:30 CEST", MINUTE),
        ("Fri, 12 Jun 2026 12:30:00 GMT", timedelta(seconds=1)),
        ("Fri Jun 12 2026 14:30:00 GMT+0200", timedelta(seconds=1)),
        ("12 June, 8:30 am EDT", MINUTE),
    ],
)
def test_time_with_an_offset_is_the_same_for_every_reader(text: str, lasts: timedelta) -> None:
    for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
        found = read_there(text, zone)
        assert (found.at, found.lasts, found.doubt) == (datetime(2026, 6, 12, 12, 30, tzinfo=UTC), lasts, "")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("03:12", "2026-11-30T02:12"),
        ("3:12", "2026-11-30T02:12"),
        ("13:00", "2026-11-30T12:00"),
        ("13:01", "2026-11-29T12:01"),  # it is 13:00 there: today's has not come
        ("3pm", "2026-11-29T14:00"),
        ("noon", "2026-11-30T11:00"),
        ("yesterday noon", "2026-11-29T11:00"),
        ("Noon on 12 June", "2026-06-12T10:00"),
        ("noon CEST", "2026-11-30T10:00"),
        ("2026/06/12 03:12", "2026-06-12T01:12"),
        ("2026.06.12, 03:12", "2026-06-12T01:12"),
        ("3:15 p.m.", "2026-11-29T14:15"),
        ("12am", "2026-11-29T23:00"),
        ("12 pm", "2026-11-30T11:00"),
        ("today 18:00", "2026-11-30T17:00"),
        ("yesterday 3pm", "2026-11-29T14:00"),
        ("3pm yesterday", "2026-11-29T14:00"),
        ("Yesterday at 03:12", "2026-11-29T02:12"),
        ("2026-11-29 03:12", "2026-11-29T02:12"),
        ("29 Nov 03:12", "2026-11-29T02:12"),
        ("29 Nov, 03:12", "2026-11-29T02:12"),
        ("Nov 29 03:12", "2026-11-29T02:12"),
        ("November 29th 2025 03:12", "2025-11-29T02:12"),
        ("29-Nov-2025 03:12", "2025-11-29T02:12"),
        ("1 December 03:12", "2025-12-01T02:12"),  # this year's has not come
        ("29 Feb 03:12", "2024-02-29T02:12"),
        ("sunday 03:12", "2026-11-29T02:12"),
        ("Monday 03:12", "2026-11-30T02:12"),
        ("Monday 18:00", "2026-11-23T17:00"),
        ("03:12 on 29 November", "2026-11-29T02:12"),
        ("2026-06-12 03:12", "2026-06-12T01:12"),  # summer time
    ],
)
def test_time_without_an_offset_is_the_readers_and_the_latest(text: str, utc: str) -> None:
    found = read_there(text, "Europe/Berlin")
    assert (found.at, found.lasts, found.doubt) == (at(utc), MINUTE, "")


@pytest.mark.parametrize(
    ("text", "zone", "begin", "hours"),
    [
        ("2026-06-12", "UTC", "2026-06-12T00:00", 24),
        ("2026-06-12", "Asia/Kolkata", "2026-06-11T18:30", 24),
        ("yesterday", "America/New_York", "2026-11-29T05:00", 24),
        ("today", "Asia/Tokyo", "2026-11-29T15:00", 24),
        ("29 Mar 2026", "Europe/Berlin", "2026-03-28T23:00", 23),
        ("25 Oct 2026", "Europe/Berlin", "2026-10-24T22:00", 25),
        ("2026-04-24", "Africa/Cairo", "2026-04-23T22:00", 23),  # begins at 01:00
        ("2026-11-01", "America/Havana", "2026-11-01T04:00", 25),  # midnight comes twice
    ],
)
def test_day_is_the_readers_with_the_hours_that_it_has(text: str, zone: str, begin: str, hours: int) -> None:
    found = read_there(text, zone)
    assert (found.at, found.lasts, found.doubt) == (at(begin), timedelta(hours=hours), "")


def test_hour_that_comes_twice_is_said_with_the_one_that_is_taken() -> None:
    first = read_there("2026-10-25 02:30", "Europe/Berlin")
    assert (first.at, first.taken) == (at("2026-10-25T00:30"), "02:30 CEST is used.")
    second = read_there("2026-10-25 02:30", "Europe/Berlin", later=True)
    assert (second.at, second.taken) == (at("2026-10-25T01:30"), "02:30 CET is used.")
    why = "02:30 comes twice on 25 October 2026 in Europe/Berlin, as CEST and as CET, because the clocks go back."
    assert first.doubt == second.doubt == why
    marked = [read_there(f"2026-10-25 02:30 {mark}", "Europe/Berlin") for mark in ("CEST", "CET")]
    assert [(one.at, one.doubt) for one in marked] == [(first.at, ""), (second.at, "")]


def test_mark_is_typed_only_where_it_tells_two_hours_apart() -> None:
    with read_in(zone_named("Europe/Berlin")):
        shown = [as_typed(text) for text in ("2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30:07Z")]
    assert shown == ["2026-10-25 02:30 CEST", "2026-10-25 02:30 CET", "2026-10-25 03:30:07"]


@pytest.mark.parametrize("later", [False, True])
def test_hour_that_is_left_out_is_said_with_what_is_taken_instead(later: bool) -> None:
    found = read_there("2026-03-29 02:30", "Europe/Berlin", later=later)
    assert (found.at, found.taken) == (at("2026-03-29T01:30"), "03:30 CEST is used.")
    assert found.doubt == "02:30 does not exist on 29 March 2026 in Europe/Berlin, because the clocks go forward."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", ""),
        ("midday", ""),
        ("noon pm", ""),
        ("15.00", COLON),
        ("yesterday 3.12pm", COLON),
        ("12.06.2026", WHICH_MONTH),
        ("12.06.26 15:00", WHICH_MONTH),
        ("06/12/2026", WHICH_MONTH),
        ("12-06-2026", WHICH_MONTH),
        ("12/6", WHICH_MONTH),
        ("12.6.", WHICH_MONTH),
        ("yesterday midnight", "write the day that begins then, such as today, or 2026-11-29 00:00"),
        ("2026-0612", ""),
        ("2026-06-12+02:00", ""),
        ("03:12 yesterdy", ""),
        ("٣:12", ""),
        ("2026-06-31", "there is no such day"),
        ("31 June", "there is no such day"),
        ("0 Jan 2026", "there is no such day"),
        ("2026-06-12T25:00", "hours go from 00 to 23, minutes and seconds from 00 to 59"),
        ("03:60", "hours go from 00 to 23, minutes and seconds from 00 to 59"),
        ("2026-06-12T12:30-25:00", "an offset is less than 24 hours"),
        ("13pm", "hours go from 1 to 12 before am and pm"),
        ("1969-12-31", "years go from 1970 to 2999"),
        ("9999-12-31", "years go from 1970 to 2999"),
        ("9999-12-31T23:59-14:00", "years go from 1970 to 2999"),
        ("0001-01-01T00:00+14:00", "years go from 1970 to 2999"),
        ("2011-12-30", "Pacific/Apia had no such day"),
    ],
)
def test_other_text_is_no_time_and_why_is_said(text: str, why: str) -> None:
    with pytest.raises(NotATime) as error:
        read_there(text, "Pacific/Apia")
    assert str(error.value) == why


@given(moment=MOMENTS, zone=ZONES, other=ZONES)
@example(moment=at("2026-10-25T00:30"), zone="Europe/Berlin", other="UTC")
@example(moment=at("2026-10-25T01:30"), zone="Europe/Berlin", other="UTC")
def test_what_pages_write_is_read_as_the_same_moment_by_everybody(moment: datetime, zone: str, other: str) -> None:
    with read_in(zone_named(zone)):
        written = durations.exactly(moment), durations.clock(then=moment, now=moment)
    found = [read_there(text, other, now=moment) for text in written]
    assert found[0].at == moment
    assert found[1].at == moment - timedelta(seconds=(found[0].at - found[1].at).seconds)
    assert all(one.at <= moment < one.end for one in found)


@given(moment=MOMENTS, zone=ZONES, other=ZONES, size=st.sampled_from([10, 16, 19, 21, 26]), later=st.booleans())
@example(moment=at("2026-10-24T22:00"), zone="Europe/Berlin", other="Asia/Kolkata", size=10, later=False)
def test_canonical_text_means_the_same_to_every_reader(
    moment: datetime, zone: str, other: str, size: int, later: bool
) -> None:
    text = moment.astimezone(zone_named(zone)).strftime("%Y-%m-%d %H:%M:%S.%f")[:size]
    try:
        found = read_there(text, zone, later=later)
    except NotATime:
        return
    for name in (zone, other):
        assert read_there(found.first, name).at == found.at
        assert read_there(found.last, name).end == found.end
        with read_in(zone_named(name)):
            assert read(as_shown(found.first), now=NOW).at == found.at
            assert read(as_shown(found.last), now=NOW).end == found.end
            assert read(as_typed(found.first), now=NOW).at == found.at
            assert read(as_typed(found.last), now=NOW).end == found.end
            again = read(found.first, now=NOW).first, read(found.last, now=NOW).last
            assert again == (found.first, found.last)


@given(moment=MOMENTS, zone=ZONES)
@example(moment=at("2026-03-28T23:00"), zone="Europe/Berlin")
@example(moment=at("2011-12-29T12:00"), zone="Pacific/Apia")
def test_days_follow_each_other_and_none_has_a_moment_twice(moment: datetime, zone: str) -> None:
    day = moment.astimezone(zone_named(zone)).date()
    found = read_there(day.isoformat(), zone)
    assert found.at <= moment < found.end
    following = found.end.astimezone(zone_named(zone)).date()
    assert read_there(following.isoformat(), zone).at == found.end
    assert timedelta() < found.lasts <= timedelta(hours=49)


@given(moment=MOMENTS, zone=ZONES)
@example(moment=at("2026-10-25T00:30"), zone="Europe/Berlin")
@example(moment=at("2026-10-25T01:30"), zone="Europe/Berlin")
def test_time_of_the_reader_without_a_mark_is_its_moment_or_in_doubt(moment: datetime, zone: str) -> None:
    text = f"{moment.astimezone(zone_named(zone)):%Y-%m-%d %H:%M:%S}"
    both = [read_there(text, zone, later=later) for later in (False, True)]
    assert moment in {one.at for one in both}
    assert (both[0].at == both[1].at) is not bool(both[0].doubt)


@given(text=st.text() | st.text("0123456789:-+. TZapmyesterdayNov"))
def test_any_text_is_a_time_or_is_refused(text: str) -> None:
    try:
        read_there(text, "America/New_York")
    except NotATime:
        return
