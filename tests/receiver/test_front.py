"""What the front passes to the console and back, and what it answers when the console does not."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.receiver import front
from tests.receiver.serving import Console, Serving, heard, receiving

GET = b"GET /installs/?q=%7E&x HTTP/1.1\r\nHost: localhost\r\nCookie: a=\xe9\r\nConnection: close\r\n\r\n"


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path / "console")


@pytest.fixture
def site(console: Console) -> Iterator[Serving]:
    with receiving(console=console.path) as running:
        yield running


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return int(status.split(" ")[1]), {n.lower(): v.strip() for n, _, v in (x.partition(":") for x in lines)}, body


def test_request_and_answer_go_through_byte_by_byte(console: Console, site: Serving) -> None:
    console.answer = (
        b"HTTP/1.1 418 I am\r\nX-Odd: \xe9\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nhi",
    )
    with console.up():
        answer = site.say(GET)
    assert answer.startswith(b"HTTP/1.1 418 I am\r\nX-Odd: \xe9\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n")
    assert answer.endswith(b"\r\nConnection: close\r\n\r\nhi")
    [asked] = console.asked
    assert asked.startswith(b"GET /installs/?q=%7E&x HTTP/1.1\r\nHost: localhost\r\nCookie: a=\xe9\r\n")
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Request-ID: " in asked


@pytest.mark.parametrize("target", [b"/a?", b"/a/../b/./c", b"//x//", b"/%2e%2E/|", b"/a%00?%0d%0a"])
def test_target_goes_on_as_it_was_written(target: bytes, console: Console, site: Serving) -> None:
    with console.up():
        site.say(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert console.asked[0].startswith(b"GET " + target + b" HTTP/1.1\r\n")


def test_body_goes_on_in_one_piece_with_its_length(console: Console, site: Serving) -> None:
    chunks = b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with console.up():
        assert split(site.say(chunks + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))[0] == 200
        assert split(site.say(b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))[0] == 200
    with_body, without = console.asked
    assert with_body.endswith(b"\r\nContent-Length: 5\r\n\r\nabcde")
    assert without.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert b"ransfer-" not in with_body


def test_client_that_expects_a_go_ahead_gets_it(console: Console, site: Serving) -> None:
    with console.up(), site.connect() as one:
        one.sendall(
            b"POST /x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert one.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(b"ab")
        assert split(heard(one))[0] == 200
    assert console.asked[0].endswith(b"\r\n\r\nab")


def test_streamed_answer_arrives_as_it_comes(console: Console, site: Serving) -> None:
    go_on = threading.Event()
    console.answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
        b"3\r\ntwo\r\n0\r\n\r\n",
    )
    console.before_piece = lambda number: number == 0 or go_on.wait(30)  # type: ignore[assignment]
    with console.up(), site.connect() as one:
        one.sendall(GET)
        got = b""
        while not got.endswith(b"3\r\none\r\n"):
            got += one.recv(65536)
        go_on.set()
        assert heard(one) == b"3\r\ntwo\r\n0\r\n\r\n"


def test_connection_of_the_client_is_kept(console: Console, site: Serving) -> None:
    request = GET.replace(b"Connection: close\r\n", b"")
    with console.up(), site.connect() as one:
        for _ in range(3):
            one.sendall(request)
            answer = one.recv(65536)
            assert answer.endswith(b"\r\n\r\nhi")
            assert b"onnection:" not in answer
    assert len(console.asked) == 3


def test_client_of_http_1_0_gets_no_chunks(console: Console, site: Serving) -> None:
    console.answer = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",)
    with console.up():
        answer = site.say(b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
    assert answer == b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\none"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answer_without_body(status: bytes, console: Console, site: Serving) -> None:
    console.answer = (b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n",)
    with console.up():
        assert site.say(GET) == b"HTTP/1.1 " + status + b"\r\nETag: x\r\nConnection: close\r\n\r\n"


def test_head_keeps_the_length_of_the_page(console: Console, site: Serving) -> None:
    console.answer = (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",)
    with console.up():
        answer = site.say(GET.replace(b"GET", b"HEAD"))
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n"


def test_console_that_is_away_is_a_page_that_says_so(site: Serving) -> None:
    status, headers, body = split(site.say(GET))
    assert (status, headers["retry-after"], headers["content-type"]) == (503, "5", "text/html; charset=utf-8")
    assert b"The console is not running at the moment" in body
    assert headers["x-request-id"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"nonsense\r\n\r\n"])
def test_console_that_ends_before_its_answer_is_a_502(answer: bytes, console: Console, site: Serving) -> None:
    console.answer = (answer,)
    with console.up():
        status, headers, body = split(site.say(GET))
    assert (status, headers["retry-after"]) == (502, "5")
    assert b"check the endpoint's activity before you press it again" in body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_answer_that_breaks_off_does_not_seem_whole(answer: bytes, console: Console, site: Serving) -> None:
    console.answer = (answer,)
    with console.up():
        got = site.say(GET.replace(b"Connection: close\r\n", b""))
    assert not got.endswith(b"0\r\n\r\n")
    assert b"abcde" not in got


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
    ],
    ids=["length", "chunks", "end"],
)
def test_console_that_hangs_in_its_answer_occupies_no_place_for_good(
    head: bytes, console: Console, site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "PIECE_S", 0.2)
    over = threading.Event()
    console.answer = (head + b"3\r\nabc\r\n", b"never")
    console.before_piece = lambda number: (number == 0 or over.wait(60)) and None
    with console.up():
        got = site.say(GET)
        over.set()
    assert got.startswith(b"HTTP/1.1 200")
    assert not got.endswith(b"0\r\n\r\n")


def test_body_over_the_limit_is_refused(console: Console, site: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "BODY_LIMIT", 10)
    start = b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    with console.up():
        for sent in (
            b"Content-Length: 11\r\n\r\n" + b"x" * 11,
            b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n",
        ):
            assert split(site.say(start + sent))[0] == 413
    assert console.asked == []


def test_many_bodies_at_once_are_bounded(console: Console, site: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "BODIES_LIMIT", 10)
    start = b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 8\r\n\r\n"
    with console.up(), site.connect() as one:
        one.sendall(start + b"abc")
        while split(site.say(start + b"abcdefgh"))[0] != 503:  # until the first has arrived
            pass
        one.sendall(b"defgh")
        assert split(heard(one))[0] == 200


@pytest.mark.parametrize("behind", [False, True])
def test_proxys_word_counts_only_when_asked_for(behind: bool, console: Console, site: Serving, settings: Any) -> None:
    settings.BEHIND_PROXY = behind
    said = b"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\nX-Request-ID: theirs\r\n"
    with console.up():
        site.say(GET.replace(b"Cookie", said + b"Cookie"))
    [asked] = console.asked
    assert (b"X-Forwarded-For: 198.51.100.1\r\n" in asked) is behind
    assert (b"X-Forwarded-Proto: https\r\n" in asked) is behind
    assert (b"X-Request-ID: theirs\r\n" in asked) is behind


def test_absolute_target_is_asked_for_with_its_own_host(console: Console, site: Serving) -> None:
    with console.up():
        for target in (b"http://A.example:81/x?%7e", b"https://b.example?y"):
            answer = site.say(b"GET " + target + b" HTTP/1.1\r\nhost: evil\r\nX: 1\r\nConnection: close\r\n\r\n")
            assert split(answer)[0] == 200
    first, second = console.asked
    assert first.startswith(b"GET /x?%7e HTTP/1.1\r\nHost: A.example:81\r\nX: 1\r\n")
    assert second.startswith(b"GET /?y HTTP/1.1\r\nHost: b.example\r\nX: 1\r\n")
    assert b"evil" not in first + second


@pytest.mark.parametrize("target", [b"ftp://localhost/x", b"http://user@localhost/x", b"*", b"localhost:80"])
def test_targets_for_other_servers_are_refused(target: bytes, console: Console, site: Serving) -> None:
    with console.up():
        request = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for method in (b"GET ", b"OPTIONS ", b"CONNECT "):
            assert split(site.say(method + target + request))[0] == 400
    assert console.asked == []


def test_upgrade_is_not_passed_on(console: Console, site: Serving) -> None:
    request = GET.replace(
        b"Connection: close", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A"
    )
    with console.up(), site.connect() as one:
        one.sendall(request)
        assert one.recv(65536).endswith(b"\r\n\r\nhi")
    assert b"pgrade" not in console.asked[0]
    assert b"HTTP2" not in console.asked[0]
