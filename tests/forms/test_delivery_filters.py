"""Parsing a list's URL parameters: every form of a filter, its criteria, and invalid input."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.forms import delivery_filters
from dashboard.queries.delivery_lists import CauseCriteria, Cursor, DeliveryCriteria
from dashboard.rules.deliveries import StateKind
from dashboard.rules.time_zones import read_in, zone_named
from tests.rules.test_time_zones import ZONES

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)

HOW_TO_WRITE_A_TIME = (
    "use 03:12, yesterday 3pm or 2026-06-12 03:12 (UTC), 2026-06-12T05:12+02:00, or 24h for the last 24 hours."
)
NO_SIGNATURE = (
    "“odd” is not a signature's result: use verified, mismatch, other_endpoint, missing, doubled, malformed,"
    " stale, future, unchecked, unsaid, refused."
)
LEAST_ABOVE_MOST = "No delivery can match: the minimum number of attempts exceeds the maximum."


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def parse(**params: str) -> delivery_filters.Filter:
    return delivery_filters.parse(params=params, now=NOW)


@pytest.mark.parametrize(
    ("params", "criteria", "query"),
    [
        ({}, DeliveryCriteria(), ""),
        ({"state": "Requested again"}, DeliveryCriteria(state=StateKind.REQUESTED_AGAIN), "state=requested_again"),
        ({"event": " contract.started "}, DeliveryCriteria(event_type="contract.started"), "event=contract.started"),
        ({"cause": "503"}, DeliveryCriteria(cause=CauseCriteria("status", 503, 503)), "cause=status%3A503"),
        ({"cause": "status:4XX"}, DeliveryCriteria(cause=CauseCriteria("status", 400, 499)), "cause=status%3A4xx"),
        ({"cause": "Timeout"}, DeliveryCriteria(cause=CauseCriteria("timeout")), "cause=timeout"),
        ({"attempts_min": "03"}, DeliveryCriteria(attempts_min=3), "attempts_min=3"),
        ({"attempts_max": "5"}, DeliveryCriteria(attempts_max=5), "attempts_max=5"),
        ({"from": "24h"}, DeliveryCriteria(received_from=NOW - timedelta(hours=24)), "from=24h"),
        ({"from": "15 min"}, DeliveryCriteria(received_from=NOW - timedelta(minutes=15)), "from=15+min"),
        ({"from": "2h ago"}, DeliveryCriteria(received_from=NOW - timedelta(hours=2)), "from=2h"),
        ({"from": "3 days ago"}, DeliveryCriteria(received_from=NOW - timedelta(days=3)), "from=3+days"),
        ({"to": "now"}, DeliveryCriteria(received_to=NOW + timedelta(minutes=1)), "to=2026-06-12T12%3A00Z"),
        (
            {"from": "2026-06-12", "to": "2026-06-12"},
            DeliveryCriteria(received_from=at("2026-06-12"), received_to=at("2026-06-13")),
            "from=2026-06-12T00%3A00Z&to=2026-06-12T23%3A59Z",
        ),
        ({"to": "2026-06-12T03:12"}, DeliveryCriteria(received_to=at("2026-06-12T03:13")), "to=2026-06-12T03%3A12Z"),
        (
            {"to": "2026-06-12T05:12:00+02:00"},
            DeliveryCriteria(received_to=at("2026-06-12T03:12:01")),
            "to=2026-06-12T03%3A12%3A00Z",
        ),
        (
            {"to": "2026-06-12T05:12 02:00"},  # a "+" that URL decoding turned into a space
            DeliveryCriteria(received_to=at("2026-06-12T03:13")),
            "to=2026-06-12T03%3A12Z",
        ),
        (
            {"resource": "con_1", "delivery": "d", "event_id": "e"},
            DeliveryCriteria(delivery_id="d", event_id="e", resource_id="con_1"),
            "delivery=d&event_id=e&resource=con_1",
        ),
        ({"signature": "Verified"}, DeliveryCriteria(signature="verified"), "signature=verified"),
        ({"signature": "unsaid"}, DeliveryCriteria(signature=""), "signature=unsaid"),
        ({"signature": "mismatch"}, DeliveryCriteria(signature="mismatch"), "signature=mismatch"),
        ({"signature": "refused"}, DeliveryCriteria(), "signature=refused"),
    ],
)  # fmt: skip
def test_parse_reads_a_filter_and_names_it_canonically(params, criteria, query) -> None:
    found = parse(**params)
    assert (found.criteria, found.query, found.problems) == (criteria, query, ())


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
        times, _taken = delivery_filters.times_to_address(params=params, now=NOW)
        assert delivery_filters.times_to_address(params=params | times, now=NOW) == ({}, [])


def test_moment_that_was_taken_of_two_is_said() -> None:
    params, berlin = {"from": "2025-10-26 02:30", "to": "2025-10-26 02:30", "state": "x"}, zone_named("Europe/Berlin")
    with read_in(berlin):
        times, taken = delivery_filters.times_to_address(params=params, now=NOW)
    assert times == {"from": "2025-10-26T00:30Z", "to": "2025-10-26T01:30Z"}
    assert [words.rpartition(". ")[2] for words in taken] == ["02:30 CEST is used.", "02:30 CET is used."]


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"from": "yesterdy"}, f"“yesterdy” is not a time: {HOW_TO_WRITE_A_TIME}"),
        ({"from": "999999d"}, f"“999999d” is not a time: {HOW_TO_WRITE_A_TIME}"),
        ({"attempts_max": "many"}, "“many” is not a number of attempts: use a whole number such as 3."),
        ({"signature": "odd"}, NO_SIGNATURE),
        ({"attempts_min": "5", "attempts_max": "2"}, LEAST_ABOVE_MOST),
        ({"from": "1h", "to": "2h"}, "Nothing can match: the time range ends before it begins."),
    ],
)  # fmt: skip
def test_parse_says_what_it_cannot_use(params, problem) -> None:
    assert parse(**params).problems == (problem,)


anything = st.text() | st.sampled_from(["24h", "9999-12-31", "0001-01-01T00:00+14:00", "٣", "503", "refused", "failed"])


@given(params=st.dictionaries(st.sampled_from([*delivery_filters._LABELS, "older", "newer", "page"]), anything))
def test_parse_of_anything_uses_it_or_says_why_not_and_its_query_reads_the_same(params) -> None:
    found = delivery_filters.parse(params=params, now=NOW)
    again = delivery_filters.parse(params=dict(parse_qsl(found.query)), now=NOW)
    assert (again.criteria, again.refused, again.query) == (found.criteria, found.refused, found.query)
    assert {chip.label for chip in found.chips} == {delivery_filters._LABELS[name] for name in found.used}
    delivery_filters.parse_cursor(params)


moments = st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the time zone


@given(when=moments, pk=st.integers(0, 10**18 - 1), newer=st.booleans())
def test_cursor_reads_back_as_it_was_written(when, pk, newer) -> None:
    text = delivery_filters.cursor_text(at=when, pk=pk)
    assert delivery_filters.parse_cursor({"newer" if newer else "older": text}) == Cursor(when, pk, newer=newer)


def test_cursor_that_cannot_be_read_is_none() -> None:
    for text in ("", "x", "2026-06-12", "2026-13-41T00:00:00Z_1", "2026-06-12T12:00:00Z_", "2026-06-12T12:00:00Z_-1"):
        assert delivery_filters.parse_cursor({"older": text}) is None


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
