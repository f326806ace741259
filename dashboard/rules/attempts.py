"""The record of an attempt: its event and its result."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from dashboard.rules.causes import Cause, cause_of_answer
from dashboard.signatures import Verdict

Headers = list[list[str]]

BODY_LIMIT = 1024 * 1024
"""Largest accepted body of a delivery, in bytes. Bodies in the contract have a few hundred."""
BODY_LIMIT_WORDS = f"{BODY_LIMIT // 1024**2} MiB"


class Source(StrEnum):
    """Who recorded the attempt. Stored, so never rename a value."""

    RECEIVER = "receiver"
    OBSERVED = "observed"
    """Reported by the endpoint's own handler."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as the log keeps it, from the delivery; fields missing there are empty.

    `body` is None if it was not reported.
    """

    delivery_id: str
    event_id: str
    event_type: str
    resource_id: str
    body: bytes | None = field(repr=False)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """One attempt: its arrival, the handler's response (status None without one), and the status OpenTrain got."""

    received_at: datetime
    request_headers: Headers
    answered_status: int
    cause: str
    handler_url: str
    handler_status: int | None
    latency_ms: int
    response_headers: Headers
    response_head: bytes = field(repr=False)
    source: str = Source.RECEIVER
    signature: str = Verdict.VERIFIED
    body_fault: str = ""
    """What was wrong with the body of the handler's response, where the status decided anyway."""
    answered_in_time: bool | None = None
    """Whether OpenTrain got the answer in time; None while that is not known."""

    @property
    def ok(self) -> bool:
        """Whether OpenTrain counts the attempt as a success, as far as that is known."""
        return cause_of_answer(status=self.answered_status) is Cause.NONE and self.answered_in_time is not False


def missed(*, why: Cause, cause: str, answered_status: int) -> dict[str, Any]:
    """Return the fields of an attempt that change because OpenTrain did not get the answer that the attempt has.

    `why` is GONE or UNKEPT; `cause` and `answered_status` are what the attempt has. One that failed keeps its cause.
    """
    if why is Cause.UNKEPT:
        return {"cause": cause or why.value, "answered_status": int(HTTPStatus.SERVICE_UNAVAILABLE)}
    return {"cause": cause or why.value, "answered_status": answered_status, "answered_in_time": False}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request. It has no field for a body, because unverified bodies are never stored."""

    received_at: datetime
    reason: str
    explanation: str
    answered_status: int
    claimed_delivery_id: str
    claimed_event_type: str
    request_headers: Headers
    body_size: int
    body_sha256: str


@dataclass(frozen=True, slots=True)
class RecordedAttempt:
    """One attempt on its way to the log. `id` names the attempt: the log keeps it once, however often it arrives."""

    id: uuid.UUID
    endpoint_id: int
    event: Event
    result: AttemptResult
