"""Probes of the receiver: whether it lives, and what it and the other processes of its machine have counted.

They reveal nothing about customers, and no secrets. /healthz is for process supervisors: it needs neither database nor
console, because restarting the receiver repairs neither. /readyz is for load balancers.
"""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from django.conf import settings
from django.utils import timezone
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from dashboard import metrics
from dashboard.actions.runs.commands import QUEUE
from dashboard.queries.vitals import Vitals
from dashboard.receiver.db_threads import DatabaseThreads, Full
from dashboard.receiver.keeping import Keeping
from dashboard.rules.site_paths import HEALTHZ, METRICS, PROBES

PATHS = PROBES | {METRICS}
RETRY_AFTER_S = 5
_ROUTES = "The routes of endpoints are in memory."
_NO_ROUTES = "The database has not answered since the start, and no file of routes can be read: no endpoint is known."
_NOT_STORED = {"Cache-Control": "no-store"}


class Probes:
    """The probes on one event loop."""

    def __init__(self, *, can_keep: Callable[[], Keeping], has_routes: Callable[[], bool]) -> None:
        """`has_routes` says whether it knows any endpoint's route, or that there is none."""
        self._can_keep, self._has_routes = can_keep, has_routes
        self._threads = DatabaseThreads(name="metrics", most=1, waiting=4)

    def close(self) -> None:
        """Let the thread end with what it reads."""
        self._threads.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request for one of PATHS."""
        if request.method not in {"GET", "HEAD"}:
            allowed = {"Allow": "GET, HEAD"}
            return web.json_response({"error": "Use GET."}, status=HTTPStatus.METHOD_NOT_ALLOWED, headers=allowed)
        if request.path == HEALTHZ:
            return web.json_response({"ok": True}, headers=_NOT_STORED)
        return await self._metrics(request) if request.path == METRICS else self._readyz()

    def _readyz(self) -> web.Response:
        """Answer 200 while deliveries can be taken: an attempt can be kept, which says where, and routes are known."""
        kept, has_routes = self._can_keep(), self._has_routes()
        checks = {
            "attempts": {"ok": kept.ok, "place": kept.place, "words": kept.words},
            "routes": {"ok": has_routes, "words": _ROUTES if has_routes else _NO_ROUTES},
        }
        ready = kept.ok and has_routes
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": ready, "checks": checks}, status=status, headers=_NOT_STORED)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return Prometheus metrics to clients with METRICS_TOKEN; 404 if that is not set."""
        if not settings.METRICS_TOKEN:
            return web.json_response({"error": "Not found."}, status=HTTPStatus.NOT_FOUND)
        if not metrics.may_read(request.headers.get("Authorization", ""), token=settings.METRICS_TOKEN):
            asks = {"WWW-Authenticate": "Bearer"}
            return web.Response(text=metrics.REFUSED, status=HTTPStatus.UNAUTHORIZED, headers=asks)
        try:
            vitals = Vitals(queue=QUEUE, clock=timezone.now)
            text = await self._threads.run(lambda: metrics.exposition(collectors=[vitals]))
        except Full:
            later = {"Retry-After": str(RETRY_AFTER_S)}
            words = "The metrics are being read for others. Try again."
            return web.json_response({"error": words}, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=later)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, **_NOT_STORED})
