"""Headers as users paste them."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.doctor import HEADERS, NotHeaders, parse_headers

SIGNATURE = "t=1781265600,v1=" + "a" * 64
PAIR = ("X-OpenTrain-Signature", SIGNATURE)


@pytest.mark.parametrize(
    "text",
    [
        f"X-OpenTrain-Signature: {SIGNATURE}",
        f"POST /webhooks HTTP/1.1\r\nX-OpenTrain-Signature:{SIGNATURE}\r\n",
        f"> X-OpenTrain-Signature: {SIGNATURE}",
        f"  -H 'X-OpenTrain-Signature: {SIGNATURE}' \\",
        f'curl --header "X-OpenTrain-Signature: {SIGNATURE}" https://example.com',
        f'  "X-OpenTrain-Signature": "{SIGNATURE}",',
        f'X-OpenTrain-Signature="{SIGNATURE}"',
        SIGNATURE,
    ],
)
def test_parse_headers_reads_them_in_every_spelling(text: str) -> None:
    assert parse_headers(text) == [PAIR]


def test_parse_headers_knows_a_servers_variable() -> None:
    assert parse_headers(f"HTTP_X_OPENTRAIN_SIGNATURE={SIGNATURE}") == [("X-OPENTRAIN-SIGNATURE", SIGNATURE)]


def test_parse_headers_keeps_doubled_ones_and_their_order() -> None:
    text = f"A: 1\nX-OpenTrain-Signature: {SIGNATURE}\nB: 2\nX-OpenTrain-Signature: {SIGNATURE}"
    assert parse_headers(text) == [("A", "1"), PAIR, ("B", "2"), PAIR]


def test_parse_headers_of_one_curl_line_reads_all() -> None:
    assert parse_headers("curl -H 'A: 1' -H \"B: 2\" https://example.com -d '{}'") == [("A", "1"), ("B", "2")]


def test_parse_headers_of_nothing_is_nothing() -> None:
    assert parse_headers(" \n ") == []


def test_parse_headers_of_prose_is_refused() -> None:
    with pytest.raises(NotHeaders):
        parse_headers("the webhook does not work")


def test_parse_headers_reads_so_many_and_no_more() -> None:
    assert len(parse_headers("A: 1\n" * 1000)) == HEADERS


@pytest.mark.parametrize("text", ["-H'" * 20_000, "t=1" * 20_000, "\"'$" * 20_000, "a" * 60_000, "A:" * 30_000])
def test_parse_headers_of_hostile_text_is_quick(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(NotHeaders):
        parse_headers(text)
    assert time.process_time() - started < 2


@given(st.text(max_size=500))
def test_parse_headers_of_any_text_gives_headers_or_says_no(text: str) -> None:
    try:
        found = parse_headers(text)
    except NotHeaders:
        return
    assert all(name and "\n" not in name + value for name, value in found)
