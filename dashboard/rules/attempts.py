"""What is recorded of an attempt: the event that was delivered, and what came of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dashboard.rules.causes import Cause, cause_of_answer
from dashboard.signatures import Verdict

Headers = list[list[str]]

BODY_LIMIT = 1024 * 1024
"""Bytes of a delivery's body that are taken; the contract's bodies are a few hundred."""
BODY_LIMIT_WORDS = f"{BODY_LIMIT // 1024**2} MiB"


class Source(StrEnum):
    """Who saw the attempt. Stored, so a value is never renamed."""

    RECEIVER = "receiver"
    OBSERVED = "observed"
    """The endpoint's own handler, which told us of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """What the log keeps of an event, as the delivery said it; empty where it did not say.

    A body is None where we were not told of it.
    """

    delivery_id: str
    event_id: str
    event_type: str
    resource_id: str
    body: bytes | None = field(repr=False)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """One attempt: when it came, what the handler answered (None without one), and what OpenTrain is answered."""

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

    @property
    def ok(self) -> bool:
        """Whether OpenTrain takes it for a success."""
        return cause_of_answer(status=self.answered_status) is Cause.NONE
