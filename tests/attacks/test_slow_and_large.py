"""Slow connections, oversized and ambiguous requests against the real receiver, with the console behind it."""

import contextlib
import http.client
import json
import select
import socket
import time
from collections.abc import Iterator

import pytest

from dashboard.models import Attempt, Delivery
from tests.attacks.conftest import METRICS_TOKEN, PATIENCE_S
from tests.factories import make_endpoint
from tests.faults.serving import Site, deliver

pytestmark = pytest.mark.slow

THREADS = 32
"""Two workers with 16 threads each, as in gunicorn.conf.py."""
ENDED_WITHIN_S = PATIENCE_S + 20
"""Without a timeout, a connection stays for 30 s or forever. gunicorn checks every second, less often under load."""
ANSWERED_WITHIN_S = 5
FREE_WITHIN_S = 30
"""The console's threads wait for no client: the front takes what it answers, as far as there is room for it."""
LARGE = "/static/vendor/tabler-1.6.1/tabler.min.css"
HEAD = b"POST /hooks/none/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@contextlib.contextmanager
def connected(site: Site, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        made = [socket.create_connection(("127.0.0.1", site.port), ENDED_WITHIN_S) for _ in range(count)]
        yield [stack.enter_context(one) for one in made]


def ended_after_s(one: socket.socket) -> float:
    """Return how many seconds the server kept the connection. Fails if the server keeps it for too long."""
    started = time.monotonic()
    one.settimeout(ENDED_WITHIN_S)
    with contextlib.suppress(ConnectionResetError):
        while one.recv(65536):
            pass
    return time.monotonic() - started


@pytest.mark.xdist_group("faults")
def test_slow_writers_in_every_thread_are_ended_and_others_answered_again(server: Site) -> None:
    with connected(server, THREADS) as heads:
        for one in heads:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")  # and no more
        assert server.get("/healthz", timeout_s=ENDED_WITHIN_S) == 200
        for one in heads:
            assert ended_after_s(one) < ENDED_WITHIN_S


@pytest.mark.xdist_group("faults")
def test_dripping_writer_is_ended_though_it_never_pauses(server: Site) -> None:
    with connected(server, 1) as [one]:
        one.sendall(HEAD)
        started = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() < started + ENDED_WITHIN_S:
                one.sendall(b"X-Drip: 1\r\n")
                time.sleep(0.2)  # drips slowly
        assert PATIENCE_S <= time.monotonic() - started < ENDED_WITHIN_S


@pytest.mark.xdist_group("faults")
def test_slow_body_is_answered_cut_off_and_recorded_nowhere(server: Site) -> None:
    endpoint = make_endpoint()
    with connected(server, 1) as [one]:
        one.sendall(HEAD.replace(b"none", str(endpoint.receiver_key).encode()) + b"Content-Length: 100\r\n\r\nabc")
        heard = b"".join(iter(lambda: one.recv(65536), b""))
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert json.loads(heard.partition(b"\r\n\r\n")[2])["reason"] == "cut_off"
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)


@pytest.mark.xdist_group("faults")
def test_answers_that_nobody_reads_keep_nobody_out_and_are_given_up(server: Site) -> None:
    request = f"GET {LARGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        unread = []
        for _ in range(2 * THREADS):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.connect(("127.0.0.1", server.port))
            one.sendall(request * 20)  # 0.6 MB each: more than the socket buffers hold
            unread.append(one)
        for _ in range(20):
            assert server.get("/healthz", timeout_s=ANSWERED_WITHIN_S) == 200
        assert server.get("/accounts/login/", timeout_s=FREE_WITHIN_S) == 200
        for one in unread:
            assert is_aborted(one), unread.index(one)
    assert "Traceback" not in (server.folder / "site.log").read_text()


def is_aborted(one: socket.socket) -> bool:
    """Return whether the server gives up a connection of which nothing is read."""
    watched = select.poll()
    watched.register(one, select.POLLRDHUP)
    return bool(watched.poll(ENDED_WITHIN_S * 1000))


