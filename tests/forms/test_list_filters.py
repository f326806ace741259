"""What the filters of all lists share: times, ranges, pasted values, secrets, and the cursor of a page."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.forms import list_filters
from dashboard.queries.delivery_lists import Cursor
from dashboard.rules.time_zones import read_in, zone_named
from tests.forms.test_delivery_filters import HOW_TO_WRITE_A_TIME, NOW, at, parse
from tests.rules.test_time_zones import ZONES


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2026-06-12", "2026-06-12T00:00", "2026-06-13T00:00"),
        ("20260612", "2026-06-12T00:00", "2026-06-13T00:00"),
        ("2026-06-12T05", "2026-06-12T05:00", "2026-06-12T06:00"),
        ("2026-06-12T05+02:00", "2026-06-12T03:00", "2026-06-12T04:00"),
        ("2026-06-12T05:12", "2026-06-12T05:12", "2026-06-12T05:13"),
        ("2026-06-12 05:12", "2026-06-12T05:12", "2026-06-12T05:13"),
        ("20260612T0512", "2026-06-12T05:12", "2026-06-12T05:13"),
        ("2026-06-12t05:12z", "2026-06-12T05:12", "2026-06-12T05:13"),
        ("2026-06-12T05:12+02:00", "2026-06-12T03:12", "2026-06-12T03:13"),
        ("2026-06-12T05:12+0200", "2026-06-12T03:12", "2026-06-12T03:13"),
        ("2026-06-12T05:12-02", "2026-06-12T07:12", "2026-06-12T07:13"),
        ("2026-06-12T05:12 02:00", "2026-06-12T03:12", "2026-06-12T03:13"),
        ("2026-06-12 05:12 02:00", "2026-06-12T03:12", "2026-06-12T03:13"),
        ("2026-06-12T05:12:07", "2026-06-12T05:12:07", "2026-06-12T05:12:08"),
        ("2026-06-12 05:12:07 UTC", "2026-06-12T05:12:07", "2026-06-12T05:12:08"),
        ("2026-06-12T05:12:07 02:00", "2026-06-12T03:12:07", "2026-06-12T03:12:08"),
        ("2026-06-12T05:12:07.5", "2026-06-12T05:12:07.5", "2026-06-12T05:12:07.6"),
        ("2026-06-12T05:12:07.5+02:00", "2026-06-12T03:12:07.5", "2026-06-12T03:12:07.6"),
        ("2026-06-12T05:12:07.500Z", "2026-06-12T05:12:07.5", "2026-06-12T05:12:07.501"),
        ("2026-06-12T05:12:07.1234569Z", "2026-06-12T05:12:07.123456", "2026-06-12T05:12:07.123457"),
    ],
)
def test_range_includes_all_that_its_end_names_and_nothing_after_it(text: str, first: str, end: str) -> None:
    found = parse(**{"from": text, "to": text})
    assert found.problems == ()
    assert (found.criteria.received_from, found.criteria.received_to) == (at(first), at(end))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-06-31", "there is no such day."),
        ("2026-06-12T25:00", "hours go from 00 to 23, minutes and seconds from 00 to 59."),
        ("2026-06-12T03:12:60", "hours go from 00 to 23, minutes and seconds from 00 to 59."),
        ("2026-06-12+02:00", HOW_TO_WRITE_A_TIME),
        ("2026-06-12x03:12", HOW_TO_WRITE_A_TIME),
        ("2026-0612", HOW_TO_WRITE_A_TIME),
    ],
)
def test_what_names_no_time_is_refused_rather_than_guessed(text: str, why: str) -> None:
    assert parse(to=text).problems == (f"“{text}” is not a time: {why}",)


def test_times_are_typed_and_shown_in_the_readers_zone_and_canonical_in_utc() -> None:
    with read_in(zone_named("Asia/Kolkata")):
        found = parse(**{"from": "yesterday 3pm", "to": "2026-06-12"})
        chips = [(chip.label, chip.words) for chip in found.chips]
        assert chips == [("From", "2026-06-11 15:00 UTC+05:30"), ("To", "2026-06-12 23:59 UTC+05:30")]
        assert found.given == {"from": "2026-06-11 15:00", "to": "2026-06-12 23:59"}
    assert found.used == {"from": "2026-06-11T09:30Z", "to": "2026-06-12T18:29Z"}
    assert (found.criteria.received_from, found.criteria.received_to) == (
        at("2026-06-11T09:30"),
        at("2026-06-12T18:30"),
    )
    with read_in(zone_named("America/New_York")):
        shared = parse(**found.used)
        assert shared.criteria == found.criteria
        assert [chip.words for chip in shared.chips] == ["2026-06-11 05:30 EDT", "2026-06-12 14:29 EDT"]
        assert shared.words == "From: 2026-06-11 09:30 UTC, To: 2026-06-12 18:29 UTC"  # what is kept


@given(text=st.text() | st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]Z?"), zone=ZONES)
def test_address_that_was_made_canonical_stays_as_it_is(text: str, zone: str) -> None:
    with read_in(zone_named(zone)):
        params = {"from": text, "to": text}
        times, _taken = list_filters.times_to_address(params=params, now=NOW)
        assert list_filters.times_to_address(params=params | times, now=NOW) == ({}, [])


def test_moment_that_was_taken_of_two_is_said() -> None:
    params, berlin = {"from": "2025-10-26 02:30", "to": "2025-10-26 02:30", "state": "x"}, zone_named("Europe/Berlin")
    with read_in(berlin):
        times, taken = list_filters.times_to_address(params=params, now=NOW)
    assert times == {"from": "2025-10-26T00:30Z", "to": "2025-10-26T01:30Z"}
    assert [words.rpartition(". ")[2] for words in taken] == ["02:30 CEST is used.", "02:30 CET is used."]


moments = st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the time zone


@given(when=moments, pk=st.integers(0, 10**18 - 1), newer=st.booleans())
def test_cursor_reads_back_as_it_was_written(when, pk, newer) -> None:
    text = list_filters.cursor_text(at=when, pk=pk)
    assert list_filters.parse_cursor({"newer" if newer else "older": text}) == Cursor(when, pk, newer=newer)


def test_cursor_that_cannot_be_read_is_none() -> None:
    for text in ("", "x", "2026-06-12", "2026-13-41T00:00:00Z_1", "2026-06-12T12:00:00Z_", "2026-06-12T12:00:00Z_-1"):
        assert list_filters.parse_cursor({"older": text}) is None


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"delivery": "\u200b“dlv_1”\u00a0"}, "delivery=dlv_1"),
        ({"delivery": "X-OpenTrain-Delivery: dlv_1"}, "delivery=dlv_1"),
        ({"event_id": "`evt_1`"}, "event_id=evt_1"),
        ({"resource": '"con_1",'}, "resource=con_1"),
        ({"resource": "\">'con_1"}, "resource=%22%3E%27con_1"),
        ({"event": "“contract.started”"}, "event=contract.started"),
        ({"state": "\u200bfailed"}, "state=failed"),
        ({"to": "2026-06-12\u00a003:12"}, "to=2026-06-12T03%3A12Z"),
    ],
)
def test_pasted_value_is_taken_from_what_is_around_it(params: dict[str, str], query: str) -> None:
    parsed = parse(**params)
    assert (parsed.query, parsed.problems) == (query, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dlv_10001, dlv_10002", "This contains 2 IDs. Paste only one delivery ID."),
        ("dlv_10001\ndlv_10002", "This contains 2 lines. Paste only one delivery ID."),
        ('["dlv_10001", "dlv_10002"]', "This contains a list of 2 values. Paste only one delivery ID."),
        ("d" * 201, f"“{'d' * 40}…” has 201 characters: a filter has at most 200."),
    ],
)
def test_list_of_ids_and_a_text_that_is_too_long_are_no_filter_and_say_why(text: str, words: str) -> None:
    parsed = parse(delivery=text)
    assert (parsed.query, parsed.problems, parsed.given["delivery"]) == ("", (words,), text[:200])


@pytest.mark.parametrize("text", ["ot_ptk_c4n4ry", "Bearer\u00a0ot_p\u200btk_c4n4ry", "x" * 300 + "whsec_c4n4ry"])
def test_secret_is_no_filter_and_is_not_shown(text: str) -> None:
    parsed = parse(delivery=text, event=text)
    assert (parsed.query, parsed.given, len(parsed.problems)) == ("", {}, 2)
    assert "c4n4ry" not in repr(parsed)
