"""One HTTP exchange against a misbehaving server: the error raised, the bytes sent, and the time taken."""

import gzip
import logging
import socket
import threading
import traceback
from typing import Any

import brotli
import pytest

from dashboard.rules.causes import Cause
from dashboard.rules.headers import first_of
from dashboard.services.http.client import NoAnswer
from dashboard.vault import Secret
from tests.services import misbehaving as bad
from tests.services.exchanging import AS_WRITTEN, HURRIED, MAX_BYTES, SLACK_S, TOTAL_S, ask, fail
from tests.services.misbehaving import Behaviour, misbehaving

SQUEEZED = {"gzip": gzip.compress(b"0" * 100_000), "br": brotli.compress(b"0" * 100_000)}


def test_exchange_sends_only_the_given_headers_and_what_http_needs() -> None:
    with misbehaving(bad.answer(200, b"{}")) as server:
        answer = ask(f"{server.url}/a/b?c=d%2F&e", method="PUT", headers=[("X-Raw", " \xa0v\xe9\t1\t")], body=b"\x00hi")
    [request] = server.requests
    assert request.method == "PUT"
    assert request.target == "/a/b?c=d%2F&e"
    assert request.body == b"\x00hi"
    assert sorted(request.headers) == [
        ("Connection", "close"),
        ("Content-Length", "3"),
        ("Host", f"localhost:{server.port}"),
        ("X-Raw", "\xa0v\xe9\t1"),
    ]
    assert (answer.status, answer.body, answer.truncated) == (200, b"{}", False)
    assert answer.headers == (("Content-Type", "application/json"), ("Content-Length", "2"))


@pytest.mark.parametrize(("written", "target"), AS_WRITTEN)
def test_url_is_sent_as_it_was_written(written: str, target: str) -> None:
    with misbehaving(bad.answer(200)) as server:
        ask(server.url + written)
    assert server.requests[0].target == target


def test_exchange_without_body_sends_no_length_on_get_and_zero_on_post() -> None:
    with misbehaving(bad.answer(200)) as server:
        ask(server.url)
        ask(server.url, method="POST")
    assert [request.values("Content-Length") for request in server.requests] == [[], ["0"]]


def test_given_user_agent_and_encoding_are_sent_as_given() -> None:
    with misbehaving(bad.answer(200)) as server:
        ask(server.url, headers=[("User-Agent", "OpenTrain-Partner-Webhooks/1.0"), ("Accept-Encoding", "br")])
    assert server.requests[0].values("User-Agent") == ["OpenTrain-Partner-Webhooks/1.0"]
    assert server.requests[0].values("Accept-Encoding") == ["br"]


def test_doubled_headers_are_joined_going_out_and_kept_coming_in() -> None:
    with misbehaving(bad.answer(200, headers=["X-A: 1", "X-A: 2"])) as server:
        answer = ask(server.url, headers=[("X-B", "1"), ("X-B", "2")])
    assert server.requests[0].values("X-B") == ["1, 2"]
    assert [value for name, value in answer.headers if name == "X-A"] == ["1", "2"]
    assert (answer.header("x-a"), answer.header("X-C")) == ("1", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a\r\nX-B: c4n4ry"),
        ("X-A", "c4n4ry\n"),
        ("X-A", "c4n4ry\x00"),
        ("X-A", "c4n4ry€"),
        ("X A", "c4n4ry"),
        ("", "c4n4ry"),
        ("Host", "c4n4ry"),
        ("content-length", "c4n4ry"),
        ("Transfer-Encoding", "c4n4ry"),
        ("Connection", "c4n4ry"),
    ],
)
def test_header_that_cannot_be_sent_is_refused_by_name(name: str, value: str) -> None:
    with misbehaving(bad.answer(200)) as server:
        for given in (value, Secret(value)):
            with pytest.raises(ValueError, match="header") as caught:
                ask(server.url, headers=[(name, given)])
            assert repr(name) in str(caught.value)
            assert "c4n4ry" not in str(caught.value)
    assert server.connections == 0


