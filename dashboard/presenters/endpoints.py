"""An endpoint's state beyond its status, in the same words for the inbox and the endpoint's page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.models import Endpoint, Silence
from dashboard.presenters.rows import DeliveryRow
from dashboard.rules.alerts import WORST_FIRST, AlertKind
from dashboard.rules.deliveries import StateKind
from dashboard.rules.endpoints import unseen_words
from dashboard.rules.silence import RHYTHMS, silence_words

_WAITING = {
    StateKind.RETRYING: "retrying",
    StateKind.OVERDUE: "retrying, next attempt overdue",
    StateKind.REQUESTED_AGAIN: "",
}
RETRIED = frozenset({StateKind.RETRYING, StateKind.OVERDUE})
"""States of deliveries that OpenTrain attempts again automatically."""
_RHYTHMS = {rhythm.name: rhythm for rhythm in RHYTHMS}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deliveries waiting for an attempt for the same reason; `state` is the filter that lists them."""

    count: int
    words: str
    state: str


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An open alert of an endpoint: its kind, its words, and when it opened."""

    kind: AlertKind
    words: str
    opened_at: datetime


def open_alerts_of(endpoint: Endpoint) -> list[OpenAlert]:
    """Return the open alerts of an endpoint from `with_open_alerts`, worst first."""
    found: list[dict[str, str]] = getattr(endpoint, "open_alerts")  # noqa: B009 - annotated; a missing one is a mistake
    alerts = [
        OpenAlert(AlertKind(one["kind"]), one["words"], datetime.fromisoformat(one["opened_at"])) for one in found
    ]
    return sorted(alerts, key=lambda alert: WORST_FIRST.index(alert.kind))


def silence_of(endpoint: Endpoint, *, newest_at: datetime | None) -> Silence | None:
    """Return the endpoint's silence; None if there is none or a delivery has ended it."""
    silence: Silence | None = getattr(endpoint, "silence", None)
    return silence if silence is not None and newest_at is not None and newest_at <= silence.last_at else None


def silence_reason(silence: Silence | None, *, now: datetime) -> str:
    """Return the silence in words; empty if there is none."""
    if silence is None or silence.rhythm not in _RHYTHMS:
        return ""
    return silence_words(rhythm=_RHYTHMS[silence.rhythm], last_at=silence.last_at, now=now)


def told_words(endpoint: Endpoint, *, reached: int | None) -> str:
    """Say how many of OpenTrain's failures are missing from the log; empty if none is or if it is unknown."""
    if reached is None or not endpoint.is_logged:
        return ""
    return unseen_words(
        counted=endpoint.consecutive_failures,
        reached=reached,
        reported=not endpoint.is_received,
        routed=endpoint.routed_at is not None,
    )


def waiting_of(deliveries: Sequence[DeliveryRow], *, stopped: bool, more: bool) -> list[Waiting]:
    """Count the newest deliveries that wait for an attempt, by state and last result.

    `stopped`: the endpoint's deliveries are stopped. `more`: it has older deliveries.
    """
    of = f" of the newest {len(deliveries)}" if more else ""
    groups = Counter((row.state.kind, row.last_answer) for row in deliveries if row.state.kind in _WAITING)
    again = sum(count for (kind, _answer), count in groups.items() if kind is StateKind.REQUESTED_AGAIN)
    until = "until it is re-enabled" if stopped else "for the next delivery run"
    waits = _WAITING | ({StateKind.RETRYING: f"waiting {until}"} if stopped else {})
    found = [
        Waiting(count, f"{of} {_deliveries(count, more=more)} {waits[kind]}: {answer}", kind)
        for (kind, answer), count in groups.most_common()
        if kind is not StateKind.REQUESTED_AGAIN
    ]
    if again:
        what = _deliveries(again, more=more)
        found.append(Waiting(again, f"{of} {what} requested again, waiting {until}", StateKind.REQUESTED_AGAIN))
    return found


def _deliveries(count: int, *, more: bool) -> str:
    return "delivery" if count == 1 and not more else "deliveries"
