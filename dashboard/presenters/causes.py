"""Why deliveries failed and requests were refused, in words, each with the list of them."""

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
    "content_type": "what came was not application/json",
    "too_large": "what came was too large",
    "cut_off": "the body was cut off on its way",
    "delivery_id": "what came had no delivery ID",
    "registering": "the endpoint was still being registered",
}
_REFUSED_ADVICE = "These are no deliveries. Open one of them: the signature doctor says what is wrong."


@dataclass(frozen=True, slots=True)
class CauseRow:
    """So many that came to `what` for one cause, what helps, and the query of their list."""

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
    """Return "37", or "1,000+" where no more was counted."""
    return f"{LIST_COUNT_LIMIT:,}+" if number > LIST_COUNT_LIMIT else f"{number:,}"


def cause_rows(*, scope: Scope, criteria: DeliveryCriteria, times: dict[str, str]) -> list[CauseRow]:
    """Return the causes of a scope's failures, the most frequent first, then why requests were refused.

    `times` is their range as the URL has it.
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
    """Return a reason in words; one that is not known here is shown as it came."""
    return f"the receiver {REPORTED[reason]}" if reason in REPORTED else _NOT_THE_SIGNATURE.get(reason, reason)
