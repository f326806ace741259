"""What is said of events that are not of contracts: what the log and the reads say, and why the rest is not known."""

from datetime import UTC, datetime, timedelta

from dashboard.rules.other_events import (
    budget_words,
    install_words,
    link_words,
    not_compared,
    unlisted_words,
)

NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


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
