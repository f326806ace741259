"""A receiver that records every POST with its response, and workers under a supervisor."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.bench import engine_rows

WORKER = [sys.executable, "manage.py", "procrastinate", "--settings", "dashboard.partner_api.settings", "worker"]


@dataclass(frozen=True, slots=True)
class Post:
    """One POST: its arrival by the monotonic clock, delivery ID, signature header, and the response."""

    at: float
    delivery_id: str
    signature: str
    status: int


class Recorder:
    """Responds with the result of `answer` after a short delay; `doubled` counts deliveries in flight twice at once."""

    def __init__(self, answer: Callable[[str, int], int] = lambda delivery_id, earlier: 200) -> None:  # noqa: ARG005
        self.posts: list[Post] = []
        self.doubled = 0
        self._answer = answer
        self._open: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._chance = random.Random(7)  # noqa: S311
        self._lock = threading.Lock()

    def take(self, delivery_id: str, signature: str) -> int:
        came = time.monotonic()
        with self._lock:
            self._open[delivery_id] += 1
            self.doubled += self._open[delivery_id] > 1
            status = self._answer(delivery_id, self._seen[delivery_id])
            self._seen[delivery_id] += 1
            pause = self._chance.random() * 0.02
        time.sleep(pause)
        with self._lock:
            self._open[delivery_id] -= 1
            self.posts.append(Post(came, delivery_id, signature, status))
        return status


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}/hooks"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


def serve(recorder: Recorder, *, port: int = 0) -> Server:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = recorder.take(self.headers["X-OpenTrain-Delivery"], self.headers["X-OpenTrain-Signature"])
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                self.close_connection = True

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


class Workers:
    """Workers under a supervisor that replaces each one that ends, as any deployment does."""

    def __init__(self, environment: dict[str, str], *, count: int) -> None:
        self._environment = environment
        self.running = [self._start() for _ in range(count)]

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            WORKER, cwd=engine_rows.ROOT, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def tend(self) -> None:
        self.running = [worker if worker.poll() is None else self._start() for worker in self.running]

    def kill(self, which: int) -> None:
        """Kill with SIGKILL; `tend` starts the replacement."""
        os.kill(self.running[which].pid, signal.SIGKILL)
        self.running[which].wait(timeout=60)

    def end(self) -> None:
        for worker in self.running:
            worker.kill()
            worker.wait(timeout=60)