@pytest.mark.parametrize("status", [204, 301, 304, 404, 500, 599])
def test_any_status_is_an_answer_and_nothing_is_followed(status: int) -> None:
    with misbehaving(bad.raw(bad.head(status, "Location: /elsewhere", "Content-Length: 0"))) as server:
        assert ask(server.url).status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("location", ["/elsewhere", "http://[", "http://localhost:99999/", "\xff\xfe", ""])
def test_redirect_is_an_answer_wherever_it_points(location: str) -> None:
    with misbehaving(bad.answer(302, b"moved", headers=[f"Location: {location}"])) as server:
        answer = ask(server.url)
    assert (answer.status, answer.body, answer.header("Location")) == (302, b"moved", location)
    assert len(server.requests) == 1


def test_response_with_many_headers_is_an_answer() -> None:
    many = bad.raw(bad.head(200, *[f"X-{number}: 1" for number in range(300)], "Content-Length: 2") + b"ok")
    with misbehaving(many) as server:
        answer = ask(server.url)
    assert (answer.status, answer.body, len(answer.headers)) == (200, b"ok", 301)


def test_redirect_with_an_endless_body_is_bounded_too() -> None:
    with misbehaving(bad.endless(bad.head(302, "Location: /"), b"a" * 10_000)) as server:
        answer = ask(server.url, cap=True)
        error = fail(server.url)
    assert (answer.body, answer.truncated) == (b"a" * MAX_BYTES, True)
    assert (error.cause, error.status) == (Cause.TOO_LARGE, 302)
    assert max(answer.elapsed_ms, error.elapsed_ms) < SLACK_S * 1000


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_redirect_with_a_compressed_body_is_not_inflated(coding: str) -> None:
    squeezed = SQUEEZED[coding]
    with misbehaving(bad.answer(302, squeezed, headers=["Location: /", f"Content-Encoding: {coding}"])) as server:
        assert ask(server.url).body == squeezed


def test_cookies_are_not_kept() -> None:
    with misbehaving(bad.answer(200, headers=["Set-Cookie: a=b; Path=/"])) as server:
        ask(server.url)
        ask(server.url)
    assert [request.values("Cookie") for request in server.requests] == [[], []]


def test_proxies_and_passwords_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login a password b")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{bad.closed_port()}")
    with misbehaving(bad.answer(200)) as server:
        assert ask(server.url).status == 200
    assert server.requests[0].values("Authorization") == []


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_body_comes_as_it_was_sent_with_its_encoding(coding: str) -> None:
    with misbehaving(bad.answer(200, SQUEEZED[coding], headers=[f"Content-Encoding: {coding}"])) as server:
        answer = ask(server.url)
    assert (answer.body, answer.header("Content-Encoding")) == (SQUEEZED[coding], coding)


def test_chunked_body_is_put_together() -> None:
    data = bad.head(200, "Transfer-Encoding: chunked") + bad.chunked(b"abc", b"de")
    with misbehaving(bad.raw(data)) as server:
        assert ask(server.url).body == b"abcde"


def test_body_without_a_length_ends_with_the_connection() -> None:
    with misbehaving(bad.raw(bad.head(200) + b"abc")) as server:
        assert ask(server.url).body == b"abc"


def test_odd_header_lines_are_survived_without_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with misbehaving(bad.raw(bad.head(200, "no colon here", "Content-Length: 3") + b"abc")) as server:
        assert ask(server.url).status == 200
    assert caplog.text == ""


@pytest.mark.parametrize(
    "behaviour",
    [
        bad.silent,
        bad.deaf,
        bad.dripping(b"", b"HTTP/1.1 200 OK" + b" " * 2000, every_s=0.05),
        bad.dripping(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 2000, every_s=0.05),
        bad.dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, every_s=0.05),
    ],
    ids=["silent", "deaf", "drips status", "drips headers", "drips interim answers"],
)
def test_answer_that_does_not_begin_in_time_is_a_timeout(behaviour: Behaviour) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url, **HURRIED)
    assert (error.cause, error.sent, error.status, str(error)) == (Cause.TIMEOUT, True, None, "no response in time")


