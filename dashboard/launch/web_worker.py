"""gunicorn's threaded worker, with an end to how long one connection may keep a thread.

gthread waits for a new connection's first byte outside of its threads, but from then on a client that sends a byte a
minute, or never reads its answer, keeps a thread for as long as it likes: `timeout` is about the worker, not about
connections. Here a request has PATIENCE_S to arrive whole, and an answer of which nothing is taken for as long is
given up. A proxy that buffers, in front, keeps such clients away altogether (docs/operations.md).
"""

import contextlib
import errno
import os
import socket
import struct
import time
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

PATIENCE_S = int(os.environ.get("WEB_PATIENCE_S", "30"))
"""At 30 s the largest body that is taken, 2 MiB, needs 0.6 Mbit/s."""
UNREAD_BYTES = 256 * 1024
"""What the kernel holds of an answer that is not read, about; by itself it would hold megabytes for each."""


class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*args, **options)
        self._begun: dict[TConn, float] = {}

    def handle(self, conn: TConn) -> Any:  # noqa: ANN401 - gunicorn's
        """Answer one request, in a thread."""
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE_S, 0))
        self._begun[conn] = time.monotonic()
        try:
            goes_on = super().handle(conn)
            if not goes_on:
                _linger(conn.sock)
        finally:
            del self._begun[conn]
        return goes_on

    def handle_request(self, req: Any, conn: TConn) -> Any:  # noqa: ANN401 - gunicorn's
        try:
            return super().handle_request(req, conn)
        except BlockingIOError:  # what SO_SNDTIMEO comes out as; gunicorn would log it as a fault of ours
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)  # nobody is waited for any longer
            raise BrokenPipeError(errno.EPIPE, "the client does not read its answer") from None

    def murder_pending(self) -> None:
        """End what has waited too long; gunicorn's loop calls it every second."""
        super().murder_pending()
        late = time.monotonic() - PATIENCE_S
        for conn, begun in list(self._begun.items()):
            if begun < late:
                # What reads from it sees its end. An answer that is being sent goes on; nothing else is read anyway.
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)


def _linger(sock: socket.socket) -> None:
    """Say that nothing more comes, and wait up to 2 s for the client to close as well.

    gunicorn waits so in the one thread that accepts connections: a few clients that do not close would keep everybody
    out. It does so again after this, but there is nothing left then to wait for.
    """
    with contextlib.suppress(OSError):
        util.close_graceful(sock.dup())
        sock.shutdown(socket.SHUT_RD)
