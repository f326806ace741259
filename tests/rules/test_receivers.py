"""What a receiver's report says about the log."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.receivers import SILENT_AFTER, Report, lag_words

NOW = datetime(2026, 6, 12, 12, tzinfo=UTC)
SILENT = "A receiver of Redeliver does not report, so this log may lag. By how much is not known."
HOLDS = "Redeliver holds attempts that are not in this log yet. It adds them as soon as it can."


def report(*, held: int = 0, since: timedelta = timedelta()) -> Report:
    return Report("web1-b", held, NOW - since)


@pytest.mark.parametrize(
    ("held", "since", "words"),
    [
        (0, timedelta(), ""),
        (0, SILENT_AFTER, ""),
        (1, timedelta(), "Receiver web1-b holds 1 attempt that is not in the log yet."),
        (1204, timedelta(seconds=5), "Receiver web1-b holds 1,204 attempts that are not in the log yet."),
        (1204, timedelta(seconds=-90), "Receiver web1-b holds 1,204 attempts that are not in the log yet."),
        (
            1204,
            timedelta(minutes=3),
            "Receiver web1-b: last heard of 3 min ago. The log may lag, by how much is not known.",
        ),
        (
            0,
            SILENT_AFTER + timedelta(seconds=1),
            "Receiver web1-b: last heard of 31 s ago. The log may lag, by how much is not known.",
        ),
    ],
)
def test_report_says_what_the_log_lacks_and_no_number_that_is_old(held: int, since: timedelta, words: str) -> None:
    assert report(held=held, since=since).words(now=NOW) == words


def test_others_read_neither_names_nor_numbers() -> None:
    silent = report(held=7, since=timedelta(minutes=3))
    assert lag_words([report(held=7), silent], now=NOW) == SILENT
    assert lag_words([report(held=7), report()], now=NOW) == HOLDS
    assert lag_words([report()], now=NOW) == ""
    assert lag_words([], now=NOW) == ""
