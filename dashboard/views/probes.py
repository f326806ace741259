"""Probes for operators: liveness, readiness and metrics.

They reveal nothing about customers, and no secrets. /healthz is for process supervisors: it checks only this process,
because restarting it does not fix a database that is down. /readyz is for load balancers and on-call alerts.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from dashboard import metrics
from dashboard.actions.runs.commands import QUEUE
from dashboard.queries import health_checks
from dashboard.queries.vitals import GONE, Vitals

POLLER_LATE_AFTER = timedelta(minutes=5)
"""Due installs are polled within seconds; after a killed worker, within 2 minutes."""

SWEEP_LATE_AFTER = timedelta(minutes=30)
"""Contracts of a thousand installs are read within minutes, and nobody waits for them."""

WRITE_KEPT_S = 5
"""How long the result of a write to the database counts, in seconds: probes may come from several places."""

Check = dict[str, object]
_NO_ANSWER: Check = {"ok": False, "why": "the database does not answer"}


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer, to show that this process serves requests."""
    return JsonResponse({"ok": True})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Report each dependency of the console; 503 if any check fails."""
    checks: dict[str, Check] = {}
    for name, check in _checks().items():
        checks[name] = _NO_ANSWER if _NO_ANSWER in checks.values() else _checked(check)  # each would wait for 5 s
    ready = all(check["ok"] for check in checks.values())
    return JsonResponse(
        {"ready": ready, "checks": checks}, status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    )


def _checks() -> dict[str, Callable[[], Check]]:
    return {"database": _database, "migrations": _migrations, "worker": _worker, "poller": _poller, "sweep": _sweep}


def _checked(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except GONE:
        return _NO_ANSWER


def _database() -> Check:
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    ms = round((time.monotonic() - started) * 1000)
    why = _why_no_write(int(started // WRITE_KEPT_S))
    return {"ok": False, "why": why} if why else {"ok": True, "ms": ms}


@lru_cache(maxsize=1)
def _why_no_write(_period: int) -> str:
    """Cached for the period. An error is not: the next probe tries again."""
    return health_checks.why_no_write()


def _migrations() -> Check:
    pending = health_checks.pending_migrations()
    return {"ok": pending == 0, "pending": pending}


def _worker() -> Check:
    age = health_checks.worker_age(now=timezone.now())
    if age is None:
        return {"ok": False, "why": "no worker has run on this database"}
    return {"ok": age <= health_checks.WORKER_SILENT_AFTER, "heartbeat_age_s": round(age.total_seconds(), 1)}


def _poller() -> Check:
    late = health_checks.poller_lateness(now=timezone.now())
    return {"ok": late <= POLLER_LATE_AFTER, "late_s": round(late.total_seconds(), 1)}


def _sweep() -> Check:
    late = health_checks.sweep_lateness(now=timezone.now())
    return {"ok": late <= SWEEP_LATE_AFTER, "late_s": round(late.total_seconds(), 1)}


@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """Return Prometheus metrics to clients with METRICS_TOKEN; 404 if that is not set."""
    if not settings.METRICS_TOKEN:
        raise Http404
    if not metrics.may_read(request.headers.get("Authorization", ""), token=settings.METRICS_TOKEN):
        refused = HttpResponse(metrics.REFUSED, "text/plain", 401)
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    vitals = Vitals(queue=QUEUE, clock=timezone.now)
    return HttpResponse(metrics.exposition(collectors=[vitals]), content_type=CONTENT_TYPE_PLAIN_0_0_4)
