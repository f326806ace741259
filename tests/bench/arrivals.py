"""Signed deliveries that arrive at their times, however long earlier ones wait, as from OpenTrain.

Each has a connection of its own, and its sender waits for ten seconds. Its time counts from the moment when it was due,
so a sender that comes too late makes the figures worse, never better.
"""

import asyncio
import gc
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from dashboard.launch.processes import end_with_owner
from dashboard.rules.schedule import OPENTRAIN_WAITS
from dashboard.signatures import sign

_WAITS_S = OPENTRAIN_WAITS.total_seconds()


@dataclass(frozen=True, slots=True)
class Answers:
    """What a sender got: a status, or None without an answer, and the seconds, for each delivery in order."""

    statuses: list[int | None]
    times_s: list[float]
    cpu_s: float
    """CPU time that sending took."""

    @property
    def ok(self) -> int:
        return sum(status is not None and status // 100 == 2 for status in self.statuses)

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.times_s)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] * 1000


def senders(count: int) -> ProcessPoolExecutor:
    """Return a pool of processes that send. One that only sends does not wait for what others compute."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin)


def send(*, port: int, requests: Sequence[bytes], over_s: float, waits_s: float = _WAITS_S) -> Answers:
    """Send these requests to a port of this machine, evenly over the time, and return what came of each.

    After `waits_s` seconds a sender closes its connection.
    """
    began = time.process_time()
    found = asyncio.run(_send_all(port, requests, over_s, waits_s))
    cpu_s = time.process_time() - began
    return Answers([status for status, _ in found], [waited for _, waited in found], cpu_s)


def request(path: str, *, delivery_id: str) -> bytes:
    """Return a delivery that is signed now."""
    from tests.factories import BODY, SECRET

    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "User-Agent: OpenTrain-Partner-Webhooks/1.0",
        "X-OpenTrain-Event: contract.started",
        f"X-OpenTrain-Delivery: {delivery_id}",
        f"X-OpenTrain-Signature: {sign(secret=SECRET, body=BODY, timestamp=int(time.time()))}",
        f"Content-Length: {len(BODY)}",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode() + BODY


def open_many() -> int:
    """Raise the limit of open files to the hard one, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def _begin() -> None:
    end_with_owner()
    open_many()
    gc.disable()


async def _send_all(
    port: int, requests: Sequence[bytes], over_s: float, waits_s: float
) -> list[tuple[int | None, float]]:
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), []
    for number, request in enumerate(requests):
        due = began + over_s * number / len(requests)
        if (early_s := due - loop.time()) > 0:
            await asyncio.sleep(early_s)
        sent.append(asyncio.create_task(_send_one(port, request, due=due, waits_s=waits_s)))
    return await asyncio.gather(*sent)


async def _send_one(port: int, request: bytes, *, due: float, waits_s: float) -> tuple[int | None, float]:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[int | None] = loop.create_future()
    try:
        async with asyncio.timeout_at(due + waits_s):
            transport, _ = await loop.create_connection(lambda: _Delivery(request, answered), "127.0.0.1", port)
            try:
                status = await answered
            finally:
                transport.abort()
    except OSError:  # TimeoutError is one
        status = None
    return status, loop.time() - due


class _Delivery(asyncio.Protocol):
    """One request, and the status of its answer once the answer is whole. The request asks to close the connection."""

    def __init__(self, request: bytes, answered: "asyncio.Future[int | None]") -> None:
        self._request, self._answered, self._heard = request, answered, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered.done():
            is_http = exc is None and self._heard.startswith(b"HTTP/1.1 ") and b"\r\n\r\n" in self._heard
            self._answered.set_result(int(self._heard[9:12]) if is_http else None)
