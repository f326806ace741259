"""Load from connections that send one request after another, with little CPU time of its own.

One thread serves all connections. With a thread each, they waited for each other's turn of the interpreter, and used
more of the machine's two cores than PostgreSQL, whatever they measured.
"""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

PATIENCE_S = 30.0


@dataclass
class Load:
    """The results of a load: response times and failures. `send` returns the next request's bytes."""

    port: int
    send: Callable[[], bytes]
    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    elapsed_s: float = 0.0

    def run(self, *, connections: int, for_s: float) -> None:
        """Keep `connections` connections busy for `for_s` seconds; results add up over several runs.

        Raises: TimeoutError if nothing answers for PATIENCE_S.
        """
        started = time.monotonic()
        with select.epoll() as ready:
            open_ones = {one.number: one for one in (self._opened(ready) for _ in range(connections))}
            while open_ones:
                heard = ready.poll(PATIENCE_S)
                if not heard:
                    raise TimeoutError(f"no answer for {PATIENCE_S:g} s")
                for number, _event in heard:
                    one = open_ones[number]
                    if not one.has_answer():
                        continue
                    self._note(one)
                    goes_on = time.monotonic() < started + for_s
                    if goes_on and not one.is_closing:
                        one.ask(self.send())
                        continue
                    one.socket.close()
                    del open_ones[number]
                    if goes_on:
                        new = self._opened(ready)
                        open_ones[new.number] = new
        self.elapsed_s += time.monotonic() - started

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.elapsed_s

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] * 1000

    def _opened(self, ready: select.epoll) -> "_Connection":
        """Return a new connection that has sent a request."""
        one = _Connection(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S))
        one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready.register(one.number, select.EPOLLIN)
        one.ask(self.send())
        return one

    def _note(self, one: "_Connection") -> None:
        if one.heard.startswith(b"HTTP/1.1 200"):
            self.latencies_s.append(time.monotonic() - one.began)
        else:
            self.failed += 1


@dataclass(slots=True)
class _Connection:
    """A connection, and what it has heard since its latest request."""

    socket: socket.socket
    heard: bytes = b""
    began: float = 0.0
    is_closing: bool = False

    @property
    def number(self) -> int:
        return self.socket.fileno()

    def ask(self, request: bytes) -> None:
        self.heard, self.began = b"", time.monotonic()
        self.socket.sendall(request)

    def has_answer(self) -> bool:
        """Read what has come, and return whether the response is complete, or the connection has ended."""
        piece = self.socket.recv(65536)
        self.heard += piece
        if not piece:
            self.is_closing = True
            return True
        head, end, body = self.heard.partition(b"\r\n\r\n")
        if not end:
            return False
        lower = head.lower()
        self.is_closing = b"connection: close" in lower
        return len(body) >= int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
