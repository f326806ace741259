"""Pure rules: the state of a delivery, the health of an endpoint, the cause of a failure in words.

Facts and the time go in, frozen values come out: no rows, no clock, no settings. What OpenTrain does with a failed
delivery is a `Schedule`, so that the same rules fit its own pace (minutes) and the demo's (seconds).

Source: partner-api, "Deliveries"; the words and thresholds are those of every page.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

AUTO_DISABLE_AT = 10
"""Failures in a row after which OpenTrain disables an endpoint."""
AT_RISK_FROM = 7
GRACE = timedelta(minutes=1)
"""How much later than the latest expected moment an attempt may come before it is called overdue."""


class StateKind(StrEnum):
    """What a delivery is, as far as we saw it. The one name that every page uses is its `label`."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    REQUESTED_AGAIN = "requested_again"
    OVERDUE = "overdue"
    FAILED = "failed"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ").capitalize()


class Standing(IntEnum):
    """What a delivery is whatever the time and whatever its endpoint does: what its row can keep, and lists filter by.

    Stored, so a value is never changed. `state_kind` makes a `StateKind` of it.
    """

    DELIVERED = 1
    RETRYING = 2
    FAILED = 3
    REQUESTED_AGAIN = 4


class HealthKind(StrEnum):
    """What an endpoint is. UNKNOWN stands for a status that OpenTrain did not have when this was written."""

    ACTIVE = "active"
    FAILING = "failing"
    AT_RISK = "at_risk"
    DISABLED = "disabled"
    PAUSED = "paused"
    UNKNOWN = "unknown"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ").capitalize()


class Severity(IntEnum):
    """A `HealthKind` as rows keep it and lists sort by it: the lower, the worse. Stored: a value is never changed."""

    DISABLED = 1
    AT_RISK = 2
    FAILING = 3
    UNKNOWN = 4
    PAUSED = 5
    ACTIVE = 6


class Trouble(StrEnum):
    """Why OpenTrain's last answer for an install was none that helps. Stored, so a value is never renamed."""

    NONE = ""
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason
    TOKEN_UNREADABLE = "token_unreadable"  # noqa: S105 - a reason
    SCOPE_MISSING = "scope_missing"
    NOT_ACTIVE = "not_active"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    BAD_ANSWER = "bad_answer"


NEEDS_PERSON = frozenset(
    {
        Trouble.TOKEN_REFUSED,
        Trouble.TOKEN_UNREADABLE,
        Trouble.SCOPE_MISSING,
        Trouble.NOT_ACTIVE,
        Trouble.FORBIDDEN,
        Trouble.BAD_ANSWER,
    }
)
"""What does not pass by itself, however often OpenTrain is asked."""


class Cause(StrEnum):
    """Why an attempt failed. Stored with the attempt, so a value is never renamed."""

    NONE = ""
    STATUS = "status"
    """The handler answered, and not with a 2xx."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"
    GARBLED = "garbled"
    CUT_OFF = "cut_off"
    TOO_LARGE = "too_large"
    ADDRESS = "address"
    DENIED = "denied"
    """The handler's address is not a public one."""
    BUSY = "busy"
    """The handler was not called, because too many calls were waiting for handlers already."""


