"""Parsing a list's URL parameters: every form of a filter, its criteria, and invalid input."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.forms import delivery_filters, list_filters
from dashboard.queries.delivery_lists import CauseCriteria, DeliveryCriteria
from dashboard.rules.deliveries import StateKind

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
        ({"event": "Contract.STARTED"}, DeliveryCriteria(event_type="contract.started"), "event=contract.started"),
        ({"event": "Newer.Event"}, DeliveryCriteria(event_type="Newer.Event"), "event=Newer.Event"),
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
    list_filters.parse_cursor(params)
