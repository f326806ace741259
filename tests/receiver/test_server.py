"""Limits on connections, and how a server ends."""

import asyncio
import contextlib
import gc
import json
import runpy
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from unittest import mock

import pytest
from aiohttp import web

from dashboard.receiver import server
from dashboard.receiver.bodies import read_body
from dashboard.receiver.server import bound
from tests.receiver.serving import Serving, heard, serving

PATIENCE_S = 0.4
HEAD = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Handling:
    """Answers with what came; a request for /wait waits until `go_on`."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.begun = threading.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/wait":
            self.begun.set()
            await self.go_on.wait()
        if request.path == "/large":
            return web.Response(body=b"x" * 20_000_000)
        body, whole = await read_body(request, limit=10)
        return web.json_response({"body": body.decode(), "whole": whole})


@pytest.fixture
def handling(monkeypatch: pytest.MonkeyPatch) -> Handling:
    monkeypatch.setattr(server, "PATIENCE_S", PATIENCE_S)
    return Handling()


@pytest.fixture
def site(handling: Handling) -> Iterator[Serving]:
    with serving(lambda: handling) as running:
        yield running


def test_connection_that_has_ended_is_freed_without_a_garbage_collection() -> None:
    seen: list[weakref.ref[object]] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(weakref.ref(request.protocol))
        await request.read()
        return web.Response()

    gc.disable()
    try:
        with serving(lambda: note) as site:
            site.say(HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nab")
            deadline = time.monotonic() + 30
            while seen[0]() is not None and time.monotonic() < deadline:
                time.sleep(0.01)
        assert seen[0]() is None
    finally:
        gc.enable()


def said(answer: bytes) -> dict[str, object]:
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("sent", [b"GET /x HTTP/1.1\r\nHost: local", b"G", b"\r\n"])
def test_head_that_does_not_come_is_ended(sent: bytes, site: Serving) -> None:
    assert site.say(sent) == b""


def test_head_that_drips_is_ended_though_it_never_pauses(site: Serving) -> None:
    with site.connect() as one:
        one.sendall(HEAD)
        started = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() < started + 30:
                one.sendall(b"X-Drip: 1\r\n")
                time.sleep(0.05)  # drips slowly
        assert time.monotonic() < started + 30


def test_body_that_does_not_come_is_answered_as_cut_off(site: Serving) -> None:
    for sent in (b"Content-Length: 5\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        answer = site.say(HEAD + sent)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert said(answer) == {"body": "abc", "whole": False}


def test_large_request_is_read_in_small_steps_between_which_others_go_on(
    site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    received = server.Connection.data_received
    monkeypatch.setattr(
        server.Connection, "data_received", lambda self, data: (sizes.append(len(data)), received(self, data))
    )
    site.say(HEAD + b"Connection: close\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000)
    assert 0 < max(sizes) <= server.READ_BYTES


def test_body_in_tiny_chunks_is_cut_off(site: Serving) -> None:
    """Each costs as much as a large one, and everyone waits for it."""
    sent = 0
    with site.connect() as one, contextlib.suppress(OSError):
        one.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while sent < 20_000_000:
            one.sendall(b"1\r\nx\r\n" * 1000)
            sent += 6000
    assert sent < 20_000_000
    answer = site.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;%b\r\nx\r\n" % (b"x" * 7000) * 5)
    assert said(answer)["whole"] is False


@pytest.mark.parametrize("size", [1, 10, 100, 4000])
def test_body_in_chunks_is_taken_whole(site: Serving, size: int) -> None:
    chunks = b"%x\r\n%b\r\n" % (size, b"x" * size) * (20_000 // size if size > 50 else 500)
    answer = site.say(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert said(answer) == {"body": "x" * 11, "whole": True}


def test_kept_connection_may_be_idle_for_longer(site: Serving) -> None:
    with site.connect() as one:
        for _ in range(2):
            one.sendall(HEAD + b"Content-Length: 3\r\n\r\nabc")
            assert said(one.recv(65536)) == {"body": "abc", "whole": True}
            one.settimeout(3 * PATIENCE_S)
            with pytest.raises(TimeoutError):
                one.recv(1)
            one.settimeout(30)


@pytest.mark.parametrize(("given", "kept_s"), [({}, 75), ({"WEB_KEEP_ALIVE_S": "610"}, 610)])
def test_idle_connections_outlast_those_of_a_load_balancer(
    given: dict[str, str], kept_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert runpy.run_path(server.__file__)["KEEP_ALIVE_S"] == kept_s


def test_idle_connection_ends_after_its_time(handling: Handling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.2)
    with serving(lambda: handling) as site, site.connect() as one:
        one.sendall(GET)
        assert heard(one).startswith(b"HTTP/1.1 200 ")  # until the end of the connection


def test_slow_work_of_ours_is_not_the_clients(site: Serving, handling: Handling) -> None:
    with site.connect() as one:
        one.sendall(GET.replace(b"/x", b"/wait"))
        one.settimeout(3 * PATIENCE_S)
        with pytest.raises(TimeoutError):
            one.recv(1)
        site.loop.call_soon_threadsafe(handling.go_on.set)
        one.settimeout(30)
        assert one.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_answer_that_nobody_reads_is_given_up(site: Serving) -> None:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.connect(("127.0.0.1", site.port))
        one.sendall(GET.replace(b"/x", b"/large"))
        deadline = time.monotonic() + 30
        while not site.server.connections:
            assert time.monotonic() < deadline
        while site.server.connections:
            assert time.monotonic() < deadline
            time.sleep(0.02)  # polls until the connection is aborted
        assert len(heard(one)) < 20_000_000


def test_connection_that_has_ended_meanwhile_is_no_error() -> None:
    """One would end the look at all connections, and slow clients would never be ended again."""
    with socket.socket() as one:
        transport = mock.Mock(get_extra_info=lambda _name: one)
    server._reset(transport)
    transport.abort.assert_called_once_with()


def test_answer_that_is_read_slowly_is_not_given_up(site: Serving) -> None:
    with site.connect() as one:
        one.sendall(GET.replace(b"/x", b"/large").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        got = 0
        started = time.monotonic()
        while piece := one.recv(1_000_000):
            got += len(piece)
            if time.monotonic() < started + 3 * PATIENCE_S:
                time.sleep(0.05)  # reads slowly
        assert got > 20_000_000


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEAD + b"Content-Length: +5\r\n\r\nabcde",
        HEAD + b"Content-Length: 5 \r\nContent-Length : 5\r\n\r\nabcde",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n folded: c\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-\x00: b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-A: b\x00c\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(request_: bytes, site: Serving) -> None:
    answer = site.say(request_)
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    if b"abc" not in request_ or b"chunked" not in request_:
        assert answer.startswith(b"HTTP/1.1 400 "), answer


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (
            b"GET /" + b"x" * 8300 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            414,
            "The address is longer than 8190 bytes.",
        ),
        (GET[:-2] + b"X-A: " + b"x" * 8300 + b"\r\n\r\n", 431, "A header is longer than 8192 bytes."),
        (GET[:-2] + b"x" * 8300 + b": a\r\n\r\n", 431, "A header is longer than 8192 bytes."),
        (GET[:-2] + b"X-A: b\r\n" * 200 + b"\r\n", 431, "There are more than 100 headers."),
        # Endless ones are refused before they end.
        (b"GET /" + b"x" * 8300, 414, "The address is longer than 8190 bytes."),
        (GET[:-2] + b"X-A: " + b"x" * 8300, 431, "A header is longer than 8192 bytes."),
        (GET[:-2] + b"X-A: b\r\n" * 200, 431, "There are more than 100 headers."),
    ],
)
def test_head_over_the_limits_is_refused_with_its_own_status(
    request_: bytes, status: int, words: str, site: Serving
) -> None:
    answer = site.say(request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert said(answer) == {"error": words}


def test_nothing_of_a_refused_request_is_logged(site: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    site.say(b"GET /hooks/the-key/" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n")
    site.say(b"GET /hooks/the-key HTTP/1.1\r\nnonsense the-key\r\n\r\n")
    assert "a request was refused: " in caplog.text
    assert "the-key" not in caplog.text


def test_body_over_the_limit_is_read_on_and_reported(site: Serving) -> None:
    assert said(site.say(HEAD + b"Connection: close\r\nContent-Length: 30\r\n\r\n" + b"x" * 30)) == {
        "body": "x" * 11,
        "whole": True,
    }


@pytest.mark.parametrize("coding", [b"gzip", b"br"])
def test_body_stays_compressed(site: Serving, coding: bytes) -> None:
    sent = HEAD + b"Content-Encoding: " + coding + b"\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
    assert said(site.say(sent)) == {"body": "abc", "whole": True}


def test_post_that_offers_an_upgrade_is_read_as_a_post(site: Serving) -> None:
    with site.connect() as one:
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        one.sendall(HEAD + offer + b"Content-Length: 3\r\n\r\nabc")
        assert said(one.recv(65536)) == {"body": "abc", "whole": True}


def test_newest_connection_ends_one_that_waits_for_its_client(handling: Handling) -> None:
    with serving(lambda: handling, most=2) as site, site.connect() as idle, site.connect() as working:
        working.sendall(GET.replace(b"/x", b"/wait"))
        assert handling.begun.wait(30)
        with site.connect() as new:
            new.sendall(GET)
            assert new.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert heard(idle) == b""
        site.loop.call_soon_threadsafe(handling.go_on.set)
        assert working.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_draining_finishes_what_has_begun_and_leaves_a_shared_socket_open(
    handling: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LEAVE_S", 30)
    with serving(lambda: handling) as site, site.connect() as one, site.connect() as idle:
        one.sendall(GET.replace(b"/x", b"/wait"))
        assert handling.begun.wait(30)
        drained = asyncio.run_coroutine_threadsafe(site.server.drain(within_s=30), site.loop)
        while True:
            try:
                site.connect().close()
            except ConnectionRefusedError:
                break
            except ConnectionResetError:  # the socket, which nobody shares here, was closed with this one in its queue
                continue
        idle.sendall(GET)
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")  # a request that was on its way
        monkeypatch.setattr(server, "LEAVE_S", 0)
        assert not drained.done()
        site.loop.call_soon_threadsafe(handling.go_on.set)
        assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
        drained.result(30)
        assert heard(one) == heard(idle) == b""


def test_connection_that_is_accepted_while_draining_begins_is_served(handling: Handling) -> None:
    with serving(lambda: handling) as site:
        both = threading.Barrier(2)

        async def drain() -> None:
            both.wait(30)  # the loop stands still while the clients connect
            both.wait(30)
            await site.server.drain(within_s=30)

        drained = asyncio.run_coroutine_threadsafe(drain(), site.loop)
        both.wait(30)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(site.connect()) for _ in range(5)]
            for one in clients:
                one.sendall(GET)
            both.wait(30)
            for one in clients:
                assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
        drained.result(30)


def test_inherited_socket_is_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        [one] = bound(f"fd://{socket.dup(given.fileno())}")
        with one:
            assert one.getsockname() == given.getsockname()


def test_host_and_port_are_bound() -> None:
    [one] = bound("127.0.0.1:0")
    with one:
        assert one.getsockname()[0] == "127.0.0.1"
    with pytest.raises(ValueError, match="RECEIVER_BIND is '8000'"):
        bound("8000")
