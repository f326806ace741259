"""One delivery: verify it, pass it on to the partner's handler, keep the attempt, answer OpenTrain.

Design choices:
- The attempt is on disk, in the database or the spool, before OpenTrain is answered, so everything answered 2xx is in
  the log. An attempt that nothing can keep is answered 503, whatever the handler said: OpenTrain tries again, and the
  handler recognizes it by its delivery ID.
- The clock starts when the request's head has arrived. The handler has what is left of HANDLER_DEADLINE then, and past
  it the handler is not called.
- A delivery that waits occupies no thread and no database connection. A delivery beyond the limits (limits.py) is
  answered 503 with Retry-After and recorded as an attempt (cause `busy`): OpenTrain counts it as a failure, so the log
  does too. One whose body is beyond them cannot be verified, so it is recorded as a refused request.
- A sender that has gone before the attempt is recorded gets no answer, and OpenTrain counts a failure: the attempt
  keeps what the handler said, and failed (cause `gone`). What becomes known later is noted later (Keeps.told), and then
  changes the attempt and its delivery in the same way.
- While an endpoint is "waiting" for its first delivery that verifies, what does not verify is passed on too. The first
  that does ends that here at once, before the database knows it.
"""

import asyncio
import logging
import time
import uuid
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from django.utils import timezone

from dashboard import metrics
from dashboard.models import Endpoint
from dashboard.receiver.bodies import is_refused_as_plain, read_body
from dashboard.receiver.keeping import NotKept
from dashboard.receiver.limits import Busy, Held, Limits
from dashboard.receiver.routes import Route, RoutesAway, RouteTable
from dashboard.rules import receipts
from dashboard.rules.attempts import BODY_LIMIT, RecordedAttempt, Refusal
from dashboard.rules.causes import Cause
from dashboard.rules.receipts import RECEIPT, REGISTERING, Arrival, Refused, Reply
from dashboard.rules.schedule import HANDLER_DEADLINE, OPENTRAIN_WAITS, RECORD_DEADLINE
from dashboard.services.handler import HandlerFailed
from dashboard.services.handler_calls import HandlerCalls
from dashboard.signatures import UNCHECKED, Verdict, Verification
from dashboard.vault import Sealed, Unreadable

RETRY_AFTER_S = 5
"""Retry-After of a 503, in seconds. OpenTrain has its own schedule, but proxies may use it."""
LARGE_BODY = 64 * 1024
"""Bytes from which a body is compared with many secrets in a thread: each takes a millisecond for the largest."""
logger = logging.getLogger(__name__)


class Keeps(Protocol):
    """Keeps attempts, on one event loop."""

    async def record(self, attempt: RecordedAttempt, *, left_s: float) -> None:
        """Return once the attempt is on disk. Raises: NotKept."""

    def refuse(self, *, endpoint_id: int, refusal: Refusal) -> None:
        """Record a refused request soon, without waiting."""

    def told(self, attempt_id: uuid.UUID, in_time: bool) -> None:
        """Note whether OpenTrain got the answer in time, later than the attempt."""

    def proven(self, endpoint_id: int, secret: Sealed) -> None:
        """Note that a first delivery of the endpoint has verified with this secret."""


