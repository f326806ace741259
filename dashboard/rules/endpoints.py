"""The health of an endpoint, from OpenTrain's status and its count of consecutive failures."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

AUTO_DISABLE_AT = 10
"""Consecutive failures at which OpenTrain disables an endpoint. A disabled endpoint with fewer was paused manually.

Source: partner-api, "Deliveries".
"""

AT_RISK_FROM = 7
"""Consecutive failures from which an endpoint is about to be disabled."""

_UNTIL = "deliveries are stopped until it is re-enabled."


class HealthKind(StrEnum):
    """The health of an endpoint. UNKNOWN is any status that Redeliver does not know, such as a newer one."""

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
    """A `HealthKind` for storing and sorting: lower is worse. Stored, so never change a value."""

    DISABLED = 1
    AT_RISK = 2
    FAILING = 3
    UNKNOWN = 4
    PAUSED = 5
    ACTIVE = 6


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """The endpoint's status, as OpenTrain last reported it."""

    status: str

    @property
    def attempts_anything(self) -> bool:
        """Whether OpenTrain attempts deliveries. True for an unknown status: missing attempts then show as overdue."""
        return self.status != "DISABLED"


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """An endpoint's health in words. `label` is the kind's name, or the status itself if it is unknown."""

    kind: HealthKind
    label: str
    words: str

    @property
    def severity(self) -> Severity:
        """Return the severity that lists sort by: lower is worse."""
        return Severity[self.kind.name]


DISCONNECTED = EndpointHealth(
    HealthKind.UNKNOWN, "Disconnected", "Its install is disconnected from Redeliver, so its state is not known."
)
"""The health of an endpoint whose install a person disconnected."""


def endpoint_health(*, status: str, consecutive_failures: int) -> EndpointHealth:
    """Return an endpoint's health from OpenTrain's status and its count of consecutive failures."""
    if status == "DISABLED":
        return _stopped(consecutive_failures=consecutive_failures)
    if status != "ACTIVE":
        words = "OpenTrain reports a status that Redeliver does not know." if status else "No status from OpenTrain."
        return EndpointHealth(HealthKind.UNKNOWN, status or HealthKind.UNKNOWN.label, words)
    if consecutive_failures <= 0:
        return _health(HealthKind.ACTIVE, "No consecutive failures.")
    left = AUTO_DISABLE_AT - consecutive_failures
    if left <= 0:
        words = f"{consecutive_failures} consecutive failures: OpenTrain disables an endpoint after {AUTO_DISABLE_AT}."
        return _health(HealthKind.AT_RISK, words)
    streak = f"{consecutive_failures} of {AUTO_DISABLE_AT} consecutive failures"
    if consecutive_failures < AT_RISK_FROM:
        return _health(HealthKind.FAILING, f"{streak}.")
    return _health(HealthKind.AT_RISK, f"{streak}: OpenTrain disables it after {left} more.")


def severity(*, status: str, consecutive_failures: int) -> Severity:
    """Return the severity that a row stores. `models.endpoints.severity_column` is the same rule in SQL."""
    return endpoint_health(status=status, consecutive_failures=consecutive_failures).severity


def unseen_words(*, counted: int, reached: int, reported: bool = False, routed: bool = False) -> str:
    """Say how many of OpenTrain's consecutive failures are missing from the log; empty if none is.

    With `reported`, the log holds what the endpoint's own handler reported, instead of what the receiver got. With
    `routed`, the endpoint was delivered directly before it was put behind the receiver, so failures may be from then.

    More failures in the log are no contradiction: re-enabling an endpoint resets OpenTrain's count to 0.
    """
    if counted <= reached:
        return ""
    failures = "1 failure" if counted == 1 else f"{counted} failures"
    if reported:
        return f"OpenTrain counts {failures}, the handler reported {reached or 'none'}: {counted - reached} missing."
    before = " or from before it was routed through Redeliver" if routed else ""
    return f"OpenTrain counts {failures}, {reached or 'none'} reached Redeliver: {counted - reached} missing{before}."


def _stopped(*, consecutive_failures: int) -> EndpointHealth:
    if consecutive_failures >= AUTO_DISABLE_AT:
        words = f"OpenTrain disabled it after {consecutive_failures} consecutive failures, so {_UNTIL}"
        return _health(HealthKind.DISABLED, words)
    return _health(HealthKind.PAUSED, f"Paused manually, so {_UNTIL}")


def _health(kind: HealthKind, words: str) -> EndpointHealth:
    return EndpointHealth(kind, kind.label, words)
