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
        f'"{SIGNATURE}"',
        f"X-OpenTrain-Signature:\n{SIGNATURE}",
        f"x-opentrain-signature:\r\n  {SIGNATURE}\r\n",
        f"X-OpenTrain-Signature\n{SIGNATURE}",
        f"X-OpenTrain-Signature\t{SIGNATURE}",
        "X-OpenTrain-Signature: t=1781265600,\n\tv1=" + "a" * 64,
        "X-OpenTrain-Signature: t=1781265600\nv1=" + "a" * 64,
        "t=1781265600\nv1=" + "a" * 64,
        f"X-OpenTrain-Signature: {SIGNATURE[:40]}\n{SIGNATURE[40:]}",
        f'{{"X-OpenTrain-Signature": "{SIGNATURE}"}}',
        f'{{"X-OpenTrain-Signature":["{SIGNATURE}"]}}',
        f"{{'X-OpenTrain-Signature': '{SIGNATURE}'}}",
        f"('X-OpenTrain-Signature', '{SIGNATURE}'),",
        f'"X-OpenTrain-Signature" => "{SIGNATURE}",',
        f"X-OpenTrain-Signature => {SIGNATURE}",
        f"    [X-OpenTrain-Signature] => {SIGNATURE}",
        f"map[X-OpenTrain-Signature:[{SIGNATURE}]]",
        f'{{"name": "X-OpenTrain-Signature", "value": "{SIGNATURE}"}}',
        f'"name": "X-OpenTrain-Signature",\n"value": "{SIGNATURE}"',
        f"curl -H X-OpenTrain-Signature:{SIGNATURE} https://example.com",
        f"curl -H $'X-OpenTrain-Signature: {SIGNATURE}'",
        f"X-OpenTrain-Signature:\u00a0\u200b{SIGNATURE}\ufeff",
        f"\u201cX-OpenTrain-Signature\u201d: \u201c{SIGNATURE}\u201d,",
        f"X-OpenTrain-Signature: `{SIGNATURE}`",
        f"`X-OpenTrain-Signature: {SIGNATURE}`",
        f"\u201cX-OpenTrain-Signature: {SIGNATURE}\u201d",
        f"'X-OpenTrain-Signature: {SIGNATURE}',",
        f"2026-06-12 12:00:00 INFO x-opentrain-signature={SIGNATURE} 401",
    ],
)
def test_parse_headers_reads_them_in_every_spelling(text: str) -> None:
    [(name, value)] = parse_headers(text)
    assert (name.lower(), value) == (PAIR[0].lower(), SIGNATURE)


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


def test_parse_headers_reads_names_and_values_on_lines_of_their_own() -> None:
    text = f"Content-Type:\napplication/json\nX-OpenTrain-Signature:\n{SIGNATURE}\nX-OpenTrain-Delivery:\ndlv_1"
    assert parse_headers(text) == [("Content-Type", "application/json"), PAIR, ("X-OpenTrain-Delivery", "dlv_1")]


def test_parse_headers_of_json_on_one_line_reads_all() -> None:
    text = f'{{"method": "POST", "headers": {{"Host": "a", "X-OpenTrain-Signature": "{SIGNATURE}"}}}}'
    assert parse_headers(text) == [("method", "POST"), ("Host", "a"), PAIR]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (f"X-OpenTrain-Signature:\nX-OpenTrain-Signature: {SIGNATURE}", ["", SIGNATURE]),
        (f"X-OpenTrain-Signature:\n{SIGNATURE}\n{SIGNATURE}", [SIGNATURE, SIGNATURE]),
        (f"X-OpenTrain-Signature: {SIGNATURE},", [f"{SIGNATURE},"]),
        (f"X-OpenTrain-Signature: {SIGNATURE}\nabcdef", [SIGNATURE]),
    ],
)
def test_parse_headers_joins_only_what_belongs_together(text: str, values: list[str]) -> None:
    assert [value for name, value in parse_headers(text) if name == PAIR[0]] == values
