"""Reading a response from its bytes: any split of them gives the same answer, and only a broken head is an error."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.causes import Cause
from dashboard.services.http.answers import AnswerReader, HeadCutOff, HeadTooLarge, NotHttp
from tests.services.misbehaving import chunked, head

CHUNKED = head(200, "Transfer-Encoding: chunked")


def read(*pieces: bytes, ended: bool = False, head_bytes: int = 1000, max_bytes: int = 100, kept_bytes: int = 50):
    reader = AnswerReader(head_bytes=head_bytes, max_bytes=max_bytes, kept_bytes=kept_bytes)
    for piece in pieces:
        reader.feed(piece)
    if ended:
        reader.end()
    return reader


def said(reader: AnswerReader) -> tuple[object, ...]:
    return (reader.status, bytes(reader.body), reader.fault, reader.done, reader.reusable)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (head(200, "Content-Length: 3") + b"abc", b"abc"),
        (head(200, "Content-Length: 0"), b""),
        (head(200, "Content-Length: 3", "Content-Length: 3") + b"abc", b"abc"),
        (head(200, "Content-Length: 3, 3") + b"abc", b"abc"),
        (CHUNKED + chunked(b"ab", b"c"), b"abc"),
        (CHUNKED + b'1;name="value"\r\na\r\n02 \r\nbc\r\n0\r\nTrailer: 1\r\n\r\n', b"abc"),
        (head(200, "Transfer-Encoding: identity", "Content-Length: 3") + b"abc", b"abc"),
        (head(204), b""),
        (head(304, "Content-Length: 3"), b""),
        (head(200, "Content-Length: 3").replace(b"\r\n", b"\n") + b"abc", b"abc"),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", b"a"),
        (b"\r\n\r\n" + head(200, "Content-Length: 1") + b"a", b"a"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + head(103, "Link: </a>") + head(200, "Content-Length: 1") + b"a", b"a"),
    ],
)
def test_response_with_a_certain_end_is_done_without_waiting_and_its_connection_is_reusable(data, body) -> None:
    reader = read(data)
    assert (bytes(reader.body), reader.fault, reader.done, reader.reusable) == (body, Cause.NONE, True, True)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (head(204) + b"a body all the same", b""),
        (head(204, "Content-Length: 4") + b"body", b""),
        (head(200, "Content-Length: 1") + b"ab", b"a"),
        (head(200, "Content-Length: 1", "Connection: Keep-Alive, Close") + b"a", b"a"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na", b"a"),
        (head(200, "Content-Length: 9", "Transfer-Encoding: chunked") + chunked(b"a"), b"a"),
        (head(200, "Content-Length: 1", "a line that is no header") + b"a", b"a"),
        (head(200, "Content-Length: 1", "Name : value") + b"a", b"a"),
        (head(101, "Upgrade: h2c"), b""),
    ],
)
def test_connection_that_may_hold_something_else_is_not_reusable(data, body) -> None:
    reader = read(data)
    assert (bytes(reader.body), reader.fault, reader.done, reader.reusable) == (body, Cause.NONE, True, False)


def test_bytes_after_the_end_make_the_connection_unusable() -> None:
    assert said(read(head(200, "Content-Length: 1") + b"a", b"more")) == (200, b"a", Cause.NONE, True, False)


@pytest.mark.parametrize(
    ("framing", "fault"),
    [
        ((), Cause.NONE),
        (("Content-Length: 1", "Content-Length: 2"), Cause.GARBLED),
        (("Content-Length: 1, 2",), Cause.GARBLED),
        (("Content-Length: -1",), Cause.GARBLED),
        (("Transfer-Encoding: gzip",), Cause.NONE),
    ],
    ids=["none", "two lengths", "a list of two", "no length", "not chunked"],
)
def test_body_without_a_certain_length_ends_with_the_connection(framing: tuple[str, ...], fault: Cause) -> None:
    reader = read(head(200, *framing) + b"a", b"b")
    assert (reader.status, reader.done) == (200, False)
    reader.end()
    assert said(reader) == (200, b"ab", fault, True, False)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (head(200, "Content-Length: 3") + b"ab", Cause.CUT_OFF),
        (CHUNKED + b"5\r\nab", Cause.CUT_OFF),
        (CHUNKED + b"2\r\nab\r\n", Cause.CUT_OFF),
        (CHUNKED + b"2\r\nab\r\n0\r\n", Cause.NONE),
        (CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", Cause.GARBLED),
        (CHUNKED + b"2\r\nab\r\nnonsense\r\n", Cause.GARBLED),
        (CHUNKED + b"2\r\nab\r\n-1\r\n", Cause.GARBLED),
        (CHUNKED + b"2\r\nab\r\n1;" + b"x" * 2000, Cause.TOO_LARGE),
    ],
)
def test_broken_body_is_a_fault_beside_the_status_and_keeps_what_came(data, fault) -> None:
    assert said(read(data, ended=True)) == (200, b"ab", fault, True, False)


@pytest.mark.parametrize(
    "data",
    [head(200, "Content-Length: 101") + b"a" * 101, head(200) + b"a" * 101, CHUNKED + chunked(b"a" * 60, b"a" * 60)],
    ids=["length", "until the end", "chunked"],
)
def test_body_over_its_limit_is_a_fault_and_is_kept_up_to_what_is_asked_for(data: bytes) -> None:
    assert said(read(data)) == (200, b"a" * 50, Cause.TOO_LARGE, True, False)


def test_body_that_is_larger_than_what_is_kept_is_read_to_its_end() -> None:
    assert said(read(head(200, "Content-Length: 90") + b"a" * 90)) == (200, b"a" * 50, Cause.NONE, True, True)


def test_body_in_many_small_chunks_is_read_to_its_end() -> None:
    reader = read(CHUNKED + chunked(*[b"a"] * 15_000), max_bytes=100_000, kept_bytes=20_000)
    assert said(reader) == (200, b"a" * 15_000, Cause.NONE, True, True)


def test_body_in_chunks_beyond_all_measure_is_not_read_to_its_end() -> None:
    """A response of one byte each would take the loop a third of a second, from all other deliveries."""
    given = CHUNKED + chunked(*[b"a"] * 30_000)
    reader = read(given, max_bytes=1_000_000, kept_bytes=50_000)
    assert (reader.status, reader.fault, reader.done, reader.reusable) == (200, Cause.TOO_LARGE, True, False)
    assert 15_000 < len(reader.body) < 25_000


def test_headers_keep_their_order_case_and_repetitions() -> None:
    lines = ["X-b: 1", "x-A:\t caf\xe9 ", "Set-Cookie: a=1; x", "Set-Cookie: b=2", "X-Folded: a", "  b", "Empty:"]
    reader = read(head(200, *lines, "Content-Length: 0"))
    assert reader.headers == (
        ("X-b", "1"), ("x-A", "caf\xe9"), ("Set-Cookie", "a=1; x"), ("Set-Cookie", "b=2"), ("X-Folded", "a b"),
        ("Empty", ""), ("Content-Length", "0"),
    )  # fmt: skip


def test_headers_of_interim_responses_are_not_those_of_the_final_one() -> None:
    reader = read(head(103, "Link: </a>") + head(200, "Content-Length: 0"))
    assert reader.headers == (("Content-Length", "0"),)


@pytest.mark.parametrize(
    "data", [b"220 smtp.example.com ready\r\n", b"\x15\x03\x01", b"HTTP/2 200\r\n", b"HTTP/1.1 OK\r\n"]
)
def test_what_is_not_http_is_known_at_its_first_bytes(data: bytes) -> None:
    with pytest.raises(NotHttp):
        read(data)


@pytest.mark.parametrize(
    "data",
    [head(200, "A: " + "a" * 1000), head(103, "A: 1") * 50, b"HTTP/1.1 200 " + b"a" * 1000, head(200, *["A: 1"] * 200)],
    ids=["long value", "endless interim", "long reason", "many headers"],
)
def test_head_over_its_limit_is_an_error(data: bytes) -> None:
    with pytest.raises(HeadTooLarge):
        read(data)


@pytest.mark.parametrize("data", [b"", b"HT", b"HTTP/1.1 200 OK\r\n", head(200, "A: 1")[:-2], head(103)])
def test_connection_that_ends_within_the_head_is_an_error(data: bytes) -> None:
    with pytest.raises(HeadCutOff):
        read(*([data] if data else []), ended=True)


def test_reader_is_untouched_until_a_byte_arrives() -> None:
    assert [read().untouched, read(b"H").untouched] == [True, False]


@given(
    data=st.sampled_from(
        [
            head(103, "Link: </a>") + head(200, "Content-Length: 3") + b"abc",
            CHUNKED + chunked(b"ab", b"c") + b"more",
            CHUNKED + b"2\r\nab\r\nnonsense\r\n",
            head(200) + b"until the end",
            head(204) + b"body",
            head(200, "X: a", " folded", "Content-Length: 200") + b"a" * 200,
        ]
    ),
    cuts=st.lists(st.integers(0, 250), max_size=20),
)
def test_response_in_any_pieces_is_the_same(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    whole, split = read(data, ended=True), read(*pieces, ended=True)
    assert (said(split), split.headers) == (said(whole), whole.headers)


@given(st.binary(max_size=200))
def test_reader_survives_any_bytes(noise: bytes) -> None:
    for before in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED):
        try:
            reader = read(before + noise, ended=True)
        except (NotHttp, HeadTooLarge, HeadCutOff):
            continue
        assert (reader.done, reader.reusable) == (True, False)