class Deliveries:
    """Takes the deliveries of one event loop."""

    def __init__(
        self,
        *,
        routes: RouteTable,
        calls: HandlerCalls,
        journal: Keeps,
        limits: Limits,
        handler_s: float = HANDLER_DEADLINE.total_seconds(),
        record_s: float = RECORD_DEADLINE.total_seconds(),
        opentrain_s: float = OPENTRAIN_WAITS.total_seconds(),
    ) -> None:
        """The deadlines are in seconds from a delivery's arrival: the handler's, the record's, and OpenTrain's."""
        self._routes = routes
        self._calls = calls
        self._journal = journal
        self._limits = limits
        self._handler_s, self._record_s, self._opentrain_s = handler_s, record_s, opentrain_s
        self._proven: dict[int, Sealed] = {}
        """Endpoints whose routes do not know yet that a delivery has verified, with the secret that it had."""

    async def receive(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        """Take one delivery. Always answers with the right status, never with a redirect or a page."""
        started = time.monotonic()
        if is_refused_as_plain(request):
            return _no(HTTPStatus.FORBIDDEN, "plain_http", "Deliveries are accepted over https only.")
        try:
            route = await self._routes.get(key)
            if route is None:
                return _no(HTTPStatus.NOT_FOUND, "not_found", "Not found.")
            if request.method != "POST":
                response = _no(HTTPStatus.METHOD_NOT_ALLOWED, "method", "Deliveries are sent by POST.")
                response.headers["Allow"] = "POST"
                return response
            with self._limits.body() as held:
                return await self._take(request, route=route, started=started, held=held)
        except RoutesAway:
            return _unavailable()
        except (NotKept, Unreadable) as error:
            words = "a delivery could not be taken, and OpenTrain is asked to try again: %s"
            logger.error(words, error)  # noqa: TRY400 - the message says it all, and thousands may come
            return _unavailable()

    async def _take(self, request: web.BaseRequest, *, route: Route, started: float, held: Held) -> web.StreamResponse:
        arrival = Arrival(timezone.now(), _headers(request), b"", whole=False)
        try:
            arrival = await self._arrival(request, arrival, started=started, held=held)
            receipts.check_form(arrival)
            signature, route = await self._signature(route, arrival)
            event = receipts.event_of(arrival)
        except Refused as refused:
            return self._refuse(route, arrival, refused)
        reply = await self._reply(route, arrival, started=started)
        result = receipts.result_of(
            arrival,
            reply,
            handler_url=route.handler_url,
            latency_ms=round((time.monotonic() - started) * 1000),
            signature=signature,
            is_gone=_is_gone(request) or time.monotonic() - started >= self._opentrain_s,
        )
        attempt = RecordedAttempt(id=uuid.uuid4(), endpoint_id=route.endpoint_id, event=event, result=result)
        await self._journal.record(attempt, left_s=max(self._record_s - (time.monotonic() - started), 0))
        took_s = time.monotonic() - started
        given = reply if signature == Verdict.VERIFIED else receipts.told_to_strangers(reply)
        until = started + self._opentrain_s
        return _Answer(request, given, journal=self._journal, attempt=attempt, until=until, took_s=took_s)

    async def _arrival(self, request: web.BaseRequest, head: Arrival, *, started: float, held: Held) -> Arrival:
        """Return the request with its body. Raises: Refused if there is no room or no time for it."""
        left_s = self._handler_s - (time.monotonic() - started)
        try:
            body, whole = await read_body(request, limit=BODY_LIMIT, within_s=left_s, counted=held.add)
        except Busy as busy:
            words = "Too many deliveries are under way. Try again later."
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, Cause.BUSY, words) from busy
        if not whole and time.monotonic() - started >= self._handler_s:
            words = f"The body did not arrive within {self._handler_s:g} s."
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, Cause.LATE, words)
        return Arrival(head.at, head.headers, body, whole)

    def _refuse(self, route: Route, arrival: Arrival, refused: Refused) -> web.Response:
        if refused.reason != REGISTERING:
            endpoint_id = refused.endpoint_id or route.endpoint_id
            self._journal.refuse(endpoint_id=endpoint_id, refusal=receipts.refusal_of(arrival, refused))
        return _no(refused.status, refused.reason, refused.explanation)

    async def _signature(self, route: Route, arrival: Arrival) -> tuple[str, Route]:
        """Return what the log keeps about the signature, and the route that decided.

        That is VERIFIED, or why not where that is passed on too.

        Raises: Refused.
        """
        found = None if route.secret is None else receipts.verified(arrival, secret=route.secret.reveal())
        if found is not None and found.verdict is Verdict.MISMATCH:
            route = await self._routes.reread(route)  # the secret may have been rotated a moment ago
            found = None if route.secret is None else await self._compared(route, arrival, secret=route.secret)
        if found is None:
            if route.proof == Endpoint.Proof.NONE:
                return UNCHECKED, route
            raise receipts.without_a_secret(arrival, registering_since=route.registering_since)
        if found.ok:
            self._note_proof(route)
        if found.ok or self._is_waiting(route):
            return found.verdict.value, route
        remade = await self._routes.remade_at(route) if found.verdict is Verdict.MISMATCH else None
        raise receipts.not_verified(found, remade=remade)

    async def _compared(self, route: Route, arrival: Arrival, *, secret: Sealed) -> Verification:
        """Verify with the secret, and find out whether one of the install's others signed it."""
        others = [other.reveal() for other in await self._routes.other_secrets(route)]
        if len(arrival.body) < LARGE_BODY:
            return receipts.verified(arrival, secret=secret.reveal(), others=others)
        return await asyncio.to_thread(receipts.verified, arrival, secret=secret.reveal(), others=others)

    def _is_waiting(self, route: Route) -> bool:
        """Return whether no delivery has verified yet with the secret that the endpoint has."""
        return route.proof == Endpoint.Proof.WAITING and self._proven.get(route.endpoint_id) != route.secret

    def _note_proof(self, route: Route) -> None:
        if route.proof != Endpoint.Proof.WAITING:
            self._proven.pop(route.endpoint_id, None)
        elif route.secret is not None and self._is_waiting(route):
            self._proven[route.endpoint_id] = route.secret
            self._journal.proven(route.endpoint_id, route.secret)

    async def _reply(self, route: Route, arrival: Arrival, *, started: float) -> Reply:
        """Return the handler's response; a plain receipt if no handler is set."""
        if not route.handler_url:
            return RECEIPT
        left_s = self._handler_s - (time.monotonic() - started)
        if left_s <= 0:
            words = "The handler was not called: the delivery took too long to arrive."
            return receipts.failed(cause=Cause.LATE, words=words)
        try:
            with self._limits.wait_of(route.endpoint_id):
                answer = await self._calls.ask(
                    url=route.handler_url, headers=arrival.headers, body=arrival.body, deadline_s=left_s
                )
        except Busy:
            words = "The handler was not called: too many earlier calls are still waiting for an answer."
            return receipts.failed(cause=Cause.BUSY, words=words)
        except HandlerFailed as failed:
            return receipts.failed(cause=failed.cause, words=failed.words)
        return receipts.passed_back(
            status=answer.status, answered=answer.headers, body=answer.body, body_fault=answer.body_fault
        )


