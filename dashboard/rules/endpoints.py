"""The health of an endpoint, from OpenTrain's status and counter."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

AUTO_DISABLE_AT = 10
"""Failures in a row after which OpenTrain disables an endpoint; with fewer it was paused.

Source: partner-api, "Deliveries".
"""

AT_RISK_FROM = 7
"""Failures in a row from which an endpoint is about to be disabled."""


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
    """A `HealthKind` as rows keep it and every list sorts by it: lower is worse. Stored: a value is never changed."""

    DISABLED = 1
    AT_RISK = 2
    FAILING = 3
    UNKNOWN = 4
    PAUSED = 5
    ACTIVE = 6


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What OpenTrain said of the endpoint last."""

    status: str

    @property
    def attempts_anything(self) -> bool:
        """A status that we do not know is not taken for a stop: then an attempt that does not come shows as overdue."""
        return self.status != "DISABLED"


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """`label` is the kind's name, or the status as it came where it is one that we do not know."""

    kind: HealthKind
    label: str
    words: str

    @property
    def severity(self) -> Severity:
        """Return the health's place in the order of every list: the lower, the worse."""
        return Severity[self.kind.name]


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
    return endpoint_health(status=status, consecutive_failures=consecutive_failures).severity


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
