"""What is said of events that are not of contracts: what the log and the reads say, and why the rest is not known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.other_events import (
    EndpointThen,
    absent_words,
    budget_words,
    install_words,
    link_words,
    not_compared,
    unlisted_words,
)

NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HERE = EndpointThen(is_subscribed=True, created_at=NOON - MINUTE, log_from=NOON - MINUTE)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (HERE, "Not in its log. Whether OpenTrain did not send it or it was lost on the way is not known."),
        (
            replace(HERE, is_subscribed=False),
            "Not in its log. It does not subscribe to this type now; whether it did then is not known.",
        ),
        (
            replace(HERE, created_at=NOON + MINUTE),
            "It was registered after the event: OpenTrain sends a new endpoint no earlier events.",
        ),
        (
            replace(HERE, log_from=None),
            "Not known: OpenTrain delivers to this endpoint directly, so Redeliver has no log of it.",
        ),
        (
            replace(HERE, log_from=None, is_reported=True),
            "Not reported by its handler. Whether OpenTrain sent it is not known.",
        ),
        (
            replace(HERE, created_at=None, log_from=NOON + MINUTE),
            "Not known: its deliveries did not pass Redeliver at that time.",
        ),
    ],
)
def test_endpoint_without_the_event_says_only_what_is_known(endpoint: EndpointThen, words: str) -> None:
    assert absent_words(endpoint, happened_at=NOON, first_received_at=NOON) == words


def test_event_without_a_time_proves_no_late_registration() -> None:
    late = replace(HERE, created_at=NOON + MINUTE)
    assert absent_words(late, happened_at=None, first_received_at=NOON) == absent_words(
        HERE, happened_at=NOON, first_received_at=NOON
    )


def link(*, gone_at: datetime | None = None, has_job: bool = True) -> str:
    now = NOON + 5 * MINUTE
    return link_words(created_at=NOON - MINUTE, seen_at=NOON, gone_at=gone_at, has_job=has_job, now=now)


def test_link_says_whether_it_exists_and_as_of_when() -> None:
    assert link() == "OpenTrain listed this link 5 min ago. It was created 6 min ago."
    assert link(has_job=False).endswith("It has no job, so OpenTrain makes no contract events for it.")
    assert link(gone_at=NOON + 2 * MINUTE) == (
        "OpenTrain's list lacked this link 3 min ago, and had it 5 min ago. "
        "Without a link, OpenTrain sends no contract events of its job."
    )


def test_budget_says_what_was_read_and_when() -> None:
    said = budget_words(state="LOW", consumed=0.824, read_at=NOON, now=NOON + 5 * MINUTE)
    assert said.startswith("The contract's budget was LOW (82 % consumed) when it was read 5 min ago.")
    never = budget_words(state="", consumed=None, read_at=None, now=NOON)
    assert never == "The contract's budget was never read, so it is not known whether a threshold was crossed."


def test_install_says_its_status_and_when_the_event_comes() -> None:
    assert install_words(status="REVOKED", checked_at=NOON, now=NOON + 5 * MINUTE) == (
        "OpenTrain said that the install is REVOKED when it was read 5 min ago. "
        "install.revoked comes when a customer disconnects, and also when they connect again."
    )


def test_what_is_not_compared_or_not_listed_says_that_it_is_not_known() -> None:
    assert not_compared("milestone.funded").endswith("an event of type milestone.funded is missing is not known.")
    assert unlisted_words(read_at=NOON, now=NOON + 5 * MINUTE).startswith(
        "OpenTrain's lists did not have this contract when they were read, 5 min ago:"
    )
    assert unlisted_words(read_at=None, now=NOON).endswith("so its other events are not known.")
