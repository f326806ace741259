"""Current problems for alerts: one query per kind. The cost of each grows with the number of problems, not of rows."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q

from dashboard.models.deliveries import Delivery, RefusedAttempt
from dashboard.models.endpoints import DISABLED, Endpoint
from dashboard.models.installs import RANK_OF_TROUBLE, Install
from dashboard.models.runs import Run
from dashboard.queries import receivers
from dashboard.rules.alerts import OVERDUE_FOR, REFUSALS_OVER_AFTER, REFUSALS_WITHIN, AlertKind, Subject, are_refused
from dashboard.rules.deliveries import Standing
from dashboard.rules.endpoints import Severity
from dashboard.rules.installs import Trouble
from dashboard.rules.receivers import SILENT_ADVICE
from dashboard.rules.runs import Step
from dashboard.rules.snapshots import LAG
from dashboard.signatures import Verdict

REFUSALS = tuple(verdict.value for verdict in Verdict if verdict is not Verdict.VERIFIED)
BEYOND_THE_CANARY = (Step.REST, Step.OTHERS, Step.WATCH)
_OF_ENDPOINT = {Severity.DISABLED: AlertKind.DISABLED, Severity.AT_RISK: AlertKind.AT_RISK}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One problem, with details that are not in the rows of its install and endpoint.

    `count` is the number of overdue deliveries or refused requests, `since` the time of the first one, `said` why a
    recovery stopped, a signature was refused, or the log lags.
    """

    subject: Subject
    count: int = 0
    since: datetime | None = None
    said: str = ""


def find(*, now: datetime, open_now: frozenset[Subject]) -> dict[Subject, Wrong]:
    """Return all problems at `now`. `open_now` holds the open alerts: some begin and end by different thresholds.

    An open alert stays a problem while nothing could show that it is over.
    """
    queries = dict.fromkeys(FOUND_BY.values())  # one query may find several kinds
    found = {one.subject: one for query in queries for one in query(now, open_now)}
    left = open_now - found.keys()
    lags = any(one.kind is AlertKind.LOG_LAGS for one in found)
    return found | {one: Wrong(one) for one in (*_unheard(left), *_unproven(left, lags=lags))}


def _unheard(left: Collection[Subject]) -> list[Subject]:
    """Return refused installs for which OpenTrain does not answer now: that is no access either."""
    refused = {one.install_id or 0: one for one in left if one.kind is AlertKind.NO_ACCESS}
    rows = Install.objects.connected().filter(pk__in=refused).exclude(last_error_code=Trouble.NONE)
    return [refused[pk] for pk in rows.values_list("pk", flat=True)] if refused else []


def _unproven(left: Collection[Subject], *, lags: bool) -> list[Subject]:
    """Return problems of deliveries at endpoints that are sent none now, or whose log does not have all of them.

    That none is refused or overdue then proves nothing. `lags`: the log lags behind.
    """
    asked = [one for one in left if one.kind in {AlertKind.SIGNATURES, AlertKind.OVERDUE}]
    rows = Endpoint.objects.registered().connected().filter(pk__in=[one.endpoint_id for one in asked])
    severities = dict(rows.values_list("pk", "severity")) if asked else {}
    return [one for one in asked if _is_unproven(one, severities.get(one.endpoint_id or 0), lags=lags)]


def _is_unproven(subject: Subject, severity: int | None, *, lags: bool) -> bool:
    """Return whether nothing shows that the problem is over. An alert of a disabled endpoint replaces overdue ones."""
    if subject.kind is AlertKind.OVERDUE:
        return severity == Severity.PAUSED
    return severity in {Severity.PAUSED, Severity.DISABLED} or (lags and severity is not None)


def _exists_at_opentrain() -> dict[str, bool]:
    """Return the filter of rows whose endpoint exists at OpenTrain, as far as is known, and is read from there."""
    return {
        "endpoint__opentrain_id__isnull": False,
        "endpoint__deleted_at__isnull": True,
        "endpoint__install__disconnected_at__isnull": True,
    }


def _endpoints(_now: datetime, _open_now: frozenset[Subject]) -> Iterator[Wrong]:
    rows = Endpoint.objects.unhealthy().connected().filter(severity__in=list(_OF_ENDPOINT))
    for pk, install, severity in rows.values_list("pk", "install", "severity"):
        yield Wrong(Subject(_OF_ENDPOINT[Severity(severity)], install, pk))


def _installs(_now: datetime, _open_now: frozenset[Subject]) -> Iterator[Wrong]:
    """Yield installs that need attention: token refused or unreadable, scope missing, install or app not active."""
    for pk in Install.objects.connected().filter(rank=RANK_OF_TROUBLE).values_list("pk", flat=True):
        yield Wrong(Subject(AlertKind.NO_ACCESS, pk))


