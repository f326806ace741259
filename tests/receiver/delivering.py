"""The receiver's deliveries on a real server, with real calls, and with the test's own database behind them.

The loop runs in a thread of its own. What uses the database is done by the test's thread, which has the transaction
and waits for the answer anyway.
"""

import asyncio
import contextlib
import json
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.db import Error as DatabaseFailed
from django.db import connection

from dashboard.actions.deliveries.groups import record_group
from dashboard.actions.deliveries.record import record_refusals
from dashboard.models import Attempt, Delivery, RefusedAttempt
from dashboard.queries.routes import RouteRow, every
from dashboard.receiver.delivery import Deliveries
from dashboard.receiver.keeping import NotKept
from dashboard.receiver.limits import Limits
from dashboard.receiver.routes import Route, RoutesAway, RouteTable, _route, _Tables
from dashboard.receiver.server import Server
from dashboard.rules.attempts import RecordedAttempt, Refusal
from dashboard.services.handler_calls import HandlerCalls
from dashboard.signatures import sign
from dashboard.vault import Sealed
from tests.factories import BODY, SECRET

WITHIN_S = 60
Given = TypeVar("Given")
ID = "dlv_1"
OTHER_SECRET = "whsec_" + "b" * 32


class TestsThread:
    """Runs coroutines on a loop in another thread, and what they post in the thread of the test."""

    __test__ = False

    def __init__(self) -> None:
        self._posted: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, awaited: Coroutine[Any, Any, Given]) -> Given:
        """Return what a coroutine returns, and do meanwhile what is posted."""
        end = time.monotonic() + WITHIN_S
        result = asyncio.run_coroutine_threadsafe(awaited, self.loop)
        result.add_done_callback(lambda _: self._posted.put(None))
        while (posted := self._posted.get(timeout=max(end - time.monotonic(), 0))) is not None:
            posted()
        return result.result()

    def post(self, function: Callable[[], None]) -> None:
        self._posted.put(function)

    async def does(self, function: Callable[[], Given]) -> Given:
        """Return what the function returns in the thread of the test."""
        done: asyncio.Future[Given] = self.loop.create_future()

        def do() -> None:
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
                self.loop.call_soon_threadsafe(done.set_exception, error)
            else:
                self.loop.call_soon_threadsafe(done.set_result, result)

        self.post(do)
        return await done

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WITHIN_S)
        self.loop.close()


class TestRoutes(RouteTable):
    """Routes as the test's database has them at each request. While it is `is_away`, no key can be looked up."""

    __test__ = False

    def __init__(self, thread: TestsThread) -> None:
        super().__init__()
        self._thread = thread
        self.is_away = False
        self.proofs: dict[int, str] = {}
        """What endpoints have instead of what the database has."""

    async def get(self, key: str) -> Route | None:
        if self.is_away:
            raise RoutesAway
        self._tables = _Tables()
        self._change(await self._thread.does(self._rows), [])
        return await super().get(key)

    async def _asked_for(self, key: str) -> Route | None:
        row = self._tables.by_key.get(key)
        return None if row is None else _route(row)

    def _rows(self) -> list[RouteRow]:
        connection.ensure_connection()
        rows = every(connection.connection)
        return [replace(row, proof=self.proofs.get(row.endpoint_id, row.proof)) for row in rows]


@dataclass
class TestJournal:
    """Records at once, as the journal's writer does, and keeps what it was told."""

    __test__ = False
    thread: TestsThread
    in_time: dict[uuid.UUID, bool] = field(default_factory=dict)
    proved: list[tuple[int, str]] = field(default_factory=list)
    left_s: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    before_record: Callable[[], None] = lambda: None

    async def record(self, attempt: RecordedAttempt, *, left_s: float) -> None:
        self.left_s.append(left_s)
        self.before_record()
        try:
            [result] = await self.thread.does(lambda: record_group(attempts=[attempt]))
        except DatabaseFailed as error:
            raise NotKept from error
        if result.error is not None:
            raise result.error

    def refuse(self, *, endpoint_id: int, refusal: Refusal) -> None:
        self.refused.append(endpoint_id)
        self.thread.post(lambda: record_refusals([(endpoint_id, refusal)]))

    def told(self, attempt_id: uuid.UUID, in_time: bool) -> None:
        assert attempt_id not in self.in_time
        self.in_time[attempt_id] = in_time

    def proven(self, endpoint_id: int, secret: Sealed) -> None:
        self.proved.append((endpoint_id, secret.reveal()))


