"""Times as people write and copy them."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.written_times import read


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("2026-06-12T12:30:00Z", timedelta(seconds=1)),
        ("2026-06-12 12:30 utc", timedelta(minutes=1)),
        ("2026-06-12T14:30+02:00", timedelta(minutes=1)),
        ("2026-06-12T10:00\u221202:30", timedelta(minutes=1)),
        ("20260612T123000.0Z", timedelta(milliseconds=100)),
    ],
)
def test_time_is_read_with_what_it_names(text: str, lasts: timedelta) -> None:
    found = read(text)
    assert (found.at, found.lasts) == (datetime(2026, 6, 12, 12, 30, tzinfo=UTC), lasts)


def test_plus_that_a_url_made_a_space_is_a_plus_again() -> None:
    assert read("2026-06-12T14:30 02:00").text == "2026-06-12T14:30+02:00"


@pytest.mark.parametrize("text", ["", "noon", "2026-06-31", "2026-06-12T12:30-25:00"])
def test_other_text_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        read(text)
