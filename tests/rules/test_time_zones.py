"""Time zones: the list, marks that name one offset each, and the zone of the reader."""

import contextvars
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.time_zones import (
    ABBREVIATIONS,
    as_read,
    is_known,
    label,
    read_in,
    readers_zone,
    readers_zone_name,
    time_zones,
    zone_named,
)

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
MOMENTS = st.integers(0, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
"""Moments from 1970 to 2100."""
ZONES = st.sampled_from(time_zones())


def offset_of(mark: str) -> timedelta:
    """Return the offset that a mark names, read as a person does."""
    if mark in ABBREVIATIONS:
        return timedelta(hours=ABBREVIATIONS[mark])
    parts = [int(part) for part in mark[4:].split(":")]
    size = timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2] if len(parts) > 2 else 0)
    return -size if mark[3] == "-" else size


def test_time_zones_are_each_once_with_utc_first() -> None:
    names = time_zones()
    assert (names[0], len(names) == len(set(names)), "Europe/Berlin" in names) == ("UTC", True, True)
    assert [name for name in names if name.startswith("Etc/")] == []
    assert {"Factory", "localtime"}.isdisjoint(names)


@pytest.mark.parametrize("name", ["UTC", "Etc/GMT-3", "Asia/Calcutta", "Europe/Berlin"])
def test_names_that_browsers_say_are_known(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize("name", ["", "Factory", "localtime", "Nowhere/Gone", "../etc/passwd", "utc", "a" * 5000, "\0"])
def test_names_of_no_zone_are_not_known(name: str) -> None:
    assert not is_known(name)


@pytest.mark.parametrize("name", ["UTC", "Nowhere/Gone", "../etc/passwd", ""])
def test_zone_that_cannot_be_had_is_utc(name: str) -> None:
    assert zone_named(name) is UTC


@pytest.mark.parametrize(
    ("zone", "month", "mark"),
    [
        ("UTC", 1, "UTC"), ("Etc/UTC", 1, "UTC"), ("Europe/Berlin", 1, "CET"), ("Europe/Berlin", 7, "CEST"),
        ("Europe/London", 1, "GMT"), ("Europe/London", 7, "BST"), ("Europe/Dublin", 7, "UTC+01:00"),
        ("America/New_York", 1, "EST"), ("America/New_York", 7, "EDT"), ("America/Los_Angeles", 7, "PDT"),
        ("America/Chicago", 1, "CST"), ("Asia/Shanghai", 1, "UTC+08:00"), ("Asia/Kolkata", 1, "UTC+05:30"),
        ("Asia/Manila", 1, "UTC+08:00"), ("America/St_Johns", 1, "UTC-03:30"), ("America/Sao_Paulo", 1, "UTC-03:00"),
        ("Asia/Kathmandu", 1, "UTC+05:45"), ("Australia/Lord_Howe", 1, "UTC+11:00"), ("Etc/GMT-3", 1, "UTC+03:00"),
    ],
)  # fmt: skip
def test_label_is_an_abbreviation_that_everybody_reads_alike_or_the_offset(zone: str, month: int, mark: str) -> None:
    assert label(datetime(2026, month, 15, 12, tzinfo=zone_named(zone))) == mark


def test_label_of_an_offset_with_seconds_names_them() -> None:
    assert label(datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))) == "UTC+00:53:28"


@given(moment=MOMENTS, name=ZONES)
def test_label_names_the_offset_that_the_time_is_written_with(moment: datetime, name: str) -> None:
    there = moment.astimezone(zone_named(name))
    assert offset_of(label(there)) == there.utcoffset()


def test_reader_is_in_utc_unless_a_zone_is_set_and_afterwards_again() -> None:
    assert (readers_zone(), readers_zone_name()) == (UTC, "UTC")
    with read_in(BERLIN):
        with read_in(KOLKATA):
            assert (readers_zone_name(), as_read(NOON).hour) == ("Asia/Kolkata", 17)
        assert (readers_zone_name(), as_read(NOON).hour) == ("Europe/Berlin", 14)
    assert readers_zone() is UTC


def test_readers_zone_ends_with_an_error_too() -> None:
    with pytest.raises(KeyError), read_in(BERLIN):
        raise KeyError
    assert readers_zone() is UTC


def test_threads_that_a_reader_starts_and_other_contexts_are_in_utc() -> None:
    seen = []
    with read_in(KOLKATA):
        thread = threading.Thread(target=lambda: seen.append(readers_zone_name()))
        thread.start()
        thread.join()
        contextvars.Context().run(lambda: seen.append(readers_zone_name()))
    assert seen == ["UTC", "UTC"]


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("name", ["America/New_York", "Asia/Kolkata"])
def test_time_at_the_end_of_the_calendar_is_never_an_error(moment: datetime, name: str) -> None:
    with read_in(zone_named(name)):
        assert as_read(moment).astimezone(UTC) == moment
