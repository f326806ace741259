"""What the receiver's process answers: deliveries, observations and probes itself, all else from the console.

With a front, the registered addresses and the console share one host and port. Without, the receiver stands alone
behind a proxy, and answers JSON to everything.

The receiver answers for any Host, as the probes do. Which hosts there are is the proxy's and the console's matter
(ALLOWED_HOSTS): a delivery is accepted for the key in its path and for its signature, and OpenTrain sends the host of
the registered URL, which a proxy may replace. A Host gets into no answer, no redirect and no log of the receiver.
"""

import logging
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from django.conf import settings

from dashboard import logs
from dashboard.receiver import probes
from dashboard.receiver.bodies import written_target
from dashboard.receiver.front import Front
from dashboard.receiver.observations import Observations
from dashboard.receiver.probes import Probes
from dashboard.receiver.server import SERVER
from dashboard.rules.forwarding import target_of
from dashboard.rules.site_paths import READYZ, is_for_programs, is_observations, receiver_key

_HEADERS = {
    "Server": SERVER,
    "X-Content-Type-Options": "nosniff",
    # A handler's answer may be a page, and it comes from the console's host.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}

CONSOLE_READYZ = f"{READYZ}/console"
"""What the console says of itself behind a front, whose /readyz is the receiver's."""

logger = logging.getLogger(__name__)


class Delivering(Protocol):
    """Takes deliveries (delivery.py)."""

    async def receive(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        """Take one delivery."""


class App:
    """Answers requests. While `is_draining`, each answer is the last of its connection."""

    def __init__(
        self, *, deliveries: Delivering, observations: Observations, probes: Probes, front: Front | None
    ) -> None:
        self._deliveries = deliveries
        self._observations = observations
        self._probes = probes
        self._front = front
        self.is_draining = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, with its ID in the log and in X-Request-ID."""
        given = request.headers.get("X-Request-ID", "") if settings.BEHIND_PROXY else ""
        request_id = logs.begin_request(given)
        try:
            response = await self._answer(request, request_id)
        except ConnectionError:  # the client has gone
            raise
        except Exception:  # what any request may raise is logged here, without its path
            logger.exception("a request failed")
            words = "Redeliver failed. The error is in its log. Try again later."
            response = _no(HTTPStatus.INTERNAL_SERVER_ERROR, words)
        if not response.prepared:
            response.headers.update({**_HEADERS, "X-Request-ID": request_id})
            if self.is_draining:
                response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest, request_id: str) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # it is no part of the answer
        target = target_of(written_target(request))
        if target is None or request.method == "CONNECT":
            response = _no(HTTPStatus.BAD_REQUEST, "Bad request.")
            response.force_close()
            return response
        path = request.path
        key = receiver_key(path)
        if key is not None:
            return await self._deliveries.receive(request, key)
        if path in probes.PATHS:
            return await self._probes.answer(request)
        if is_observations(path):
            return await self._observations.receive(request)
        if self._front is None or is_for_programs(path):
            return _no(HTTPStatus.NOT_FOUND, "Not found.")
        if path == CONSOLE_READYZ:
            target = replace(target, path=READYZ.encode())
        return await self._front.pass_on(request, target=target, request_id=request_id, is_last=self.is_draining)


def _no(status: HTTPStatus, words: str) -> web.Response:
    return web.json_response({"error": words}, status=status)