def _canaries(_now: datetime, _open_now: frozenset[Subject]) -> Iterator[Wrong]:
    """Yield endpoints whose last recovery stopped at the canary, without a successful delivery since.

    Recoveries that ended before their canary do not count. OpenTrain's count of 0 consecutive failures means a success
    if it was read after the recovery ended, and late enough to include the canary's failure.
    """
    further = Run.objects.filter(
        endpoint=OuterRef("endpoint"), pk__gt=OuterRef("pk"), kind=Run.Kind.RECOVERY, step__in=BEYOND_THE_CANARY
    )
    succeeded = Q(endpoint__severity=Severity.ACTIVE, endpoint__snapshot_at__gt=F("ended_at") + LAG)
    stopped = Run.objects.filter(kind=Run.Kind.RECOVERY, state=Run.State.STOPPED, step=Step.CANARY)
    there = stopped.filter(**_exists_at_opentrain())
    rows = there.exclude(succeeded).exclude(Exists(further)).order_by("pk")
    for endpoint, install, why in rows.values_list("endpoint", "endpoint__install", "why"):
        yield Wrong(Subject(AlertKind.CANARY_FAILED, install, endpoint), said=why)


def _overdue(now: datetime, _open_now: frozenset[Subject]) -> Iterator[Wrong]:
    """Yield endpoints with deliveries whose next attempt is long overdue. Only due deliveries are read."""
    due = Delivery.objects.filter(
        standing__in=(Standing.RETRYING, Standing.REQUESTED_AGAIN),
        due_by__lt=now - OVERDUE_FOR,
        **_exists_at_opentrain(),
    )
    groups = due.exclude(endpoint__status=DISABLED).order_by().values_list("endpoint", "endpoint__install")
    for endpoint, install, count, since in groups.annotate(count=Count("pk"), since=Min("due_by")):
        yield Wrong(Subject(AlertKind.OVERDUE, install, endpoint), count=count, since=since)


def _refusals(now: datetime, open_now: frozenset[Subject]) -> Iterator[Wrong]:
    lately = RefusedAttempt.objects.filter(
        received_at__gt=now - REFUSALS_OVER_AFTER,
        reason__in=REFUSALS,
        **_exists_at_opentrain(),
    )
    groups = lately.order_by().values_list("endpoint", "endpoint__install")
    sums = groups.annotate(
        recent=Count("pk", filter=Q(received_at__gt=now - REFUSALS_WITHIN)),
        since=Min("received_at"),
        last=Max("received_at"),
        said=Max("explanation"),
    )
    for endpoint, install, recent, since, last, said in sums:
        subject = Subject(AlertKind.SIGNATURES, install, endpoint)
        if are_refused(recent=recent, last_at=last, now=now, is_open=subject in open_now):
            yield Wrong(subject, count=recent, since=since, said=said)


def _receivers(now: datetime, _open_now: frozenset[Subject]) -> Iterator[Wrong]:
    """Yield one problem for all receivers that hold attempts or do not report."""
    found = receivers.lagging(now=now)
    said = [report.words(now=now) for report in found]
    if any(report.is_silent(now=now) for report in found):
        said.append(SILENT_ADVICE)
    if said:
        yield Wrong(Subject(AlertKind.LOG_LAGS, None), said=" ".join(said))


def _moved(_now: datetime, _open_now: frozenset[Subject]) -> Iterator[Wrong]:
    """Yield endpoints whose URL was changed outside Redeliver, until someone in Redeliver keeps or changes it.

    A URL that leads back to the receiver needs nobody's attention.
    """
    rows = Endpoint.objects.registered().connected().filter(url_changed_at__isnull=False)
    for endpoint in rows.only("install", "url", "receiver_key"):
        if not endpoint.is_received:
            yield Wrong(Subject(AlertKind.URL_CHANGED, endpoint.install_id, endpoint.pk))


FOUND_BY: dict[AlertKind, Callable[[datetime, frozenset[Subject]], Iterator[Wrong]]] = {
    AlertKind.DISABLED: _endpoints,
    AlertKind.AT_RISK: _endpoints,
    AlertKind.NO_ACCESS: _installs,
    AlertKind.CANARY_FAILED: _canaries,
    AlertKind.OVERDUE: _overdue,
    AlertKind.SIGNATURES: _refusals,
    AlertKind.LOG_LAGS: _receivers,
    AlertKind.URL_CHANGED: _moved,
}
"""The query that finds each kind."""
