"""The report of an endpoint's trouble, or of its health. Pure: facts go in, words come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.rules.durations import exactly
from dashboard.rules.endpoints import EndpointHealth, HealthKind
from dashboard.rules.reports import Fact, Report, Subject, at, section

_STOPPED = "Nothing is attempted until the endpoint is re-enabled."
_WAITS = {
    HealthKind.DISABLED: _STOPPED,
    HealthKind.PAUSED: _STOPPED,
    HealthKind.UNKNOWN: "Whether they are attempted is not known.",
}


@dataclass(frozen=True, slots=True)
class CauseFacts:
    """Why deliveries failed, or requests were refused: a sentence with their number, and when they came."""

    words: str
    first_at: datetime
    last_at: datetime
    advice: str = ""


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """An endpoint as its report tells it.

    `disabled_at` and `reason` are OpenTrain's. `failed` is the number of failed deliveries in the log, None if the
    endpoint has no log; `retrying` and `requested` are those that are not delivered yet. `outcome` says what became of
    the last repair; `lost` what may be missing; `deeds` are times and sentences. `limits` say what the log cannot tell.
    """

    subject: Subject
    address: str
    health: EndpointHealth
    consecutive_failures: int
    failed: int | None
    event_types: Sequence[str] = ()
    disabled_at: datetime | None = None
    deleted_at: datetime | None = None
    synced_at: datetime | None = None
    reason: str = ""
    causes: Sequence[CauseFacts] = ()
    alerts: Sequence[tuple[datetime, str]] = ()
    deeds: Sequence[tuple[datetime, str]] = ()
    retrying: int = 0
    requested: int = 0
    outcome: str = ""
    lost: Sequence[str] = ()
    limits: Sequence[str] = ()


def endpoint_report(endpoint: EndpointFacts, *, now: datetime) -> Report:
    """Return the report of an endpoint, as of `now`."""
    reason = f"OpenTrain's reason: “{endpoint.reason}”" if endpoint.reason else ""
    return Report(
        title=f"{endpoint.subject.endpoint}: {endpoint.subject.customer}",
        headline=_headline(endpoint),
        facts=_facts(endpoint),
        sections=(
            *section("Cause", reason, *map(_cause, endpoint.causes)),
            *section("Open alerts", *(at(*alert) for alert in endpoint.alerts)),
            *section("Who did what", *(at(*deed) for deed in endpoint.deeds)),
            *section("Outcome", *_outcome(endpoint)),
            *section("What is missing or not known", *endpoint.lost, *_not_known(endpoint)),
        ),
        made_at=now,
    )


def _headline(endpoint: EndpointFacts) -> str:
    if endpoint.deleted_at is not None:
        return f"Deleted: OpenTrain no longer lists it. Noticed at {exactly(endpoint.deleted_at)}."
    since = "" if endpoint.disabled_at is None else f" since {exactly(endpoint.disabled_at)}, by OpenTrain's clock"
    said = f"{endpoint.health.label}{since}: {endpoint.health.words}"
    # "No consecutive failures" alone would say that all is well: re-enabling resets them, and sends nothing again.
    return " ".join([said, *(one for one in (_failed(endpoint), _waiting(endpoint)) if one), *endpoint.lost[:1]])


def _facts(endpoint: EndpointFacts) -> tuple[Fact, ...]:
    synced = "never" if endpoint.synced_at is None else exactly(endpoint.synced_at)
    return (
        *endpoint.subject.facts,
        Fact("Page", endpoint.address, is_code=True),
        Fact("Event types", ", ".join(endpoint.event_types) or "none"),
        Fact("Consecutive failures", str(endpoint.consecutive_failures)),
        Fact("Last synced with OpenTrain", synced),
    )


def _cause(cause: CauseFacts) -> str:
    times = f"from {exactly(cause.first_at)} to {exactly(cause.last_at)}"
    if cause.first_at == cause.last_at:
        times = f"at {exactly(cause.first_at)}"
    return f"{cause.words}, received {times}. {cause.advice}".strip()


def _outcome(endpoint: EndpointFacts) -> list[str]:
    if endpoint.failed is None:
        return [endpoint.outcome]
    return [endpoint.outcome, _failed(endpoint) or "No failed delivery is in the log.", _waiting(endpoint)]


def _failed(endpoint: EndpointFacts) -> str:
    """Say how many deliveries are failed; empty if none is, or if that is not known."""
    if not endpoint.failed:
        return ""
    are = "delivery in the log is" if endpoint.failed == 1 else "deliveries in the log are"
    return f"{endpoint.failed:,} {are} failed and not requested again."


def _waiting(endpoint: EndpointFacts) -> str:
    """Say how many deliveries are not delivered yet, and what they wait for; empty if none is."""
    count = endpoint.retrying + endpoint.requested
    if not count:
        return ""
    kinds = [(endpoint.retrying, "to be retried"), (endpoint.requested, "requested again")]
    what = ", ".join(f"{number:,} {words}" for number, words in kinds if number)
    are = "delivery in the log is" if count == 1 else "deliveries in the log are"
    said = f"{count:,} {are} not delivered yet: {what}."
    return f"{said} {_WAITS[endpoint.health.kind]}" if endpoint.health.kind in _WAITS else said


def _not_known(endpoint: EndpointFacts) -> list[str]:
    if endpoint.failed is None:
        return ["Redeliver does not see this endpoint's deliveries: OpenTrain knows which failed.", *endpoint.limits]
    return [*endpoint.limits, "OpenTrain may have failed deliveries that did not reach Redeliver."]
