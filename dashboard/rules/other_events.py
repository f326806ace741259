"""Pure rules: what can be said of events that are not of contracts, from the log and from what OpenTrain's reads say.

Redeliver compares only contract.started and contract.ended with OpenTrain's lists. Of every other event it knows what
the log has; whether one is missing is not known, and these sentences say why.
"""

from datetime import datetime

from dashboard.rules.durations import ago

NOT_COMPARED = (
    "Redeliver compares only the start and the end of contracts with OpenTrain's lists. Whether an event of type "
    "{event_type} is missing is not known."
)


def link_words(
    *, created_at: datetime | None, seen_at: datetime, gone_at: datetime | None, has_job: bool, now: datetime
) -> str:
    """Say whether a project link exists, as of when, and what follows for contract events.

    `seen_at` is when OpenTrain last listed it, `gone_at` when a list first lacked it.
    """
    if gone_at is not None:
        return (
            f"OpenTrain's list lacked this link {ago(then=gone_at, now=now)}, and had it {ago(then=seen_at, now=now)}. "
            "Without a link, OpenTrain sends no contract events of its job."
        )
    since = f" It was created {ago(then=created_at, now=now)}." if created_at is not None else ""
    job = "" if has_job else " It has no job, so OpenTrain makes no contract events for it."
    return f"OpenTrain listed this link {ago(then=seen_at, now=now)}.{since}{job}"


def budget_words(*, state: str, consumed: float | None, read_at: datetime | None, now: datetime) -> str:
    """Say a contract's budget as it was read last."""
    if read_at is None:
        return "The contract's budget was never read, so it is not known whether a threshold was crossed."
    share = "" if consumed is None else f" ({consumed * 100:.0f} % consumed)"
    return (
        f"The contract's budget was {state or 'without a state'}{share} when it was read {ago(then=read_at, now=now)}. "
        "OpenTrain sends an event only when a threshold is crossed upward."
    )


def install_words(*, status: str, checked_at: datetime, now: datetime) -> str:
    """Say what OpenTrain last said of an install, and when install.revoked comes."""
    read = ago(then=checked_at, now=now)
    return (
        f"OpenTrain said that the install is {status or 'without a status'} when it was read {read}. "
        "install.revoked comes when a customer disconnects, and also when they connect again."
    )


def not_compared(event_type: str) -> str:
    """Say that events of a type are not compared with OpenTrain's lists."""
    return NOT_COMPARED.format(event_type=event_type)


def unlisted_words(*, read_at: datetime | None, now: datetime) -> str:
    """Say why a contract that the log names is not judged."""
    if read_at is None:
        return "The install's contracts were never read from OpenTrain, so its other events are not known."
    return (
        f"OpenTrain's lists did not have this contract when they were read, {ago(then=read_at, now=now)}: no link may "
        "lead to its job, it may be beyond the newest that OpenTrain lists, or newer. Its other events are not known."
    )
