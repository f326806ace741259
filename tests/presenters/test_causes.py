"""Rows of causes: their counts, the advice, and the list behind each."""

from urllib.parse import parse_qs

import pytest

from dashboard.presenters.causes import cause_rows, number_words
from dashboard.queries.delivery_lists import LIST_COUNT_LIMIT, DeliveryCriteria, Scope
from tests.factories import NOON, make_endpoint, make_failed_delivery, make_refused_attempt


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (1, "1"),
        (999, "999"),
        (LIST_COUNT_LIMIT, f"{LIST_COUNT_LIMIT:,}"),
        (LIST_COUNT_LIMIT + 1, f"{LIST_COUNT_LIMIT:,}+"),
    ],
)
def test_number_is_exact_until_no_more_is_counted(number: int, words: str) -> None:
    assert number_words(number) == words


@pytest.mark.django_db
def test_rows_are_the_failures_by_cause_and_then_what_was_refused() -> None:
    endpoint = make_endpoint()
    for _ in range(2):
        make_failed_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, last_cause="timeout", last_status=504)
    for reason in ("mismatch", "content_type", "of_a_later_version"):
        make_refused_attempt(endpoint=endpoint, reason=reason)
    times = {"from": "2026-06-12"}
    rows = cause_rows(scope=Scope(endpoint=endpoint.pk), criteria=DeliveryCriteria(), times=times)
    failed, refused = rows[:2], rows[2:]
    assert [(row.is_refused, row.count, row.number, row.first_at, row.last_at) for row in failed] == [
        (False, 2, "2", NOON, NOON),
        (False, 1, "1", NOON, NOON),
    ]
    assert [parse_qs(row.query) for row in failed] == [
        {"from": ["2026-06-12"], "state": ["failed"], "cause": ["status:503"]},
        {"from": ["2026-06-12"], "state": ["failed"], "cause": ["timeout"]},
    ]
    assert all(row.advice for row in rows)
    assert len({row.what for row in failed}) == 2  # a singular and a plural
    assert [(row.is_refused, row.count) for row in refused] == [(True, 1)] * 3
    assert {row.query for row in refused} == {refused[0].query}
    assert "of_a_later_version" in {row.words for row in refused}  # an unknown reason is shown unchanged
    assert "content_type" not in {row.words for row in refused}


@pytest.mark.django_db
def test_no_failure_is_no_row() -> None:
    assert cause_rows(scope=Scope(endpoint=make_endpoint().pk), criteria=DeliveryCriteria(), times={}) == []
