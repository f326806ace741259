"""Pure rules: which events may be handed over, what keeps one from being sent, and what came of it, in words.

An event is built from OpenTrain's reads only where it is missing, or may be. It is sent only where it is proven
missing, or where the handler took the end of a contract before its start: then the end is sent again. A
`contract.started` is never built of a contract that has ended, or may have: it would give access back.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dashboard.rules.durations import clock
from dashboard.rules.reconciliation import Event, Kind, Verdict

SLUGS = {event: event.value.partition(".")[2] for event in Event}
"""Events in addresses: "started" and "ended"."""
EVENTS = {slug: event for event, slug in SLUGS.items()}
FAILURES_IN_A_ROW = 3
"""Failures after which the rest of a selection is not sent."""
AT_ONCE = 100
"""Most events of one selection."""
BOTH = "If OpenTrain's own delivery comes later, the handler sees both."

_SENT = {Kind.MISSING, Kind.REFUSED, Kind.OUT_OF_ORDER}
_BUILT = {*_SENT, Kind.NOT_SEEN_YET, Kind.NOT_KNOWN, Kind.TAKEN_IN_PART}
_FAILED = "OpenTrain has a delivery of this event, and it is in the log. Redeliver that one instead."
_NOT_BUILT = {
    Kind.NOT_DUE: "OpenTrain deleted the endpoint before this event happened, so none is due.",
    Kind.TAKEN: "The handler took this event. There is nothing to hand over.",
    Kind.RETRYING: "OpenTrain is still delivering this event. There is nothing to hand over yet.",
    Kind.REQUESTED: "A redelivery of this event is requested. There is nothing to hand over yet.",
    Kind.FAILED: _FAILED,
}
_NOT_SENT = {
    Kind.TAKEN_IN_PART: "The handler took this event for at least one project link. Of the others it is not known.",
    Kind.NOT_KNOWN: "Redeliver does not know whether the handler took this event, so it does not send it.",
}
_NOT_IN_LOG = (
    "A receiver holds attempts that are not in the log yet, and the event may be among them. Wait for them first."
)
_NOT_ENDED = "The contract has not ended, so there is no such event."
_NO_STATUS = "OpenTrain says a status of this contract that Redeliver does not know, so the event is not built."
_NO_LINK = "No project link is known for this contract, so the event cannot be built. OpenTrain sends none either."
ENDED_ALREADY = "This contract has ended, or may have, so its start is not handed over: it would give access back."
NOT_ALLOWED = "Sending is not allowed for this endpoint. A partner admin of the install can allow it."


class Result(StrEnum):
    """What came of an event that was to be sent. Stored, so never change a value."""

    WAITING = ""
    OK = "ok"
    FAILED = "failed"
    """The handler refused it, or was certainly not reached."""
    UNKNOWN = "unknown"
    """The handler may have taken it."""
    NOT_SENT = "not_sent"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Result.WAITING: "Sending",
    Result.OK: "Handed over",
    Result.FAILED: "Failed",
    Result.UNKNOWN: "Not known",
    Result.NOT_SENT: "Not sent",
}


@dataclass(frozen=True, slots=True)
class ContractState:
    """The contract, as far as a hand-over depends on it. `has_ended_event`: one is in the log, taken or not."""

    status: str
    end_date: datetime | None
    is_gone: bool
    has_ended_event: bool
    ids_are_whole: bool
    has_link: bool


@dataclass(frozen=True, slots=True)
class HandlerState:
    """The endpoint and its handler, as far as a hand-over depends on it.

    `leads_back`: the handler's URL is an address of a receiver of ours.
    """

    is_deleted: bool
    is_active: bool
    event_types: frozenset[str]
    has_secret: bool
    has_url: bool
    leads_back: bool
    hands_over: bool
    is_disconnected: bool = False


def why_not_built(*, event: Event, verdict: Verdict, contract: ContractState, now: datetime) -> str:
    """Return why the event is not built, in words; empty if it may be."""
    starts, ends = event is Event.STARTED, event is Event.ENDED
    return _first(
        (not contract.ids_are_whole, "OpenTrain's ID of this contract is too long for Redeliver to build the event."),
        (starts and _has_ended(contract, now=now), ENDED_ALREADY),
        (ends and contract.status == "active", _NOT_ENDED),
        (contract.status != ("active" if starts else "ended"), _NO_STATUS),
        (verdict.kind not in _BUILT, _NOT_BUILT.get(verdict.kind, "")),
        (not contract.has_link, _NO_LINK),
    )


def why_not_sent(
    *, event: Event, verdict: Verdict, endpoint: HandlerState, contract: ContractState, now: datetime
) -> str:
    """Return why an event that may be built may not be sent, in words; empty if it may.

    The opt-in comes last: only where nothing else is in the way does it help to ask for it.
    """
    until = f" until {clock(then=verdict.until, now=now)}" if verdict.until else ""
    return _first(
        (endpoint.is_disconnected, "This install is disconnected from Redeliver. Connect it again first."),
        (endpoint.is_deleted, "OpenTrain no longer has this endpoint."),
        (
            verdict.kind is Kind.NOT_SEEN_YET,
            f"OpenTrain's own delivery may still come{until}. Wait for it before you send the event.",
        ),
        (verdict.is_log_behind, _NOT_IN_LOG),
        (verdict.kind not in _SENT, _NOT_SENT.get(verdict.kind, "")),
        (
            contract.is_gone,
            "OpenTrain no longer lists this contract, so it cannot be checked before the event is sent.",
        ),
        (event.value not in endpoint.event_types, f"This endpoint does not subscribe to {event.value}."),
        (not endpoint.is_active, "The endpoint is paused or disabled. Re-enable it first."),
        (not endpoint.has_url, "Redeliver does not know the handler's URL."),
        (endpoint.leads_back, "The handler's URL is an address of Redeliver's receiver: the event would come back."),
        (
            not endpoint.has_secret,
            "Redeliver does not have this endpoint's signing secret, so it cannot sign the event.",
        ),
        (not endpoint.hands_over, NOT_ALLOWED),
    )


def _first(*obstacles: tuple[bool, str]) -> str:
    return next((words for is_so, words in obstacles if is_so), "")


def _has_ended(contract: ContractState, *, now: datetime) -> bool:
    """Return whether it has ended or may have: as OpenTrain says, by its date, or because the log has its end."""
    if contract.status == "ended" or contract.has_ended_event:
        return True
    return contract.end_date is not None and contract.end_date <= now
