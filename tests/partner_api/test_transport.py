"""One POST against servers that behave, and servers that do not."""

import asyncio
import gzip
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import trustme

from dashboard.partner_api import egress, transport
from dashboard.partner_api.policy import Cause, Outcome
from tests.partner_api import sink
from tests.services.misbehaving import nobody_answers

BODY = b'{"id":"evt_1"}'


def post(url: str, *, seconds: float = 30, times: int = 1, context: ssl.SSLContext | None = None) -> Outcome:
    async def go() -> Outcome:
        async with transport.open_session(ssl_context=context) as session:
            for _ in range(times):
                outcome = await transport.post(
                    session=session,
                    url=url,
                    headers={"Content-Type": "application/json", "X-OpenTrain-Event": "contract.started"},
                    body=BODY,
                    within=timedelta(seconds=seconds),
                    allow_localhost=True,
                )
            return outcome

    return asyncio.run(go())


def failed(cause: Cause) -> Outcome:
    return Outcome(status=None, cause=cause)


def reason(outcome: Outcome) -> tuple[Cause | None, str]:
    assert outcome.status is None
    return outcome.cause, outcome.detail


def test_a_post_carries_the_bytes_and_only_the_headers_that_it_should() -> None:
    with sink.running_sink() as receiver:
        outcome = post(f"{receiver.url}?a=b%20c")
    [received] = receiver.requests
    assert outcome == Outcome(status=200, cause=None, response_head=b"hello")
    assert (received.path, received.body) == ("/hooks?a=b%20c", BODY)
    assert sorted(received.header_names) == [
        "Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Host", "User-Agent",
        "X-OpenTrain-Event",
    ]  # fmt: skip
    assert received.headers["User-Agent"] == "OpenTrain-Partner-Webhooks/1.0"


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_is_a_success_with_the_head_of_its_answer(status: int) -> None:
    raw = f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nhello".encode()
    with sink.running_socket(sink.answering(raw)) as url:
        assert post(url) == Outcome(status=status, cause=None, response_head=b"hello")


@pytest.mark.parametrize("status", [300, 301, 304, 400, 401, 404, 410, 429, 500, 503, 599])
def test_any_other_status_fails(status: int) -> None:
    raw = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    with sink.running_socket(sink.answering(raw)) as url:
        assert post(url) == Outcome(status=status, cause=Cause.STATUS)


def test_a_redirect_is_not_followed() -> None:
    with sink.running_sink() as elsewhere:
        raw = f"HTTP/1.1 307 X\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n".encode()
        with sink.running_socket(sink.answering(raw)) as url:
            assert post(url) == Outcome(status=307, cause=Cause.STATUS)
    assert elsewhere.requests == []