class _Answer(web.Response):
    """The answer to a delivery. It notes whether OpenTrain got it in time: by `until`, on the monotonic clock.

    `took_s` is how long it took until the attempt was recorded.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        reply: Reply,
        *,
        journal: Keeps,
        attempt: RecordedAttempt,
        until: float,
        took_s: float,
    ) -> None:
        headers = {"Content-Type": reply.content_type}
        if reply.encoding:
            headers["Content-Encoding"] = reply.encoding
        if reply.cause is Cause.BUSY:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        super().__init__(status=reply.status, body=reply.body, headers=headers)
        self._request, self._journal, self._attempt, self._until, self._took_s = (
            request,
            journal,
            attempt,
            until,
            took_s,
        )

    async def write_eof(self, data: bytes = b"") -> None:
        """Write the answer, which has gone out then, unless the connection was lost. Raises: ConnectionError.

        The kernel takes it at once (ANSWER_KEPT, server.UNREAD_BYTES), so no client can read it and leave meanwhile.
        """
        is_out = False
        try:
            await super().write_eof(data)
            is_out = not _is_gone(self._request) and time.monotonic() < self._until
        finally:
            self._tell(is_out)

    def _tell(self, is_out: bool) -> None:
        result = self._attempt.result
        if result.answered_in_time is None:
            self._journal.told(self._attempt.id, is_out)
        became = "delivered" if is_out else Cause.GONE.value
        metrics.count_receipt(result=result.cause or became, seconds=self._took_s)


def _is_gone(request: web.BaseRequest) -> bool:
    """Return whether the sender has closed the connection, as far as the kernel has told."""
    return request.transport is None or request.transport.is_closing()


def _headers(request: web.BaseRequest) -> list[tuple[str, str]]:
    """Return the headers as they were written, in order."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]


def _unavailable() -> web.Response:
    return _no(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Redeliver cannot accept this now. Try again later.")


def _no(status: HTTPStatus, reason: str, explanation: str) -> web.Response:
    metrics.count_receipt(result=f"not taken: {reason}")
    response = web.json_response({"error": explanation, "reason": reason}, status=status)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
