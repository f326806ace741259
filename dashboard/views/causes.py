"""Why deliveries failed, in words, each with the list of them."""

from dataclasses import dataclass
from datetime import datetime

from dashboard.filters import cause_value, link_query
from dashboard.health import advise, describe_cause
from dashboard.models import delivery_lists
from dashboard.models.delivery_lists import COUNTED, Scope, Wanted


@dataclass(frozen=True, slots=True)
class CauseRow:
    """So many deliveries that failed for good for one cause, what helps, and the query of their list."""

    words: str
    advice: str
    deliveries: int
    first_at: datetime
    last_at: datetime
    query: str

    @property
    def number(self) -> str:
        return number_words(self.deliveries)


def number_words(number: int) -> str:
    """Return "37", or "1,000+" where no more was counted."""
    return f"{COUNTED:,}+" if number > COUNTED else f"{number:,}"


def cause_rows(*, scope: Scope, wanted: Wanted, times: dict[str, str]) -> list[CauseRow]:
    """Return the causes of a scope's failures, the most frequent first; `times` is their range as the URL has it."""
    return [
        CauseRow(
            words=describe_cause(cause=group.cause, status=group.status),
            advice=advise(cause=group.cause, status=group.status),
            deliveries=group.deliveries,
            first_at=group.first_received_at,
            last_at=group.last_received_at,
            query=link_query(times | {"state": "failed", "cause": cause_value(cause=group.cause, status=group.status)}),
        )
        for group in delivery_lists.causes(scope=scope, wanted=wanted)
    ]
