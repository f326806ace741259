"""Parsing the activity page's URL parameters."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.forms import audit_filters
from dashboard.queries.audit import AuditCriteria

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)


def parse(**params: str) -> audit_filters.AuditFilter:
    return audit_filters.parse(params=params, now=NOW)


@pytest.mark.parametrize(
    ("params", "criteria", "query"),
    [
        ({}, AuditCriteria(), ""),
        ({"who": " ana "}, AuditCriteria(who="ana"), "who=ana"),
        ({"what": "sign in"}, AuditCriteria(what="sign in"), "what=sign+in"),
        ({"outcome": "refused"}, AuditCriteria(phase="refused"), "outcome=refused"),
        ({"outcome": "Not taken"}, AuditCriteria(phase="unavailable"), "outcome=unavailable"),
        ({"outcome": "No answer"}, AuditCriteria(phase="requested"), "outcome=requested"),
        ({"install": "Acme Labs"}, AuditCriteria(install="Acme Labs"), "install=Acme+Labs"),
        ({"endpoint": "7", "install": "3"}, AuditCriteria(endpoint="7", install="3"), "install=3&endpoint=7"),
        ({"delivery": "dlv_1"}, AuditCriteria(delivery_id="dlv_1"), "delivery=dlv_1"),
        ({"request": "9d1f"}, AuditCriteria(request_id="9d1f"), "request=9d1f"),
        ({"from": "24h"}, AuditCriteria(at_from=NOW - timedelta(hours=24)), "from=24h"),
        ({"to": "2026-06-11"}, AuditCriteria(at_to=datetime(2026, 6, 12, tzinfo=UTC)), "to=2026-06-11T23%3A59Z"),
        (
            {"to": "2026-06-11T10:00:00.5 02:00"},
            AuditCriteria(at_to=datetime(2026, 6, 11, 8, 0, 0, 600_000, tzinfo=UTC)),
            "to=2026-06-11T08%3A00%3A00.5Z",
        ),
        ({"page": "7", "who": ""}, AuditCriteria(), ""),
    ],
)
def test_filter_is_read_and_has_one_canonical_query(
    params: dict[str, str], criteria: AuditCriteria, query: str
) -> None:
    read = parse(**params)
    assert (read.criteria, read.query, read.problems) == (criteria, query, ())


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"outcome": "bad"}, "“bad” is not an outcome: use done, refused, unavailable, unknown, requested."),
        ({"install": "9" * 30}, f"“{'9' * 30}” is not a valid install number."),
        ({"from": "1h", "to": "2h"}, "Nothing can match: the time range ends before it begins."),
    ],
)
def test_what_cannot_be_understood_is_said_in_words(params: dict[str, str], problem: str) -> None:
    assert parse(**params).problems == (problem,)


def test_chips_say_names_and_what_is_left_without_them() -> None:
    chips = parse(install="3", outcome="unavailable", **{"from": "24h"}).chips({"install": "Acme Labs"})
    assert [(chip.label, chip.words, chip.without) for chip in chips] == [
        ("Outcome", "Not taken", "install=3&from=24h"),
        ("Install", "Acme Labs", "outcome=unavailable&from=24h"),
        ("From", "24h ago", "outcome=unavailable&install=3"),
    ]


anything = st.text(max_size=40) | st.sampled_from(["done", "7", "24h", "2026-06-12", "99999d", "²", "٣"])


@given(params=st.dictionaries(st.sampled_from([*audit_filters._LABELS, "older", "newer"]), anything))
def test_whatever_is_in_the_url_is_read_and_read_again_the_same(params: dict[str, str]) -> None:
    read = audit_filters.parse(params=params, now=NOW)
    again = audit_filters.parse(params=dict(parse_qsl(read.query)), now=NOW)
    assert (again.criteria, again.query) == (read.criteria, read.query)
    assert len(read.chips({})) == len(read.used)


def test_pasted_ids_are_taken_from_what_is_around_them() -> None:
    parsed = parse(request="requestId: “7b1c2f”", delivery="\u200bdlv_1", endpoint="`whe_1`", install="\u200b12")
    assert (parsed.query, parsed.problems) == ("install=12&endpoint=whe_1&delivery=dlv_1&request=7b1c2f", ())


def test_two_request_ids_are_no_filter_and_say_why() -> None:
    parsed = parse(request="7b1c2f10\n8b1c2f10")
    assert (parsed.query, parsed.problems) == ("", ("This contains 2 lines. Paste only one request ID.",))
