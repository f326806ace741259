"""Deliveries that later events have overtaken, as pages show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.models import Delivery, Endpoint
from dashboard.queries.overtaken import overtaken, overtaken_failed, overtaken_gone
from dashboard.rules.event_order import Other, overtaken_words

SHOWN = 5
"""Most overtaken deliveries that a page lists."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """How many deliveries later events of their resources have overtaken, and the first of them with why.

    `number` counts those too that are no longer in the log; `in_log` does not.
    """

    number: int
    in_log: int
    shown: Sequence[tuple[Delivery, str]]

    @property
    def more(self) -> int:
        return self.number - len(self.shown)

    @property
    def among_failed(self) -> str:
        """Say that they are among the failed ones, for a page that asks before one call redelivers all of these."""
        if self.number == 1:
            return "1 of the failed deliveries is overtaken by a later event of the same resource."
        return f"{self.number} of the failed deliveries are overtaken by later events of the same resources."

    @property
    def words(self) -> str:
        """Say that a run leaves them out."""
        if self.in_log == 1:
            return "1 is left out: a later event of the same resource has overtaken it."
        return f"{self.in_log} are left out: later events of the same resources have overtaken them."

    @property
    def box(self) -> str:
        """The label of the box that chooses them."""
        if self.in_log == 1:
            return "Redeliver the overtaken one too: the handler gets it after the later event, and may undo that."
        return f"Redeliver the {self.in_log} overtaken ones too: the handler may undo what the later events did."


def shown(deliveries: Sequence[Delivery], *, by: Mapping[int, Other], now: datetime) -> Overtaken | None:
    """Return what a page shows of these overtaken deliveries; None if there is none. `by` is by their primary keys."""
    return _shown(deliveries[:SHOWN], by, in_log=len(deliveries), now=now) if deliveries else None


def failed_shown(endpoint: Endpoint, *, now: datetime) -> Overtaken | None:
    """Return what a page shows of the endpoint's failed deliveries that are overtaken; None if none is.

    Those count too that had failed before retention took them, because OpenTrain may still have them as failed.
    """
    by, gone = overtaken_failed(endpoint=endpoint), overtaken_gone(endpoint=endpoint)
    if not by and not gone:
        return None
    first = Delivery.objects.filter(pk__in=by).order_by("first_received_at", "id").defer("body")[:SHOWN]
    return _shown(list(first), by, in_log=len(by), gone=gone, now=now)


def why(delivery: Delivery, *, now: datetime) -> str:
    """Say what has overtaken the delivery, and what its redelivery may do; empty if nothing has."""
    by = overtaken(deliveries=[delivery]).get(delivery.pk)
    return "" if by is None else _sentence(delivery, by, now)


def _shown(
    first: Sequence[Delivery], by: Mapping[int, Other], *, in_log: int, gone: int = 0, now: datetime
) -> Overtaken:
    return Overtaken(in_log + gone, in_log, [(one, _sentence(one, by[one.pk], now)) for one in first])


def _sentence(delivery: Delivery, by: Other, now: datetime) -> str:
    return f"{overtaken_words(delivery.event_type, by, now=now)}."
