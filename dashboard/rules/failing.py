"""Sentences about an endpoint's failing deliveries, for the inbox and alerts: count, cause, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.rules.causes import describe_cause
from dashboard.rules.deliveries import Standing
from dashboard.rules.durations import clock

_WHAT = {Standing.FAILED: "failed", Standing.RETRYING: "retrying"}
"""Words for the standings of a failing delivery; first the one that needs attention."""


@dataclass(frozen=True, slots=True)
class Failing:
    """Deliveries of one endpoint, of one standing, that failed for one cause. The first was received at `first_at`."""

    standing: int
    cause: str
    status: int
    deliveries: int
    first_at: datetime


def failing_words(*, failing: Sequence[Failing], more_than: int | None = None, now: datetime) -> list[str]:
    """Return one sentence about failed deliveries and one about those to be retried, each only if there are any.

    `failing` has the most frequent cause first. `more_than` is the limit of the count if there are more deliveries.
    """
    grouped = [(what, [one for one in failing if one.standing == standing]) for standing, what in _WHAT.items()]
    return [_sentence(what, causes, more_than=more_than, now=now) for what, causes in grouped if causes]


def _sentence(what: str, causes: Sequence[Failing], *, more_than: int | None, now: datetime) -> str:
    count = sum(one.deliveries for one in causes)
    many = "1 delivery" if count == 1 else f"{count:,} deliveries"
    if more_than is not None:
        many = f"More than {more_than:,} deliveries"
    cause = describe_cause(cause=causes[0].cause, status=causes[0].status)
    others = len(causes) - 1
    also = f", and {others} other cause{'s' if others > 1 else ''}" if others else ""
    return f"{many} {what}: {cause}, since {clock(then=causes[0].first_at, now=now)}{also}."