@dataclass(frozen=True)
class Response:
    """An answer of the receiver."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)

    def __getitem__(self, name: str) -> str:
        return self.headers[name.lower()]


class Receiver:
    """The receiver of one test. Its loop runs only while `run` does."""

    def __init__(self, *, limits: Limits | None = None, **deadlines: float) -> None:
        self._thread = TestsThread()
        self.routes, self.journal = TestRoutes(self._thread), TestJournal(self._thread)
        self.limits = limits or Limits(descriptors=100_000)
        self._deadlines = deadlines
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.run = self._thread.run
        self.run(self._start())

    async def _start(self) -> None:
        self.calls = HandlerCalls()
        deliveries = Deliveries(
            routes=self.routes,
            calls=self.calls,
            journal=self.journal,
            limits=self.limits,
            **self._deadlines,  # type: ignore[arg-type]
        )

        async def handled(request):
            return await deliveries.receive(request, request.path.removeprefix("/hooks/").removesuffix("/"))

        self.server = Server(handled, most=10_000)
        await self.server.listen(self._listening)

    def close(self) -> None:
        self.run(self._end())
        self._thread.end()

    async def _end(self) -> None:
        await self.server.drain(within_s=0)
        await self.calls.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def say(self, *pieces: bytes, is_head: bool = False) -> Response:
        """Send these bytes on a connection of their own, and return the answer, which has no body `is_head`."""
        return self.run(self.exchange(*pieces, is_head=is_head))

    async def exchange(self, *pieces: bytes, is_head: bool = False) -> Response:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with contextlib.suppress(ConnectionError):  # it may answer before it has read everything
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            return await _response(reader, is_head=is_head)
        finally:
            writer.transport.abort()


async def _response(reader: asyncio.StreamReader, *, is_head: bool) -> Response:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    content = b"" if is_head else await reader.readexactly(int(headers.get("content-length", "0")))
    return Response(int(first.split(" ")[1]), headers, content)


@contextlib.contextmanager
def receiving(*, limits: Limits | None = None, **deadlines: float) -> Iterator[Receiver]:
    """Receive deliveries into the test's database. `deadlines` are those of Deliveries."""
    receiver = Receiver(limits=limits, **deadlines)
    try:
        yield receiver
    finally:
        receiver.close()


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not is_so():  # noqa: ASYNC110 - other threads bring it about
        await asyncio.sleep(0.005)


def request(
    endpoint: Any,
    *,
    body: bytes = BODY,
    secret: str = SECRET,
    age_s: int = 0,
    content_type: str | None = "application/json",
    method: str = "POST",
    **changed: str | None,
) -> bytes:
    """Return a delivery as OpenTrain sends it; a header in `changed` replaces the default one, and None omits it."""
    headers: dict[str, str | None] = {
        "Host": "localhost",
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "X-OpenTrain-Event": "contract.started",
        "X-OpenTrain-Delivery": ID,
        "X-OpenTrain-Signature": sign(secret=secret, body=body, timestamp=int(time.time()) - age_s),
        "User-Agent": "OpenTrain-Partner-Webhooks/1.0",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    key = endpoint if isinstance(endpoint, str) else endpoint.receiver_key
    lines = [f"{method} /hooks/{key}/ HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def delivered(key: str | None, **given: Any) -> Response:
    """Send one delivery to a receiver of its own, and return the answer. `given` is what `request` takes."""
    with receiving() as receiver:
        return receiver.say(request(str(key), **given))


def after(wait: float | threading.Event, behaviour: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Read the request, wait for these seconds or this event, and then behave."""

    def behave(connection: socket.socket) -> None:
        if isinstance(wait, threading.Event):
            wait.wait(60)
        else:
            time.sleep(wait)
        behaviour(connection)

    return behave


def deliver(receiver: Any, endpoint: Any, **changed: Any) -> Response:
    """Send one delivery, and return the answer."""
    return receiver.say(request(endpoint, **changed))


def said(response: Response) -> tuple[int, str]:
    """Return the status and the reason of a refusal."""
    return (response.status_code, json.loads(response.content)["reason"])


def refusal() -> tuple[int, str]:
    """Return status and reason of the one request that was refused; nothing else is in the log."""
    row = RefusedAttempt.objects.get()
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)
    return row.answered_status, row.reason
