"""A partner's handler that answers a POST to /after/8/ with 200 after 8 s, to any number of them at once.

It is one event loop that knows only as much of HTTP as the receiver and the benchmarks write, so that it costs little.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from dashboard.launch.processes import end_with_owner
from tests.bench.arrivals import open_many

BACKLOG = 4096
_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n%b\r\n{"ok":true}'


class _Call(asyncio.Protocol):
    """One connection, for one request after another."""

    _heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, ended, body = self._heard.partition(b"\r\n\r\n")
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if not ended or len(body) < length:
            return
        self._heard = body[length:]
        delay_s = float(head.split(b" ", 2)[1].split(b"/")[2])
        asyncio.get_running_loop().call_later(delay_s, self._answer, b"connection: close" in lower)

    def _answer(self, is_last: bool) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_ANSWER % (b"Connection: close\r\n" if is_last else b""))
        if is_last:
            self._transport.close()


@contextmanager
def handling() -> Iterator[int]:
    """Run the handler in a process of its own until the block ends; yield its port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _run(pipe: Connection) -> None:
    end_with_owner()
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    open_many()
    server = await asyncio.get_running_loop().create_server(_Call, "127.0.0.1", 0, backlog=BACKLOG)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
