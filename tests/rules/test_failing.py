"""The sentence about an endpoint's failing deliveries, shared by the inbox and the alerts."""

from datetime import timedelta

import pytest

from dashboard.rules.deliveries import Standing
from dashboard.rules.failing import Failing, failing_words
from tests.rules.test_deliveries import NOON

EARLIER = NOON - timedelta(minutes=38)


def failing(count: int, *, standing: Standing = Standing.FAILED, cause: str = "status", status: int = 503) -> Failing:
    return Failing(standing, cause, status, count, EARLIER)


@pytest.mark.parametrize(
    ("found", "more_than", "words"),
    [
        ((), None, []),
        ((failing(1),), None, ["1 delivery failed: handler returned 503, since 11:22 UTC."]),
        ((failing(1234),), None, ["1,234 deliveries failed: handler returned 503, since 11:22 UTC."]),
        ((failing(1001),), 1000, ["More than 1,000 deliveries failed: handler returned 503, since 11:22 UTC."]),
        (
            (failing(3), failing(1, status=500)),
            None,
            ["4 deliveries failed: handler returned 503, since 11:22 UTC, and 1 other cause."],
        ),
        (
            (failing(3), failing(2, status=500), failing(1, cause="refused", status=0)),
            None,
            ["6 deliveries failed: handler returned 503, since 11:22 UTC, and 2 other causes."],
        ),
        (
            (failing(2, standing=Standing.RETRYING), failing(1)),
            None,
            [
                "1 delivery failed: handler returned 503, since 11:22 UTC.",
                "2 deliveries retrying: handler returned 503, since 11:22 UTC.",
            ],
        ),
    ],
)
def test_failing_words_say_how_many_and_why_those_that_failed_for_good_first(found, more_than, words) -> None:
    assert failing_words(failing=found, more_than=more_than, now=NOON) == words
