"""The sentences of an alert, from the state of its rows when it opens or closes. The words are stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.config.schedule import reconcile_every, schedule
from dashboard.models import Alert, Endpoint, Install
from dashboard.queries import lost_window
from dashboard.queries.alert_conditions import Wrong
from dashboard.queries.inbox import Logged, logged
from dashboard.queries.lost_window import Span, since_stopped
from dashboard.queries.siblings import Window, siblings_of
from dashboard.rules import run_endings
from dashboard.rules.alert_messages import GONE, SAID_CHARS, End, closing_words, how_it_ends, plain
from dashboard.rules.alerts import REFUSALS_WITHIN, AlertKind, Subject
from dashboard.rules.durations import clock, spelled
from dashboard.rules.endpoints import endpoint_health
from dashboard.rules.lost_window import Stop
from dashboard.rules.may_be_missing import Siblings, is_proven, window_words
from dashboard.rules.run_endings import Ending

_FROM_LOG = {AlertKind.DISABLED, AlertKind.AT_RISK}


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one alert: the problem, its rows, and the log of its endpoint."""

    wrong: Wrong
    install: Install | None
    endpoint: Endpoint | None
    log: Logged | None
    now: datetime


def of(
    *,
    found: Sequence[Wrong],
    installs: Mapping[int, Install],
    endpoints: Mapping[int, Endpoint],
    now: datetime,
) -> dict[Subject, list[str]]:
    """Return the sentences of each alert: what happened, what it means, and why, if the log shows it."""
    logs = _logs([one.subject for one in found], now=now)
    return {
        one.subject: SENTENCES[one.subject.kind](
            Facts(
                wrong=one,
                install=installs.get(one.subject.install_id or 0),
                endpoint=endpoints.get(one.subject.endpoint_id or 0),
                log=logs.get(one.subject.endpoint_id or 0),
                now=now,
            )
        )
        for one in found
    }


def endings(alerts: Sequence[Alert], endpoints: Mapping[int, Endpoint], *, now: datetime) -> list[tuple[End, str]]:
    """Say of each alert how it ended, what ended it, and the current state of its endpoint.

    After a disable, also of which time events may be missing: active again does not mean that nothing was lost.
    """
    missing, gone = _missing(alerts, endpoints, now=now), left(alerts)
    return [
        _ending(
            one,
            endpoints.get(one.endpoint_id or 0),
            is_left=one.install_id in gone,
            missing=missing.get(one.pk, ""),
        )
        for one in alerts
    ]


def left(alerts: Sequence[Alert]) -> set[int]:
    """Return the installs of the alerts that are disconnected."""
    ids = {one.install_id for one in alerts if one.install_id is not None}
    return set(Install.objects.filter(pk__in=ids, disconnected_at__isnull=False).values_list("pk", flat=True))


def worse(alerts: Sequence[Alert], endpoints: Mapping[int, Endpoint]) -> list[tuple[End, str]]:
    """Say of each alert that a worse one replaces how it ended, and the current state of its endpoint."""
    found = [endpoints.get(one.endpoint_id or 0) for one in alerts]
    return [(how_it_ends(is_gone=_is_gone(endpoint)), now_says(endpoint)) for endpoint in found]


def _ending(alert: Alert, endpoint: Endpoint | None, *, is_left: bool, missing: str) -> tuple[End, str]:
    end = how_it_ends(is_gone=_is_gone(endpoint), is_left=is_left)
    return end, closing_words(kind=alert.subject.kind, end=end, now_says=now_says(endpoint), missing=missing)


