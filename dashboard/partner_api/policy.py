"""Pure rules for the outcome of an attempt: no Django, HTTP or clock.

Source: partner-api, "Deliveries" and "Operations". Where those say nothing:
- The count of consecutive failures (the streak) changes only while the endpoint is ACTIVE. A response that arrives
  after it was disabled settles its own delivery (a 2xx is DELIVERED, because it was), but the count stays as the reason
  for disabling.
- During a pause PENDING deliveries wait; only automatic disabling turns them FAILED.
- If a delivery was requeued during an attempt, the attempt's outcome counts for the streak, but the delivery is still
  sent again.
- Attempt numbers continue across requeues; each requeue allows five more attempts. Redelivering a PENDING delivery
  makes it due now. On a DISABLED endpoint deliveries are requeued and wait, and the message says so.
- A delivery goes to the endpoint's URL at the time of the claim; a change of eventTypes affects later events only.
- Deleting an endpoint deletes its deliveries, even one in flight: its response then changes nothing.
- Re-enabling resets the streak to 0, so a single later failure never disables the endpoint again.
- Revoking a token stops its calls, not deliveries. Deliveries of a revoked install are attempted too, or its endpoints
  would never receive install.revoked.
"""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

RESPONSE_HEAD_BYTES = 1024
"""How much of a receiver's response is stored, in bytes."""


class Cause(StrEnum):
    """Why an attempt failed. STATUS means a response with a status other than 2xx."""

    STATUS = "status"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of one POST. `cause` is None for a success; `status` is None without a response.

    `detail` explains a cause to people: which address was denied, what is wrong with the certificate.
    """

    status: int | None
    cause: Cause | None
    response_head: bytes = b""
    detail: str = field(default="", compare=False)

    @property
    def ok(self) -> bool:
        return self.cause is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When to retry a delivery, and when to disable its endpoint."""

    retry_delays: tuple[timedelta, ...]
    disable_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The changes that an outcome makes to the delivery and its endpoint.

    `retry_in` is None if the delivery is settled: DELIVERED after a success, else FAILED.
    """

    delivered: bool
    retry_in: timedelta | None
    streak: int
    disable: bool


def answered(*, status: int, response_head: bytes = b"") -> Outcome:
    """Return the outcome of an attempt with a response: any 2xx is a success, every other status a failure."""
    ok = 200 <= status <= 299  # noqa: PLR2004 - the 2xx of HTTP
    return Outcome(status=status, cause=None if ok else Cause.STATUS, response_head=response_head)


def judge(*, outcome: Outcome, tries: int, streak: int, active: bool, rules: Rules) -> Verdict:
    """Judge one attempt.

    `tries` is the number of attempts since the delivery was created or last requeued, including this one. `streak` is
    the endpoint's count of consecutive failures before this attempt. `active` says whether the endpoint is ACTIVE now.
    """
    if outcome.ok:
        return Verdict(delivered=True, retry_in=None, streak=0 if active else streak, disable=False)
    grown = streak + 1 if active else streak
    disable = active and grown >= rules.disable_after
    retry_in = None if disable else next_delay(tries=tries, delays=rules.retry_delays)
    return Verdict(delivered=False, retry_in=retry_in, streak=grown, disable=disable)


def next_delay(*, tries: int, delays: tuple[timedelta, ...]) -> timedelta | None:
    """Return how long to wait after `tries` failed attempts; None after the last one."""
    return delays[tries - 1] if 1 <= tries <= len(delays) else None


def describe(outcome: Outcome, *, timeout: timedelta) -> str:
    """Describe the outcome of a failed attempt in words."""
    words = {
        Cause.TIMEOUT: f"no answer within {timeout.total_seconds():g} s",
        Cause.REFUSED: "connection refused",
        Cause.DNS: "the host name could not be resolved",
        Cause.TLS: "TLS handshake or certificate failed",
        Cause.CONNECTION: "the connection failed",
        Cause.DENIED: "the host has an address that deliveries may not go to",
    }
    return words[outcome.cause] if outcome.cause in words else f"HTTP {outcome.status}"  # noqa: SIM401 - None is no key


def disabled_reason(outcome: Outcome, *, streak: int, timeout: timedelta) -> str:
    """Return the reason of an endpoint that was disabled automatically."""
    return (
        f"Disabled automatically after {streak} consecutive failed delivery attempts. "
        f"The last one: {describe(outcome, timeout=timeout)}."
    )


PAUSED_REASON = "Paused through the API."


def requeue_message(*, active: bool, run_interval: timedelta) -> str:
    """Return the `message` of a redelivery. Source: the reference page's example, for an ACTIVE endpoint."""
    if active:
        return (
            f"Requeued deliveries will be attempted on the next delivery run (within ~{approximately(run_interval)})."
        )
    return (
        "Nothing is attempted while the endpoint is DISABLED. Re-enable it first (PATCH with status ACTIVE), "
        "then redeliver."
    )


def approximately(interval: timedelta) -> str:
    """Return a duration in words: in minutes (rounded up) from one minute up, in seconds below."""
    seconds = math.ceil(interval.total_seconds())
    count, unit = (seconds, "second") if seconds < 60 else (math.ceil(seconds / 60), "minute")  # noqa: PLR2004
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
