"""What the front passes on, and what it says of the client."""

import pytest

from dashboard.rules.forwarding import Headers, Target, answer_headers, request_headers, target_of

PEER = "203.0.113.9"


def asked(*headers: tuple[bytes, bytes], host: bytes | None = None, behind_proxy: bool = False) -> Headers:
    return request_headers(headers, host=host, peer=PEER, request_id="id-1", behind_proxy=behind_proxy)


OURS = [(b"X-Forwarded-For", b"203.0.113.9"), (b"X-Forwarded-Proto", b"http"), (b"X-Request-ID", b"id-1")]


def test_end_to_end_headers_keep_their_bytes_and_order() -> None:
    given = [(b"hOST", b"x"), (b"Cookie", b"a=\xe9"), (b"X-A", b"1"), (b"x-a", b"2")]
    assert asked(*given) == [*given, *OURS]


@pytest.mark.parametrize(
    ("written", "target"),
    [
        (b"/a/../b?x#y", Target(b"/a/../b?x#y")),
        (b"//x/", Target(b"//x/")),
        (b"http://a.example/b?c", Target(b"/b?c", b"a.example")),
        (b"HTTPS://A.example:8443//b", Target(b"//b", b"A.example:8443")),
        (b"http://[::1]:80?c=http://d/", Target(b"/?c=http://d/", b"[::1]:80")),
        (b"http://a.example", Target(b"/", b"a.example")),
    ],
)
def test_target_may_name_its_host(written: bytes, target: Target) -> None:
    assert target_of(written) == target


@pytest.mark.parametrize(
    "written",
    [
        b"", b"*", b"a", b"a.example:443", b"http:/a", b"http:a", b"http://", b"http:///a", b"ftp://a/", b"xhttp://a/",
        b"http://user@a/", b"http://user:pass@a/", b"http://a\\@b/", b"http://a#b", b"http://a b/", b"http://a\t/",
        b"http://\xe9/", b"http://a\r\nX: y/",
    ],
)  # fmt: skip
def test_target_that_no_server_takes(written: bytes) -> None:
    assert target_of(written) is None


def test_host_of_the_target_replaces_the_header() -> None:
    given = [(b"X-A", b"1"), (b"hOST", b"evil"), (b"X-Forwarded-Host", b"evil")]
    assert asked(*given, host=b"a.example") == [(b"Host", b"a.example"), (b"X-A", b"1"), *OURS]


def test_hop_by_hop_headers_and_lengths_stay_behind() -> None:
    given = [
        (b"Connection", b"keep-alive, X-Hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"1"), (b"TE", b"trailers"),
        (b"Transfer-Encoding", b"chunked"), (b"Upgrade", b"h2c"), (b"Expect", b"100-continue"),
        (b"Content-Length", b"5"), (b"Proxy-Authorization", b"x"),
    ]  # fmt: skip
    assert asked(*given) == OURS


def test_client_cannot_speak_for_a_proxy() -> None:
    said = [
        (b"X-Forwarded-For", b"198.51.100.1"), (b"x-forwarded-proto", b"https"), (b"X-Forwarded-Host", b"evil"),
        (b"X-Forwarded-Port", b"443"), (b"Forwarded", b"for=1.2.3.4"), (b"X-Real-IP", b"1.2.3.4"),
        (b"X-Request-ID", b"theirs"),
    ]  # fmt: skip
    assert asked(*said) == OURS


def test_word_of_a_trusted_proxy_counts_also_where_the_client_names_its_headers_as_hop_by_hop() -> None:
    said = [(b"X-Forwarded-For", b"198.51.100.1, 10.0.0.7"), (b"X-Forwarded-Proto", b"https")]
    named = (b"Connection", b"close, X-Forwarded-For, X-Forwarded-Proto, Host")
    found = asked(named, (b"Host", b"x"), *said, behind_proxy=True)
    assert found == [(b"Host", b"x"), *said, (b"X-Request-ID", b"id-1")]


def test_what_a_trusted_proxy_leaves_out_is_what_the_connection_says() -> None:
    assert asked(behind_proxy=True) == OURS


def test_answer_keeps_its_length_and_cookies() -> None:
    given = [
        (b"Content-Length", b"5"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"), (b"Transfer-Encoding", b"chunked"),
    ]  # fmt: skip
    assert answer_headers(given) == given[:3]
