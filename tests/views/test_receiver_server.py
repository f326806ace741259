"""The receiver behind the real server, addressed byte by byte with requests that no HTTP client sends."""

import contextlib
import os
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from dashboard.launch.site import gunicorn
from dashboard.models import Attempt, Delivery, RefusedAttempt
from dashboard.signatures import sign
from dashboard.views.receiver import BODY_LIMIT
from tests.factories import BODY, SECRET, make_endpoint
from tests.services.misbehaving import answer, misbehaving

pytestmark = pytest.mark.slow

PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Site:
    """The console under gunicorn, on its own socket."""

    path: Path

    def say(self, *pieces: bytes) -> tuple[int, bytes]:
        """Send these bytes on one connection; return the answer's status and body."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(str(self.path))
            with contextlib.suppress(BrokenPipeError):  # the server may answer before it has read everything
                for piece in pieces:
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
            heard = b"".join(iter(lambda: sock.recv(65536), b""))
        head, _, body = heard.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body


@contextlib.contextmanager
def serving(folder, *, database_url):
    path, static = folder / "site.socket", folder / "static"
    static.mkdir()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "DATABASE_URL": database_url,
        "SECRET_KEY": "only-for-tests",
        "FIELD_KEYS": settings.FIELD_KEYS[0],
        "ALLOWED_HOSTS": "localhost",
        "HTTPS": "0",
        "HANDLER_PRIVATE_ADDRESSES": "1",
        "STATIC_ROOT": str(static),
    }
    command = gunicorn(application="dashboard.wsgi:application", bind=f"unix:{path}", threads=16)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            await_socket(path, process)
            yield Site(path)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def await_socket(path, process) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(str(path))
            return
        time.sleep(0.05)
    pytest.fail("the server did not come up")


@pytest.fixture
def site(transactional_db, postgres_server, tmp_path):
    name = str(connection.settings_dict["NAME"])
    with serving(tmp_path, database_url=postgres_server.url(name)) as running:
        yield running
    with connection.cursor() as cursor:  # they close a moment after the workers end
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )


def head(endpoint, *, body, headers=(), delivery_id="dlv_1"):
    signature = sign(secret=SECRET, body=body, timestamp=int(time.time()))
    lines = [
        f"POST /hooks/{endpoint.receiver_key}/ HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"X-OpenTrain-Delivery: {delivery_id}",
        "X-OpenTrain-Event: contract.started",
        f"X-OpenTrain-Signature: {signature}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def chunks(*pieces):
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def length(body):
    return f"Content-Length: {len(body)}"


def refusals():
    return list(RefusedAttempt.objects.order_by("id").values_list("answered_status", "reason", "body_size"))


def test_server_hands_every_odd_request_to_its_own_answer(site) -> None:
    endpoint = make_endpoint()
    signature = sign(secret=SECRET, body=BODY, timestamp=int(time.time()))

    doubled = head(endpoint, body=BODY, headers=[length(BODY), f"X-OpenTrain-Signature: {signature}"])
    status, body = site.say(doubled, BODY)
    assert (status, b"carried 2 X-OpenTrain-Signature headers" in body) == (401, True)

    large = b"x" * (BODY_LIMIT + 100_000)
    assert site.say(head(endpoint, body=large, headers=[length(large)]), large)[0] == 413
    assert site.say(head(endpoint, body=large, headers=["Transfer-Encoding: chunked"]), chunks(large, large))[0] == 413
    assert site.say(head(endpoint, body=BODY, headers=[length(BODY)]), BODY[:-5])[0] == 400
    broken = head(endpoint, body=BODY, headers=["Transfer-Encoding: chunked"])
    assert site.say(broken, b"5\r\nabcde\r\nzz\r\n")[0] == 400
    assert refusals() == [
        (401, "doubled", len(BODY)),
        (413, "too_large", BODY_LIMIT + 1),
        (413, "too_large", BODY_LIMIT + 1),
        (400, "cut_off", len(BODY) - 5),
        (400, "cut_off", 0),
    ]
    assert Delivery.objects.count() == 0


def test_server_takes_a_chunked_delivery_whole_and_passes_it_on(site) -> None:
    with misbehaving(answer(202, b"thanks", content_type="text/plain")) as handler:
        endpoint = make_endpoint(handler_url=handler.url)
        said = site.say(
            head(endpoint, body=BODY, headers=["Transfer-Encoding: chunked", "X-Hop: 1", "Connection: X-Hop"]),
            chunks(BODY[:7], BODY[7:]),
        )
        assert (said, handler.requests[0].body) == ((202, b"thanks"), BODY)
    names = {name.lower() for name, _ in handler.requests[0].headers}
    assert names == {
        "host", "connection", "content-length", "content-type", "via",
        "x-opentrain-delivery", "x-opentrain-event", "x-opentrain-signature",
    }  # fmt: skip
    assert bytes(Delivery.objects.get().body) == BODY


def test_server_numbers_twenty_duplicates_at_once_one_to_twenty(site) -> None:
    with misbehaving(answer(503)) as handler:
        endpoint = make_endpoint(handler_url=handler.url)
        request = head(endpoint, body=BODY, headers=[length(BODY)]) + BODY
        with ThreadPoolExecutor(20) as threads:
            statuses = list(threads.map(lambda _: site.say(request)[0], range(20)))
    assert statuses == [503] * 20
    assert sorted(Attempt.objects.values_list("number", flat=True)) == list(range(1, 21))
    assert Delivery.objects.values_list("attempt_count", flat=True).get() == 20


def test_server_without_its_database_is_unavailable(tmp_path) -> None:
    url = f"postgresql://redeliver@/redeliver?host={tmp_path}"
    key = "k" * 43
    with serving(tmp_path, database_url=url) as site:
        status, body = site.say(
            f"POST /hooks/{key}/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )
    assert (status, re.search(rb"Try again later", body) is not None) == (503, True)
