"""The sentences of an alert, from what its rows say at the moment: these words are kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from dashboard.config.schedule import schedule
from dashboard.models import Alert, Endpoint, Install
from dashboard.queries.alert_conditions import Wrong
from dashboard.queries.inbox import Logged, logged
from dashboard.rules.alert_messages import GONE, closing_words
from dashboard.rules.alerts import REFUSALS_WITHIN, AlertKind, Subject
from dashboard.rules.durations import clock, spelled
from dashboard.rules.endpoints import endpoint_health

_FROM_LOG = {AlertKind.DISABLED, AlertKind.AT_RISK}


def of(
    *,
    found: Sequence[Wrong],
    installs: Mapping[int, Install],
    endpoints: Mapping[int, Endpoint],
    now: datetime,
) -> dict[Subject, list[str]]:
    """Return what each alert says: what happened, what it means, as far as the log tells why."""
    logs = _logs([one.subject for one in found], now=now)
    said = {}
    for one in found:
        endpoint = endpoints.get(one.subject.endpoint_id or 0)
        if endpoint is None:
            said[one.subject] = [installs[one.subject.install_id].trouble_words]
        else:
            said[one.subject] = _of_endpoint(one, endpoint, logs.get(endpoint.pk), now=now)
    return said


def ending(alert: Alert, endpoint: Endpoint | None) -> str:
    """Say what ended an alert, and what its endpoint is now."""
    is_gone = endpoint is not None and endpoint.deleted_at is not None
    return closing_words(kind=alert.subject.kind, is_gone=is_gone, now_says=now_says(endpoint))


def now_says(endpoint: Endpoint | None) -> str:
    """Say what an endpoint is now."""
    if endpoint is None:
        return ""
    if endpoint.deleted_at is not None:
        return GONE
    health = endpoint_health(status=endpoint.status, consecutive_failures=endpoint.consecutive_failures)
    return f"Now it is {health.label}: {health.words}"


def _logs(subjects: Sequence[Subject], *, now: datetime) -> dict[int, Logged]:
    ids = [one.endpoint_id for one in subjects if one.kind in _FROM_LOG and one.endpoint_id is not None]
    return logged(endpoint_ids=ids, retried_since=now - schedule().retry_span) if ids else {}


def _of_endpoint(one: Wrong, endpoint: Endpoint, log: Logged | None, *, now: datetime) -> list[str]:
    many = "1 delivery" if one.count == 1 else f"{one.count:,} deliveries"
    match one.subject.kind:
        case AlertKind.CANARY_FAILED:
            return [one.said]
        case AlertKind.OVERDUE:
            return [
                f"{many} should have been attempted again by now, the first by {_clock(one.since, now)}.",
                "OpenTrain is late, or its attempts do not reach Redeliver.",
            ]
        case AlertKind.SIGNATURES:
            within = spelled(duration=REFUSALS_WITHIN)
            requests = "1 request" if one.count == 1 else f"{one.count:,} requests"
            return [
                f"Redeliver turned away {requests} in {within}, the first at {_clock(one.since, now)}: {one.said}",
                "Open the endpoint and examine one: the signature doctor says why.",
            ]
        case _:
            health = endpoint_health(status=endpoint.status, consecutive_failures=endpoint.consecutive_failures)
            return [health.words, *(log.words(now=now) if log is not None else [])]


def _clock(moment: datetime | None, now: datetime) -> str:
    return "—" if moment is None else clock(then=moment, now=now)