@pytest.mark.parametrize(
    "head",
    [bad.head(200), bad.head(200, "Content-Length: 500"), bad.head(200, "Transfer-Encoding: chunked") + b"fff\r\n"],
    ids=["no length", "length", "chunked"],
)
def test_body_that_drips_past_the_deadline_is_a_timeout(head: bytes) -> None:
    with misbehaving(bad.dripping(head, b"a" * 2000, every_s=0.05)) as server:
        error = fail(server.url, total_s=TOTAL_S)
    assert (error.cause, error.sent, error.status) == (Cause.TIMEOUT, True, 200)
    assert error.elapsed_ms >= TOTAL_S * 1000


def test_silence_ends_after_the_read_limit_and_not_only_at_the_deadline() -> None:
    with misbehaving(bad.silent) as server:
        error = fail(server.url, read_s=0.1, total_s=30)
    assert error.cause == Cause.TIMEOUT
    assert error.elapsed_ms < SLACK_S * 1000


def test_request_that_nobody_reads_is_a_timeout() -> None:
    with misbehaving(bad.deaf) as server:
        error = fail(server.url, method="POST", body=b"a" * 20_000_000, **HURRIED)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, True)


def test_answer_before_the_request_was_read_is_taken() -> None:
    def early(connection: bad.Connection) -> None:
        connection.sock.recv(10)
        connection.sock.sendall(bad.head(413, "Content-Length: 0"))
        connection.sock.shutdown(socket.SHUT_WR)
        while connection.sock.recv(65536):
            pass

    with misbehaving(early) as server:
        assert ask(server.url, method="POST", body=b"a" * 2_000_000).status == 413


@pytest.mark.parametrize("behaviour", [bad.hanging_up, bad.reset_before_request, bad.reset_after_request])
def test_connection_that_breaks_before_the_answer_may_have_been_taken(behaviour: Behaviour) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url)
    assert (error.cause, error.sent, error.status) == (Cause.CONNECTION, True, None)
    assert error.detail in {"", "Connection reset by peer"}


@pytest.mark.parametrize(
    "behaviour",
    [
        bad.raw(bad.head(200, "Content-Length: 10", "X-Request-Id: r1") + b"abc"),
        bad.raw(bad.head(200, "Transfer-Encoding: chunked", "X-Request-Id: r1") + bad.chunked(b"abc", end=b"5\r\nab")),
        bad.raw(bad.head(200, "Transfer-Encoding: chunked", "X-Request-Id: r1") + b"nonsense\r\n"),
        bad.reset_within(bad.head(200, "Content-Length: 10", "X-Request-Id: r1") + b"abc"),
    ],
    ids=["length", "chunked", "bad chunk", "reset"],
)
def test_body_that_ends_too_early_is_cut_off_with_its_head_known(behaviour: Behaviour) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url)
    assert (error.cause, error.sent, error.status) == (Cause.CUT_OFF, True, 200)
    assert first_of(error.headers, "x-request-id") == "r1"


@pytest.mark.parametrize(
    "data",
    [
        b"<html>hello</html>\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\xff" * 50 + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_is_garbled(data: bytes) -> None:
    with misbehaving(bad.raw(data)) as server:
        error = fail(server.url)
    assert (error.cause, error.sent, error.status) == (Cause.GARBLED, True, None)


@pytest.mark.parametrize(
    "behaviour",
    [
        bad.endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 1000),
        bad.endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["one long header", "interim answers"],
)
def test_endless_head_is_given_up(behaviour: Behaviour) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url)
    assert error.cause in {Cause.TOO_LARGE, Cause.GARBLED}
    assert error.elapsed_ms < SLACK_S * 1000


OVERSIZED = {
    "length": bad.answer(200, b"a" * (MAX_BYTES + 1)),
    "no length": bad.raw(bad.head(200) + b"a" * (MAX_BYTES + 1)),
    "chunked": bad.raw(bad.head(200, "Transfer-Encoding: chunked") + bad.chunked(b"a" * 600, b"a" * 600)),
    "endless": bad.endless(bad.head(200), b"a" * 10_000),
}


@pytest.mark.parametrize("behaviour", OVERSIZED.values(), ids=OVERSIZED)
def test_body_over_the_limit_is_refused(behaviour: Behaviour) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url)
    assert (error.cause, error.sent, error.status) == (Cause.TOO_LARGE, True, 200)
    assert str(error) == "the response was too large"


