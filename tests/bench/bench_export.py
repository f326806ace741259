"""`make bench-export`: downloads of all deliveries as CSV and as NDJSON from the real server, as a browser makes them.

python -m tests.bench.bench_export [ROWS]; it starts its own PostgreSQL, with the rows of bench-pages. The last line is
one JSON object. For each format: first_byte_ms from the request to the first byte of the file, seconds in total, mb of
the file, and above_idle_mb, the peak memory of the server's processes during the download above their memory after
showing only the list. Every row is counted.
"""

import contextlib
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from cryptography.fernet import Fernet

from dashboard.launch import postgres

SAMPLE_S = 0.05
PIECE = 65_536
MB = 2**20
EXTRA_LINES = {"csv": 1, "ndjson": 0}


@dataclass
class Memory:
    """Peak memory, in bytes, of a server's child processes together while the block runs."""

    master: int
    most: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def now(self) -> int:
        return sum(_resident(pid) for pid in _children(self.master))

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()
            self._over.clear()

    def _watch(self) -> None:
        self.most = 0
        while not self._over.wait(SAMPLE_S):
            self.most = max(self.most, self.now)


def _children(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def main() -> None:
    """Run the benchmark and print its results."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="redeliver-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
        server = postgres.start(folder=folder, durable=False)
        try:
            server.create_database("redeliver")
            print(json.dumps(_measured(folder, rows=rows, database_url=server.url("redeliver"))))
        finally:
            server.stop()


def _measured(folder: Path, *, rows: int, database_url: str) -> dict[str, object]:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "DATABASE_URL": database_url,
        "FIELD_KEYS": Fernet.generate_key().decode(),
        "HTTPS": "0",
        "SECRET_KEY": "only-for-tests",  # the server's, because it reads the session created here
        "ALLOWED_HOSTS": "testserver",
    }
    import django

    django.setup()
    from django.db import connection
    from django.test import Client

    from tests.bench.rows import fill
    from tests.faults.serving import serving

    with serving(folder, database_url=database_url) as site:
        site.manage("migrate", "--noinput")
        world = fill(rows=rows)
        client = Client()
        client.force_login(world.support)
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
        connection.close()
        site.start()
        assert site.console is not None
        memory = Memory(site.console.pid)
        for _ in range(20):
            _download(site.port, "/deliveries/", cookie)
        idle = memory.now
        return {"rows": rows, "idle_mb": round(idle / MB, 1)} | {
            kind: _exported(memory, port=site.port, cookie=cookie, kind=kind, rows=rows, idle=idle)
            for kind in EXTRA_LINES
        }


def _exported(memory: Memory, *, port: int, cookie: str, kind: str, rows: int, idle: int) -> dict[str, float]:
    with memory.watched():
        one = _download(port, f"/deliveries/export/?format={kind}", cookie)
    if one.lines != rows + EXTRA_LINES[kind]:
        sys.exit(f"{kind}: {one.lines} lines for {rows} rows")
    return {
        "first_byte_ms": round(one.first_byte_s * 1000, 1),
        "seconds": round(one.seconds, 1),
        "mb": round(one.size / MB, 1),
        "above_idle_mb": round((memory.most - idle) / MB, 1),
    }


@dataclass(frozen=True, slots=True)
class Download:
    """A download's time to the first byte, total time and size."""

    first_byte_s: float
    seconds: float
    size: int
    lines: int


def _download(port: int, path: str, cookie: str) -> Download:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with contextlib.closing(connection):
        began = time.monotonic()
        connection.request("GET", path, headers={"Host": "localhost", "Cookie": cookie})
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            sys.exit(f"{path} was answered {response.status}")
        size, lines, piece = 0, 0, response.read(1)
        first = time.monotonic() - began
        while piece:
            size, lines = size + len(piece), lines + piece.count(b"\n")
            piece = response.read1(PIECE)
        return Download(first, time.monotonic() - began, size, lines)


if __name__ == "__main__":
    main()
