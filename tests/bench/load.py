"""Load from connections that send one request after another, with little CPU time of its own."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Load:
    """The results of a load: response times and failures. `send` returns the next request's bytes."""

    port: int
    send: Callable[[], bytes]
    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    elapsed_s: float = 0.0

    def run(self, *, connections: int, for_s: float) -> None:
        """Keep `connections` connections busy for `for_s` seconds; results add up over several runs."""
        started = time.monotonic()
        threads = [threading.Thread(target=self._one, args=(started + for_s,)) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.elapsed_s += time.monotonic() - started

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.elapsed_s

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] * 1000

    def _one(self, until: float) -> None:
        sock = None
        while time.monotonic() < until:
            request = self.send()
            if sock is None:
                sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began = time.monotonic()
            sock.sendall(request)
            head, closing = _answer(sock)
            if head.startswith(b"HTTP/1.1 200"):
                self.latencies_s.append(time.monotonic() - began)
            else:
                self.failed += 1
            if closing:
                sock.close()
                sock = None
        if sock is not None:
            sock.close()


def _answer(sock: socket.socket) -> tuple[bytes, bool]:
    """Read one response; return its head, and whether the connection has ended."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        piece = sock.recv(65536)
        if not piece:
            return heard, True
        heard += piece
    head, _, body = heard.partition(b"\r\n\r\n")
    lower = head.lower()
    length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    while len(body) < length:
        body += sock.recv(65536)
    return head, b"connection: close" in lower