@pytest.mark.parametrize("behaviour", OVERSIZED.values(), ids=OVERSIZED)
def test_body_over_the_limit_is_capped_on_request(behaviour: Behaviour) -> None:
    with misbehaving(behaviour) as server:
        answer = ask(server.url, cap=True)
    assert (answer.status, answer.body, answer.truncated) == (200, b"a" * MAX_BYTES, True)


@pytest.mark.parametrize("cap", [True, False])
def test_body_of_exactly_the_limit_is_whole(cap: bool) -> None:
    with misbehaving(bad.answer(200, b"a" * MAX_BYTES)) as server:
        answer = ask(server.url, cap=cap)
    assert (answer.body, answer.truncated) == (b"a" * MAX_BYTES, False)


def test_refused_connection_was_certainly_not_sent() -> None:
    error = fail(f"http://localhost:{bad.closed_port()}/")
    assert (error.cause, error.sent, error.detail) == (Cause.REFUSED, False, "Connection refused")
    assert str(error) == "the connection was refused (Connection refused)"


@pytest.mark.parametrize(
    "url",
    ["ftp://localhost/", "http:///a", "localhost", "", "http://user:c4n4ry@localhost/", "http://\x00/", "http://a b/",
     "http://localhost:99999/", "https://exa mple/", "http://[::1/", "javascript:alert(1)"],
)  # fmt: skip
def test_address_that_cannot_be_called_is_not_an_answer(url: str) -> None:
    error = fail(url)
    assert (error.cause, error.sent) == (Cause.ADDRESS, False)
    assert str(error) == "the address is not a valid http or https URL"


SECRET_SHOWING: dict[str, Behaviour] = {
    "silent": bad.silent,
    "reset": bad.reset_after_request,
    "garbled": bad.raw(b"nonsense\r\n\r\n"),
    "cut": bad.raw(bad.head(200, "Content-Length: 10") + b"abc"),
    "large": bad.answer(200, b"a" * (MAX_BYTES + 1)),
    "head": bad.raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 9000),
}


@pytest.mark.parametrize("behaviour", SECRET_SHOWING.values(), ids=SECRET_SHOWING)
def test_secret_header_shows_nowhere(behaviour: Behaviour, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = Secret("Bearer c4n4ry")
    with misbehaving(behaviour) as server:
        error = fail(server.url, headers=[("Authorization", secret)], **HURRIED)
    assert server.requests[0].values("Authorization") == ["Bearer c4n4ry"]
    assert (error.__cause__, error.__context__) == (None, None)
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "c4n4ry" not in shown + repr(error) + repr(error.args) + caplog.text


def fail_while_handling(url: str, **given: Any) -> NoAnswer:
    try:
        return {}[url]
    except KeyError:
        return fail(url, **given)


def test_failure_while_another_is_handled_keeps_its_own_cause() -> None:
    """A lost answer is looked up while it is handled."""
    with misbehaving(bad.silent) as server:
        assert fail_while_handling(server.url, **HURRIED).cause is Cause.TIMEOUT
    assert fail_while_handling(f"http://127.0.0.1:{bad.closed_port()}").cause is Cause.REFUSED
    assert fail_while_handling("ftp://localhost/").cause is Cause.ADDRESS


def test_no_thread_or_socket_is_left_after_many_failures() -> None:
    before = threading.active_count()
    with misbehaving(bad.reset_after_request) as server:
        for _ in range(20):
            fail(server.url)
    assert threading.active_count() == before
