"""Causes of failed deliveries and refused requests, each with a link to its list."""

from dataclasses import dataclass
from datetime import datetime

from dashboard.forms.delivery_filters import REFUSED, cause_value, link_query
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_lists import LIST_COUNT_LIMIT, CauseGroup, DeliveryCriteria, Scope
from dashboard.rules.causes import advise, describe_cause
from dashboard.signatures import REPORTED

_FAILED = ("delivery failed", "deliveries failed")
_REFUSED = ("request was refused", "requests were refused")
_NOT_THE_SIGNATURE = {
    "content_type": "the content type was not application/json",
    "too_large": "the request was too large",
    "cut_off": "the body was cut off",
    "delivery_id": "the delivery ID was missing",
    "registering": "the endpoint was still being registered",
    "no_secret": "the endpoint's signing secret was not known",
}
_REFUSED_ADVICE = "These are not deliveries. Open one: the signature doctor explains the problem."


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One cause: how many deliveries or requests it affected, advice, and the query of their list."""

    is_refused: bool
    words: str
    advice: str
    count: int
    what: str
    first_at: datetime
    last_at: datetime
    query: str

    @property
    def number(self) -> str:
        return number_words(self.count)


def number_words(number: int) -> str:
    """Return "37", or "1,000+" above the limit of the count."""
    return f"{LIST_COUNT_LIMIT:,}+" if number > LIST_COUNT_LIMIT else f"{number:,}"


def cause_rows(*, scope: Scope, criteria: DeliveryCriteria, times: dict[str, str]) -> list[CauseRow]:
    """Return the causes of a scope's failures, most frequent first, then those of refused requests.

    `times` is the time range, as in the URL.
    """
    groups = delivery_lists.causes(scope=scope, criteria=criteria)
    return [_refused_row(group, times) if group.is_refused else _failed_row(group, times) for group in groups]


def _failed_row(group: CauseGroup, times: dict[str, str]) -> CauseRow:
    return CauseRow(
        is_refused=False,
        words=describe_cause(cause=group.cause, status=group.status),
        advice=advise(cause=group.cause, status=group.status),
        count=group.count,
        what=_FAILED[group.count != 1],
        first_at=group.first_received_at,
        last_at=group.last_received_at,
        query=link_query(times | {"state": "failed", "cause": cause_value(cause=group.cause, status=group.status)}),
    )


def _refused_row(group: CauseGroup, times: dict[str, str]) -> CauseRow:
    return CauseRow(
        is_refused=True,
        words=_refused_words(group.cause),
        advice=_REFUSED_ADVICE,
        count=group.count,
        what=_REFUSED[group.count != 1],
        first_at=group.first_received_at,
        last_at=group.last_received_at,
        query=link_query(times | {"signature": REFUSED}),
    )


def _refused_words(reason: str) -> str:
    """Return a reason in words; an unknown one unchanged."""
    return f"the receiver {REPORTED[reason]}" if reason in REPORTED else _NOT_THE_SIGNATURE.get(reason, reason)