@pytest.mark.xdist_group("faults")
def test_200_slow_clients_of_each_kind_stop_no_delivery_and_no_page(server: Site) -> None:
    endpoint = make_endpoint()
    key = str(endpoint.receiver_key).encode()
    begun = [
        b"POST /hooks/" + key + b"/ HTTP/1.1\r\nHost: local",
        HEAD.replace(b"none", key) + b"Content-Length: 1000\r\n\r\nabc",
        b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc",
    ]
    for request in begun:
        with connected(server, 200) as slow:
            for one in slow:
                one.sendall(request)
            for number in range(10):
                delivery_id = f"dlv_{len(request)}_{number}"
                assert deliver(port=server.port, key=key.decode(), delivery_id=delivery_id, timeout_s=10) == 200
            assert server.get("/accounts/login/", timeout_s=10) == 200
            for one in slow:
                assert ended_after_s(one) < ENDED_WITHIN_S
    assert Delivery.objects.count() == 30


@pytest.mark.xdist_group("faults")
def test_clients_that_do_not_close_keep_nobody_out(server: Site) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with connected(server, 4 * THREADS) as held:
        for one in held:
            one.sendall(request)
        for one in held:
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")  # within ENDED_WITHIN_S; this side keeps it open
        assert server.get("/healthz", timeout_s=ENDED_WITHIN_S) == 200


def status_of(site: Site, request: bytes) -> bytes:
    """Return the status line of the response; the server may close the connection before reading the whole request."""
    with socket.create_connection(("127.0.0.1", site.port), 30) as one:
        with contextlib.suppress(OSError):
            one.sendall(request)
        with contextlib.suppress(OSError):
            return one.recv(65536).partition(b"\r\n")[0]
    return b"reset"


@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("name", [b"Cookie: theme=", b"X-OpenTrain-Delivery: ", b"Host: ", b"Authorization: Bearer "])
def test_header_of_ten_megabytes_is_refused_and_costs_nothing(name: bytes, server: Site) -> None:
    request = b"GET /healthz HTTP/1.1\r\n" + name + b"x" * 10_000_000 + b"\r\n\r\n"
    assert status_of(server, request)[:12] in {b"HTTP/1.1 431", b"reset"}
    many = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: 1\r\n" * 100_000 + b"\r\n"
    assert status_of(server, many)[:12] in {b"HTTP/1.1 431", b"reset"}
    line = b"GET /" + b"x" * 10_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert status_of(server, line)[:12] in {b"HTTP/1.1 414", b"reset"}
    assert server.get("/healthz") == 200


@pytest.mark.xdist_group("faults")
def test_split_and_smuggled_requests_are_refused(server: Site) -> None:
    for request in (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEAD + b"Content-Length: +5\r\n\r\nabcde",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n folded: c\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: localhost\r\nX-\x00: b\r\n\r\n",
    ):
        assert status_of(server, request).startswith(b"HTTP/1.1 400 "), request


def delivered_by_metrics(port: int) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        text = connection.getresponse().read().decode()
    return [line for line in text.splitlines() if line.startswith('redeliver_receipts_total{result="delivered"}')]


@pytest.mark.xdist_group("faults")
def test_metrics_add_up_what_several_processes_counted(server: Site) -> None:
    endpoint = make_endpoint()
    ports = [server.port, server.start_another_receiver()]
    for port in ports:
        for number in range(20):
            assert deliver(port=port, key=str(endpoint.receiver_key), delivery_id=f"dlv_{port}_{number}") == 200
    for port in ports:
        assert delivered_by_metrics(port) == ['redeliver_receipts_total{result="delivered"} 40.0']


@pytest.mark.xdist_group("faults")
def test_server_logs_in_the_chosen_form_only(server: Site) -> None:
    server.get("/hooks/somebodys-key/")
    status_of(server, b"NONSENSE\x00\n forged line\r\n\r\n")
    lines = (server.folder / "site.log").read_text().splitlines()
    assert {json.loads(line)["logger"] for line in lines} >= {"gunicorn.error", "django.request"}
    assert "somebodys-key" not in "".join(lines)