_CAUSE_WORDS = {
    Cause.TIMEOUT: "no answer from your handler within 9.5 s",
    Cause.REFUSED: "connection refused by your handler",
    Cause.DNS: "your handler's name was not found (DNS)",
    Cause.TLS: "TLS failed: no secure connection to your handler",
    Cause.CONNECTION: "the connection to your handler broke",
    Cause.GARBLED: "your handler's answer was not HTTP",
    Cause.CUT_OFF: "your handler's answer was cut off",
    Cause.TOO_LARGE: "your handler's answer was too large",
    Cause.ADDRESS: "your handler's address cannot be called",
    Cause.DENIED: (
        "your handler's address is not a public one; give it a public address, or allow private ones "
        "(HANDLER_PRIVATE_ADDRESSES)"
    ),
    Cause.BUSY: "your handler was not called: too many earlier calls were still waiting for its answer",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long OpenTrain waits after each failed attempt, and how often its delivery run looks for what is due."""

    retry_delays: tuple[timedelta, ...]
    run_interval: timedelta

    @property
    def attempts(self) -> int:
        """How many attempts a delivery gets in all before it is FAILED."""
        return len(self.retry_delays) + 1


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """What the log knows of one delivery; the fields of the row of the same names."""

    last_ok: bool
    attempts_in_round: int
    last_attempt_at: datetime
    requested_at: datetime | None = None
    abandoned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What OpenTrain said of the endpoint last."""

    status: str

    @property
    def attempts_anything(self) -> bool:
        """A status that we do not know is not taken for a stop: then an attempt that does not come shows as overdue."""
        return self.status != "DISABLED"


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """`next_due` is the earliest moment of the next attempt, if one is to come; `since` is when this state began."""

    kind: StateKind
    words: str
    next_due: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """`label` is the kind's name, or the status as it came where it is one that we do not know."""

    kind: HealthKind
    label: str
    words: str


def standing(*, facts: DeliveryFacts, schedule: Schedule) -> Standing:
    """Say what a delivery is, as far as its row alone can tell."""
    if facts.requested_at is not None:
        return Standing.REQUESTED_AGAIN
    if facts.last_ok:
        return Standing.DELIVERED
    if facts.abandoned_at is not None or facts.attempts_in_round >= schedule.attempts:
        return Standing.FAILED
    return Standing.RETRYING


def due_by(*, facts: DeliveryFacts, schedule: Schedule) -> datetime | None:
    """Return the moment after which the next attempt is overdue; None where none is to come."""
    latest = _latest(facts=facts, schedule=schedule)
    return None if latest is None else latest + GRACE


def due_from(*, due_by: datetime, schedule: Schedule) -> datetime:
    """Return the earliest moment of the attempt that is overdue after `due_by`."""
    return due_by - GRACE - schedule.run_interval


def state_kind(*, standing: Standing, due_by: datetime | None, endpoint: EndpointFacts, now: datetime) -> StateKind:
    """Name a delivery's state from what its row keeps; `delivery_state` says the same with its words.

    The same rule in SQL is in `queries.delivery_list_sql`; a test holds the two together.
    """
    if due_by is not None and now > due_by and endpoint.attempts_anything:
        return StateKind.OVERDUE
    return StateKind[standing.name]


def delivery_state(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    """Say what became of a delivery and when it is attempted next."""
    what = standing(facts=facts, schedule=schedule)
    if what is Standing.REQUESTED_AGAIN:
        return _requested_again(facts=facts, endpoint=endpoint, now=now, schedule=schedule)
    if what is Standing.RETRYING:
        return _awaiting_retry(facts=facts, endpoint=endpoint, now=now, schedule=schedule)
    last = ago(then=facts.last_attempt_at, now=now)
    if what is Standing.DELIVERED:
        return DeliveryState(StateKind.DELIVERED, f"Delivered {last}.", since=facts.last_attempt_at)
    if facts.abandoned_at is not None:
        words = "OpenTrain gave it up when the endpoint was disabled or deleted, and will not try again by itself."
        return DeliveryState(StateKind.FAILED, words, since=facts.abandoned_at)
    words = f"{schedule.attempts} attempts failed, the last {last}. OpenTrain will not try again by itself."
    return DeliveryState(StateKind.FAILED, words, since=facts.last_attempt_at)


def _earliest(*, facts: DeliveryFacts, schedule: Schedule) -> datetime | None:
    """Return the earliest moment of the next attempt, if one is to come."""
    what = standing(facts=facts, schedule=schedule)
    if what is Standing.REQUESTED_AGAIN:
        return facts.requested_at
    if what is Standing.RETRYING:
        return facts.last_attempt_at + schedule.retry_delays[max(facts.attempts_in_round, 1) - 1]
    return None


def _latest(*, facts: DeliveryFacts, schedule: Schedule) -> datetime | None:
    earliest = _earliest(facts=facts, schedule=schedule)
    return None if earliest is None else earliest + schedule.run_interval


def _requested_again(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    requested_at = facts.requested_at or now
    asked = f"Requested again {ago(then=requested_at, now=now)}"
    if not endpoint.attempts_anything:
        words = f"{asked}; nothing is attempted until the endpoint is re-enabled."
        return DeliveryState(StateKind.REQUESTED_AGAIN, words, since=requested_at)
    latest = requested_at + schedule.run_interval
    if now > latest + GRACE:
        words = f"{asked} and not seen yet; it was expected {ago(then=latest, now=now)} at the latest."
        return DeliveryState(StateKind.OVERDUE, words, next_due=requested_at, since=latest)
    words = f"{asked}; expected {_within(earliest=requested_at, latest=latest, now=now)}."
    return DeliveryState(StateKind.REQUESTED_AGAIN, words, next_due=requested_at, since=requested_at)


def _awaiting_retry(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    attempt = max(facts.attempts_in_round, 1)
    failed = f"Attempt {attempt} of {schedule.attempts} failed"
    if not endpoint.attempts_anything:
        words = f"{failed}; nothing is attempted until the endpoint is re-enabled."
        return DeliveryState(StateKind.RETRYING, words, since=facts.last_attempt_at)
    due = facts.last_attempt_at + schedule.retry_delays[attempt - 1]
    latest = due + schedule.run_interval
    if now > latest + GRACE:
        words = f"{failed}; the next did not come. It was expected {ago(then=latest, now=now)} at the latest."
        return DeliveryState(StateKind.OVERDUE, words, next_due=due, since=latest)
    words = f"{failed}; next {_within(earliest=due, latest=latest, now=now)}."
    return DeliveryState(StateKind.RETRYING, words, next_due=due, since=facts.last_attempt_at)


def endpoint_health(*, status: str, consecutive_failures: int) -> EndpointHealth:
    """Name an endpoint's health from OpenTrain's own status and counter."""
    if status == "DISABLED":
        return _stopped(consecutive_failures=consecutive_failures)
    if status != "ACTIVE":
        words = (
            "OpenTrain reports a status that Redeliver does not know." if status else "OpenTrain gave no status yet."
        )
        return EndpointHealth(HealthKind.UNKNOWN, status or HealthKind.UNKNOWN.label, words)
    if consecutive_failures <= 0:
        return _health(HealthKind.ACTIVE, "The last delivery succeeded, or none has failed yet.")
    left = AUTO_DISABLE_AT - consecutive_failures
    if left <= 0:
        words = f"{consecutive_failures} failures in a row: OpenTrain disables an endpoint after {AUTO_DISABLE_AT}."
        return _health(HealthKind.AT_RISK, words)
    streak = f"{consecutive_failures} of {AUTO_DISABLE_AT} failures in a row"
    if consecutive_failures < AT_RISK_FROM:
        return _health(HealthKind.FAILING, f"{streak}.")
    return _health(HealthKind.AT_RISK, f"{streak}: {left} more, and OpenTrain disables it.")


def severity(*, status: str, consecutive_failures: int) -> Severity:
    """Return what a row keeps of an endpoint's health. The same rule in SQL is `models.endpoints.severity_column`."""
    return Severity[endpoint_health(status=status, consecutive_failures=consecutive_failures).kind.name]


def unseen_words(*, counted: int, reached: int, reported: bool = False) -> str:
    """Compare OpenTrain's failures in a row with those that reached us; empty where they agree.

    With `reported` they did not come to us: the endpoint's own handler told of them.

    More that reached us is no contradiction: OpenTrain counts from 0 again when somebody re-enables the endpoint.
    """
    if counted <= reached:
        return ""
    failures = "1 failure" if counted == 1 else f"{counted} failures"
    if reported:
        return f"OpenTrain counts {failures}, its handler reported {reached or 'none'}: {counted - reached} untold."
    return f"OpenTrain counts {failures}, {reached or 'none'} reached us: {counted - reached} never got here."


def _stopped(*, consecutive_failures: int) -> EndpointHealth:
    if consecutive_failures >= AUTO_DISABLE_AT:
        words = f"OpenTrain disabled it after {consecutive_failures} failures in a row. Nothing is attempted."
        return _health(HealthKind.DISABLED, words)
    return _health(HealthKind.PAUSED, "It was paused by somebody. Nothing is attempted until it is re-enabled.")


def _health(kind: HealthKind, words: str) -> EndpointHealth:
    return EndpointHealth(kind, kind.label, words)


def describe_cause(*, cause: str, status: int | None) -> str:
    """Say in plain words how an attempt ended. `status` is the handler's, or what the receiver answered without one.

    A cause that is not known here is shown as it came.
    """
    if cause == Cause.NONE:
        return "delivered" if status is None else f"delivered ({status})"
    if cause == Cause.STATUS:
        return "an error from your handler" if status is None else f"{status} from your handler"
    return _CAUSE_WORDS[Cause(cause)] if cause in _CAUSE_WORDS else cause


_ADVICE = {
    Cause.TIMEOUT: "Answer first and work afterwards: OpenTrain waits 10 s and no longer.",
    Cause.REFUSED: "Nothing listens at the handler's address: see whether it runs.",
    Cause.DNS: "Check the host name in the handler's address, and its DNS entry.",
    Cause.TLS: "Check the handler's certificate: its name, its dates and its chain.",
    Cause.CONNECTION: "See what closes connections in front of the handler: a proxy, a restart, a firewall.",
    Cause.GARBLED: "See what else listens at the handler's address: it does not speak HTTP.",
    Cause.CUT_OFF: "See what ends the handler before its answer is out: a crash, a restart, a proxy.",
    Cause.TOO_LARGE: "Answer with a short body, or with none.",
    Cause.ADDRESS: "Give the handler an address that may be called from here.",
}
_ADVICE_BY_STATUS = (
    (300, 399, "Redirects are not followed: use the address that it redirects to."),
    (401, 403, "The handler turned it away: check its signature check and whatever asks for a login before it."),
    (404, 404, "Nothing is at that path: check the handler's address."),
    (410, 410, "Nothing is at that path any more: check the handler's address."),
    (429, 429, "The handler has too much to do: answer first and work afterwards."),
    (400, 499, "The handler would not take it: its own log says why."),
    (500, 599, "The handler failed: look into its log at these times."),
)


def advise(*, cause: str, status: int | None) -> str:
    """Say what to do about a cause; empty where nothing is known that helps."""
    if cause == Cause.STATUS and status is not None:
        return next((words for first, last, words in _ADVICE_BY_STATUS if first <= status <= last), "")
    return _ADVICE[Cause(cause)] if cause in _ADVICE else ""


def ago(*, then: datetime, now: datetime) -> str:
    """Return "14 min ago"; "just now" for less than a second and for a clock that is a little ahead of ours."""
    passed = now - then
    return "just now" if passed < timedelta(seconds=1) else f"{span(duration=passed)} ago"


def span(*, duration: timedelta) -> str:
    """Return a length of time in its largest fitting unit, rounded down: "45 s", "14 min", "5 h", "3 days"."""
    seconds = max(int(duration.total_seconds()), 0)
    for size, unit in ((172_800, "days"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'h': 3600, 'min': 60}[unit]} {unit}"
    return f"{seconds} s"


def _within(*, earliest: datetime, latest: datetime, now: datetime) -> str:
    """Say when something comes that is due at `earliest` and done by the delivery run until `latest`."""
    if now >= latest:
        return "any moment now"
    if now >= earliest:
        return f"within {span(duration=latest - now)}"
    first, last = span(duration=earliest - now), span(duration=latest - now)
    return f"in about {first}" if first == last else f"in {first} to {last}"