def _is_gone(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.deleted_at is not None


def _missing(alerts: Sequence[Alert], endpoints: Mapping[int, Endpoint], *, now: datetime) -> dict[int, str]:
    """Say, by the alert's primary key, what may be missing at endpoints that were disabled."""
    spans = []
    for alert in alerts:
        endpoint = endpoints.get(alert.endpoint_id or 0)
        if alert.subject.kind is AlertKind.DISABLED and endpoint is not None and endpoint.deleted_at is None:
            spans.append(Span(alert.pk, endpoint, alert.opened_at, now))
    stops = lost_window.last_stops(spans)
    told = [since_stopped(one, stops[one.key]) for one in spans if lost_window.subscribes(one.endpoint)]
    facts = lost_window.ending_facts(told, stops)
    endings = {key: run_endings.ending(one, every=reconcile_every(), now=now) for key, one in facts.items()}
    # The history has the disable; if it was deleted meanwhile, the alert itself says so.
    windows = {one.key: stops[one.key].stop or Stop(one.since, now, is_begun_known=False) for one in spans}
    siblings = siblings_of(
        [
            Window(one.key, one.endpoint, stop.since, min((stop.until or now) + schedule().run_interval, now))
            for one in spans
            for stop in [windows[one.key]]
        ]
    )
    return {
        one.key: " ".join(_said(one.endpoint, windows[one.key], endings.get(one.key), siblings[one.key], now))
        for one in spans
    }


def _said(endpoint: Endpoint, stop: Stop, ended: Ending | None, siblings: Siblings, now: datetime) -> Iterator[str]:
    """Yield of which time events may be missing, what the other endpoints received then, and what contracts tell."""
    kind, types = (ended.kind if ended is not None else None), endpoint.event_types
    if not is_proven(kind, event_types=types):
        yield window_words(stop, kind, event_types=types, now=now, where="at this endpoint")
        yield siblings.words
    if ended is not None:
        yield ended.told


def now_says(endpoint: Endpoint | None) -> str:
    """Say the current state of an endpoint; empty without one."""
    if endpoint is None:
        return ""
    if endpoint.deleted_at is not None:
        return GONE
    health = endpoint_health(status=endpoint.status, consecutive_failures=endpoint.consecutive_failures)
    return f"It is now {health.label}: {health.words}"


def _logs(subjects: Sequence[Subject], *, now: datetime) -> dict[int, Logged]:
    ids = [one.endpoint_id for one in subjects if one.kind in _FROM_LOG and one.endpoint_id is not None]
    return logged(endpoint_ids=ids, retried_since=now - schedule().retry_span) if ids else {}


def _health(facts: Facts) -> list[str]:
    if facts.endpoint is None:
        return []
    health = endpoint_health(status=facts.endpoint.status, consecutive_failures=facts.endpoint.consecutive_failures)
    return [health.words, *(facts.log.words(now=facts.now) if facts.log is not None else [])]


def _no_access(facts: Facts) -> list[str]:
    return [] if facts.install is None else [facts.install.trouble_words]


def _canary_failed(facts: Facts) -> list[str]:
    return [facts.wrong.said]


def _overdue(facts: Facts) -> list[str]:
    count = facts.wrong.count
    many = "1 delivery" if count == 1 else f"{count:,} deliveries"
    return [
        f"{many} overdue: OpenTrain should have attempted the first by {_clock(facts.wrong.since, facts.now)}.",
        "OpenTrain is late, or its attempts do not reach Redeliver.",
    ]


def _signatures(facts: Facts) -> list[str]:
    count, since = facts.wrong.count, _clock(facts.wrong.since, facts.now)
    requests = "1 request" if count == 1 else f"{count:,} requests"
    within = spelled(duration=REFUSALS_WITHIN)
    return [
        f"Redeliver refused {requests} in {within}, the first at {since}: {facts.wrong.said}",
        "To find out why, open the endpoint and examine one with the signature doctor.",
    ]


def _log_lags(facts: Facts) -> list[str]:
    return [facts.wrong.said, "Until they are in the log, lists, pages and exports lack these attempts."]


def _url_changed(facts: Facts) -> list[str]:
    endpoint = facts.endpoint
    if endpoint is None:
        return []
    now, before = (plain(url, limit=SAID_CHARS) for url in (endpoint.shown_url, endpoint.url_before))
    is_lost = endpoint.is_moved and endpoint.bypassed_at is None and not endpoint.reaches_receiver
    return [
        f"OpenTrain delivers it to {now} now. It delivered to {before} before. Redeliver did not request this change.",
        "Redeliver does not see its deliveries any more." if is_lost else "",
        "If the change is intended, keep the URL on the endpoint's page.",
        "If not, change it there, and find out who changed it: anyone with the install's token can.",
    ]


SENTENCES: dict[AlertKind, Callable[[Facts], list[str]]] = {
    AlertKind.DISABLED: _health,
    AlertKind.AT_RISK: _health,
    AlertKind.NO_ACCESS: _no_access,
    AlertKind.CANARY_FAILED: _canary_failed,
    AlertKind.OVERDUE: _overdue,
    AlertKind.SIGNATURES: _signatures,
    AlertKind.LOG_LAGS: _log_lags,
    AlertKind.URL_CHANGED: _url_changed,
}


def _clock(moment: datetime | None, now: datetime) -> str:
    return "—" if moment is None else clock(then=moment, now=now)
