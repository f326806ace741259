"""The receiver's server in a thread of the test, a console that answers what a test wants, and raw connections."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from dashboard.receiver.app import App
from dashboard.receiver.front import Front
from dashboard.receiver.keeping import Keeping, Place
from dashboard.receiver.observations import Observations
from dashboard.receiver.probes import Probes
from dashboard.receiver.server import Handler, Server

WITHIN_S = 30


@dataclass
class Serving:
    """A running server and its loop."""

    port: int
    server: Server
    loop: asyncio.AbstractEventLoop

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WITHIN_S)

    def say(self, request: bytes) -> bytes:
        """Send a request and return all that comes until the server closes."""
        with self.connect() as one:
            one.sendall(request)
            return heard(one)


def heard(one: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := one.recv(65536):
            got += piece
    return got


@contextlib.contextmanager
def serving(made: Callable[[], Handler], *, most: int = 1000) -> Iterator[Serving]:
    """Serve with the handler that `made` returns; it is called on the loop."""
    listening = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def started() -> Server:
        server = Server(made(), most=most)
        await server.listen(listening)
        return server

    server = asyncio.run_coroutine_threadsafe(started(), loop).result(WITHIN_S)
    one = Serving(port=listening.getsockname()[1], server=server, loop=loop)
    try:
        yield one
    finally:
        asyncio.run_coroutine_threadsafe(_ended(server), loop).result(WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WITHIN_S)
        loop.close()


class NoDeliveries:
    """Answers a delivery with its key."""

    async def receive(self, request: web.BaseRequest, key: str) -> web.StreamResponse:  # noqa: ARG002 - the app's
        return web.json_response({"key": key})


def receiving(
    *, console: Path | None = None, kept: Keeping | None = None, has_routes: bool = True
) -> contextlib.AbstractContextManager[Serving]:
    """Serve what the receiver's process does, with the console on this socket behind it if there is one."""

    def made() -> App:
        return App(
            deliveries=NoDeliveries(),
            observations=Observations(),
            probes=Probes(
                can_keep=lambda: kept or Keeping(Place.DATABASE, "Attempts are recorded in the database."),
                has_routes=lambda: has_routes,
            ),
            front=Front(str(console)) if console else None,
        )

    return serving(made)


async def _ended(server: Server) -> None:
    await server.drain(within_s=0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _ in range(3):  # closed transports end in the next rounds of the loop
        await asyncio.sleep(0)


@dataclass
class Console:
    """A server on a Unix socket that answers every request with `answer`, in pieces, and keeps what it was asked."""

    path: Path
    answer: tuple[bytes, ...] = (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",)
    asked: list[bytes] = field(default_factory=list)
    before_piece: Callable[[int], None] = lambda _number: None

    @contextlib.contextmanager
    def up(self) -> Iterator["Console"]:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fspath(self.path))
            listening.listen()
            thread = threading.Thread(target=self._serve, args=[listening], daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                thread.join(WITHIN_S)
                self.path.unlink()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            with one, contextlib.suppress(OSError):
                self.asked.append(_request(one))
                for number, piece in enumerate(self.answer):
                    self.before_piece(number)
                    one.sendall(piece)


def _request(one: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        got += one.recv(65536) or b"\r\n\r\n"
    head, _, body = got.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        body += one.recv(65536)
    return head + b"\r\n\r\n" + body
