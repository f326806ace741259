"""A web process before its first request, and the connections that it keeps."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from django.conf import settings
from gunicorn.config import Config
from gunicorn.workers import gthread
from gunicorn.workers.gthread import TConn

from dashboard.launch.web_worker import MADE_ROOM, PATIENCE_S, WebWorker

# Runs gunicorn's post_worker_init hook; prints whether the views are loaded and most objects frozen for the collector.
READY = """
import gc, runpy, sys, django
from types import SimpleNamespace
django.setup()
worker = SimpleNamespace(cfg=SimpleNamespace(reload=False))
runpy.run_path("gunicorn.conf.py")["post_worker_init"](worker)
print("dashboard.views.inbox" in sys.modules, gc.get_freeze_count() > 50_000)
"""


def test_web_process_loads_its_views_and_leaves_them_to_no_garbage_collection_before_it_answers() -> None:
    environ = {
        "SECRET_KEY": "only-for-tests",
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
    }
    command = [sys.executable, "-c", READY]
    done = subprocess.run(
        command, env=environ, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True True\n"


@pytest.fixture
def worker() -> Iterator[WebWorker]:
    """A worker that does not run, with room for the connections that tests make."""
    config = Config()
    config.set("keepalive", 75)
    config.set("worker_connections", MADE_ROOM + 2)
    made = WebWorker(0, os.getpid(), [], None, 30, config, None)
    made.poller = gthread.selectors.DefaultSelector()
    yield made
    made.murder_keepalived(force=True)
    for conn in made.pending_conns:
        conn.close()
    made.poller.close()
    made.tmp.close()


def connected(worker: WebWorker) -> tuple[socket.socket, TConn]:
    """Return both ends of a connection that the worker counts."""
    there, here = socket.socketpair()
    there.settimeout(0)
    worker.nr_conns += 1
    return there, TConn(worker.cfg, here, ("127.0.0.1", 1), ("127.0.0.1", 2))


def finished(worker: WebWorker, conn: TConn, *, result: object) -> None:
    done: Future[object] = Future()
    done.set_result(result)
    worker.finish_request(conn, done)


def is_open(there: socket.socket) -> bool:
    try:
        return there.recv(1) != b""
    except BlockingIOError:
        return True


def test_idle_connections_are_closed_oldest_first_when_there_is_no_room(worker: WebWorker) -> None:
    ends = []
    for _ in range(MADE_ROOM + 2):
        there, conn = connected(worker)
        conn.set_timeout()
        worker.keepalived_conns.append(conn)
        worker.poller.register(conn.sock, gthread.selectors.EVENT_READ)
        ends.append(there)
    worker.murder_keepalived()
    assert [is_open(there) for there in ends] == [False] * MADE_ROOM + [True] * 2
    worker.murder_keepalived()
    assert (worker.nr_conns, [is_open(there) for there in ends[-2:]]) == (2, [True, True])
    for there in ends:
        there.close()


def test_connection_on_which_nothing_arrives_is_not_kept_as_long_as_an_idle_one(worker: WebWorker) -> None:
    there, conn = connected(worker)
    finished(worker, conn, result=gthread._DEFER)
    left_s = conn.timeout - time.monotonic()
    there.close()
    assert (list(worker.pending_conns), PATIENCE_S - 5 < left_s <= PATIENCE_S) == ([conn], True)
