"""What happens after an attempt: pure rules, without Django, HTTP or a clock.

Source: partner-api, "Deliveries" and "Operations". Where those are silent:
- The streak of consecutive failures moves only while the endpoint is ACTIVE. An answer that comes after it was disabled
  settles its own delivery (a 2xx is DELIVERED, because it is true), but the counter stays as the reason for disabling.
- A pause keeps PENDING deliveries waiting; only the automatic disabling turns them FAILED.
- An answer to a delivery that was requeued meanwhile counts for the streak, but the requeue is honoured: it is sent
  again.
- Attempts are numbered on over all rounds; a requeue gives five anew. Redelivering what is PENDING makes it due now;
  while DISABLED everything is requeued, waits, and the message says so.
- A delivery goes to the URL that the endpoint has when it is claimed; a change of eventTypes is for later events only.
- Deleting an endpoint deletes its deliveries, also one in flight: its answer finds nothing to settle.
- Re-enabling begins the streak at 0, so one failure after it never disables again.
- A revoked token ends calls, not deliveries; those of a revoked install are attempted too, or nobody would hear of it.
"""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

RESPONSE_HEAD_BYTES = 1024
"""How much of a receiver's answer is kept, in bytes."""


class Cause(StrEnum):
    """Why an attempt failed; STATUS means that an answer came, with a status other than 2xx."""

    STATUS = "status"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one POST came to. `cause` is None for a success; `status` is None when no answer came.

    `detail` says more about a cause, for people who look for it: which address, what is wrong with the certificate.
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
    """When to try again, and when to give up."""

    retry_delays: tuple[timedelta, ...]
    disable_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of the delivery and of its endpoint.

    `retry_in` is None when the delivery is settled: DELIVERED after a success, else FAILED.
    """

    delivered: bool
    retry_in: timedelta | None
    streak: int
    disable: bool


def answered(*, status: int, response_head: bytes = b"") -> Outcome:
    """Return the outcome of an attempt that was answered: any 2xx is a success, everything else fails alike."""
    ok = 200 <= status <= 299  # noqa: PLR2004 - the 2xx of HTTP
    return Outcome(status=status, cause=None if ok else Cause.STATUS, response_head=response_head)


def judge(*, outcome: Outcome, tries: int, streak: int, active: bool, rules: Rules) -> Verdict:
    """Judge one attempt.

    `tries` counts the attempts since the delivery was created or last requeued, this one included; `streak` is the
    endpoint's counter before it; `active` says whether the endpoint still is.
    """
    if outcome.ok:
        return Verdict(delivered=True, retry_in=None, streak=0 if active else streak, disable=False)
    grown = streak + 1 if active else streak
    disable = active and grown >= rules.disable_after
    retry_in = None if disable else next_delay(tries=tries, delays=rules.retry_delays)
    return Verdict(delivered=False, retry_in=retry_in, streak=grown, disable=disable)


def next_delay(*, tries: int, delays: tuple[timedelta, ...]) -> timedelta | None:
    """Return how long to wait after `tries` failed attempts, None when that was the last one."""
    return delays[tries - 1] if 1 <= tries <= len(delays) else None


def describe(outcome: Outcome, *, timeout: timedelta) -> str:
    """Say in words what a failed attempt came to."""
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
    """Say why an endpoint was disabled by itself."""
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
    """Word a duration: whole minutes from a minute on (rounded up), seconds below."""
    seconds = math.ceil(interval.total_seconds())
    count, unit = (seconds, "second") if seconds < 60 else (math.ceil(seconds / 60), "minute")  # noqa: PLR2004
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