def test_a_cookie_is_not_kept() -> None:
    heads: list[bytes] = []

    def behave(connection: socket.socket, over: object) -> None:
        heads.append(sink.read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")

    with sink.running_socket(behave) as url:
        post(url, times=2)
    assert [b"cookie" in head.lower() for head in heads] == [False, False]


def test_a_proxy_of_the_environment_is_not_used(monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", sink.unused_url())
    with sink.running_socket(sink.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as url:
        assert post(url) == Outcome(status=200, cause=None)


@pytest.mark.parametrize("behave", [sink.silent, sink.dripping_head])
def test_an_answer_that_does_not_come_in_time_is_a_timeout(behave) -> None:
    started = time.monotonic()
    with sink.running_socket(behave) as url:
        assert post(url, seconds=0.3) == failed(Cause.TIMEOUT)
    assert time.monotonic() - started < 20  # the servers stay silent for 30 s, or drip forever


def test_a_dripping_body_neither_undoes_the_status_nor_stretches_the_time() -> None:
    started = time.monotonic()
    with sink.running_socket(sink.dripping_body) as url:
        outcome = post(url, seconds=2)
    assert (outcome.status, outcome.cause) == (200, None)
    assert set(outcome.response_head) == {ord("x")}
    assert time.monotonic() - started < 20  # the 1,024 bytes that are kept would drip for 50 s


def test_an_endless_body_is_cut_off() -> None:
    with sink.running_socket(sink.endless_body) as url:
        assert post(url) == Outcome(status=200, cause=None, response_head=b"y" * 1024)


def test_a_body_that_breaks_off_does_not_undo_the_status() -> None:
    with sink.running_socket(sink.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort")) as url:
        outcome = post(url)
    assert (outcome.status, outcome.cause) == (200, None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_decompression_bomb_is_not_inflated_and_its_head_kept_as_it_came(encoding: str) -> None:
    bomb = gzip.compress(bytes(20_000_000), mtime=0)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with sink.running_socket(sink.answering(head + bomb)) as url:
        assert post(url) == Outcome(status=200, cause=None, response_head=bomb[:1024])


def test_a_refused_connection_is_told_as_such() -> None:
    assert post(sink.unused_url()) == failed(Cause.REFUSED)


@pytest.mark.parametrize("behave", [sink.resetting, sink.closing, sink.answering(b"<html>no HTTP at all")])
def test_a_broken_connection_is_told_as_such(behave) -> None:
    with sink.running_socket(behave) as url:
        assert post(url) == failed(Cause.CONNECTION)


NOT_HTTP = (Cause.CONNECTION, "what came was not HTTP")
TOO_LARGE = (Cause.CONNECTION, "the headers of the answer were too large")


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        (sink.resetting, (Cause.CONNECTION, "Connection reset by peer")),
        (sink.closing, (Cause.CONNECTION, "closed without an answer")),
        (sink.answering(b"HTTP/1.1 200 OK\r\nX-Half: "), (Cause.CONNECTION, "closed within the headers of the answer")),
        (sink.answering(b"<html>no HTTP at all"), NOT_HTTP),
        (sink.answering(b"HTTP/1.1 200 OK\r\nX-Big: " + b"z" * 70_000 + b"\r\n\r\n"), TOO_LARGE),
        (sink.answering(b"HTTP/1.1 200 " + b"z" * 70_000 + b"\r\n\r\n"), TOO_LARGE),
        (sink.answering(b"HTTP/1.1 200 OK\r\n" + b"X-Many: z\r\n" * 7000 + b"\r\n"), TOO_LARGE),
    ],
    ids=["reset", "closed", "half", "no HTTP", "a header too large", "a status line too large", "too many headers"],
)
def test_an_answer_that_cannot_be_read_says_why(behave, expected) -> None:
    with sink.running_socket(behave) as url:
        assert reason(post(url)) == expected


@pytest.mark.parametrize(
    "headers", [b"Set-Cookie: a=" + b"z" * 12_288 + b"\r\n", b"X-Many: z\r\n" * 3000], ids=["a large cookie", "many"]
)
def test_large_or_many_headers_do_not_undo_the_status(headers: bytes) -> None:
    with sink.running_socket(sink.answering(b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: 2\r\n\r\nok")) as url:
        assert post(url) == Outcome(status=200, cause=None, response_head=b"ok")


@pytest.mark.parametrize(
    "raw",
    [
        b"204 No Content\r\n\r\nbody",
        b"204 No Content\r\nContent-Length: 4\r\n\r\nbody",
        b"204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"200 OK\r\nContent-Length: two\r\n\r\nok",
        b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nnot a chunk\r\n",
        b"200 OK\r\nNo header\r\nBad name: 1\r\nContent-Length: 2\r\n\r\nok",
        b"102 Wait\r\n\r\nHTTP/1.1 103 Early\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok",
    ],
    ids=[
        "204 with a body", "204 with a length", "204 in chunks", "two equal lengths", "a list of equal lengths",
        "two lengths", "no length", "a broken chunk", "lines that are no headers", "interim answers",
    ],
)  # fmt: skip
def test_an_odd_answer_counts_by_its_status(raw: bytes) -> None:
    status, kept = (204, b"") if raw.startswith(b"204") else (200, b"ok")
    with sink.running_socket(sink.answering(b"HTTP/1.1 " + raw)) as url:
        assert post(url) == Outcome(status=status, cause=None, response_head=kept)


@pytest.mark.parametrize(
    "path", ["/%7Euser/%41?q=%7e", "/a/./b/../c", "/a|b", "/a?b={c}&d=%zz", "/a?", "/?", "/a?b?", "//a;b"]
)
def test_a_url_is_sent_as_it_was_written(path: str) -> None:
    heard: list[bytes] = []

    def behave(connection: socket.socket, _over: threading.Event) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with sink.running_socket(behave) as url:
        post(urljoin(url, "/").removesuffix("/") + path)
    assert heard[0].split(b"\r\n")[0] == f"POST {path} HTTP/1.1".encode()


def test_a_name_whose_first_address_nobody_answers_at_is_reached_at_the_second(monkeypatch) -> None:
    answers = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))]
    answers += [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with sink.running_sink() as receiver:
        port = urlsplit(receiver.url).port or 0
        with nobody_answers(socket.AF_INET6, ("::1", port)):
            started = time.monotonic()
            outcome = post(f"http://localhost:{port}/hooks")
            took = time.monotonic() - started
    assert (outcome.status, outcome.cause, len(receiver.requests)) == (200, None, 1)
    assert took < 10  # 0.25 s, on a machine that has time; alone, the first address takes 30


def test_an_endless_header_is_cut_off() -> None:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        sink.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        while not over.is_set():
            connection.sendall(b"z" * 65536)

    with sink.running_socket(behave) as url:
        assert reason(post(url)) == TOO_LARGE


def test_headers_that_drip_end_with_the_time_for_everything() -> None:
    """Each byte follows soon after the last, so that a timeout between bytes would never fire."""
    started = time.monotonic()
    with sink.running_socket(sink.dripping_head) as url:
        assert reason(post(url, seconds=0.5)) == (Cause.TIMEOUT, "")
    assert time.monotonic() - started >= 0.5


def test_informational_answers_without_end_are_a_timeout() -> None:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        sink.read_request(connection)
        while not over.wait(0.02):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with sink.running_socket(behave) as url:
        assert post(url, seconds=0.3) == failed(Cause.TIMEOUT)


def test_a_name_that_does_not_resolve_is_told_as_such(monkeypatch) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    assert post("https://nowhere.invalid/hooks") == failed(Cause.DNS)


def test_a_host_that_cannot_be_one_is_no_crash() -> None:
    assert post("http://" + "a" * 70 + ".invalid/").cause in {Cause.DNS, Cause.CONNECTION}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, *, name: str = "127.0.0.1", **certificate: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **certificate).configure_cert(context)
    return context


OK = sink.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_a_certificate_of_a_known_authority_is_accepted(authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with sink.running_socket(OK, tls=server_context(authority)) as url:
        assert post(url, context=trusting) == Outcome(status=200, cause=None)


def test_a_certificate_of_an_unknown_authority_fails(authority: trustme.CA) -> None:
    with sink.running_socket(OK, tls=server_context(authority)) as url:
        outcome = post(url)
    assert reason(outcome) == (Cause.TLS, "unable to get local issuer certificate")


LONG_AGO = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2020, 1, 2, tzinfo=UTC)}


def test_a_host_with_a_trailing_dot_is_verified_without_it(authority: trustme.CA, monkeypatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(egress, "denial", lambda *_, **__: None)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with sink.running_socket(OK, tls=server_context(authority, name="handler.example")) as url:
        outcome = post(url.replace("127.0.0.1", "handler.example."), context=trusting)
    assert outcome == Outcome(status=200, cause=None)


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ({"name": "other.example"}, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        (LONG_AGO, "certificate has expired"),
    ],
    ids=["another name", "expired"],
)
def test_a_certificate_that_does_not_hold_fails_and_the_attempt_says_why(
    authority: trustme.CA, certificate: dict[str, Any], why: str
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with sink.running_socket(OK, tls=server_context(authority, **certificate)) as url:
        outcome = post(url, context=trusting)
    assert reason(outcome) == (Cause.TLS, why)


def test_https_to_a_plain_server_fails_as_tls() -> None:
    def plain(connection: socket.socket, over: object) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with sink.running_socket(plain) as url:
        outcome = post(url.replace("http:", "https:"))
    assert outcome == failed(Cause.TLS)
    assert "wrong version number" in outcome.detail


def test_plain_http_to_a_tls_server_fails(authority: trustme.CA) -> None:
    with sink.running_socket(OK, tls=server_context(authority)) as url:
        assert post(url.replace("https:", "http:")) == failed(Cause.CONNECTION)


def test_an_outcome_keeps_bytes_and_not_text() -> None:
    raw = b"HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\n\xff\xfe\x00"
    with sink.running_socket(sink.answering(raw)) as url:
        assert post(url) == Outcome(status=500, cause=Cause.STATUS, response_head=b"\xff\xfe\x00")
