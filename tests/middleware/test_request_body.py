"""Request bodies: read up to the limit in any transfer form, and known to be complete or not."""

import io
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory

from dashboard.middleware.request_body import read_body

LIMIT = 100


class Stream(io.BytesIO):
    """A body that records how many bytes were read, and may end early."""

    def __init__(self, body: bytes, *, breaks: bool = False) -> None:
        super().__init__(body)
        self.breaks = breaks

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(min(size or 10, 10) if size and size > 0 else 10)
        if not piece and self.breaks:
            raise ConnectionResetError
        return piece


def request(stream: Stream, **environ: Any) -> WSGIRequest:
    made = RequestFactory().post("/", content_type="application/json")
    return WSGIRequest(made.environ | {"wsgi.input": stream} | environ)


def announced(body: bytes, *, length: int | None = None, breaks: bool = False) -> WSGIRequest:
    return request(Stream(body, breaks=breaks), CONTENT_LENGTH=str(len(body) if length is None else length))


def chunked(body: bytes, *, breaks: bool = False, terminated: bool = True) -> WSGIRequest:
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "", "wsgi.input_terminated": terminated}
    return request(Stream(body, breaks=breaks), **environ)


@pytest.mark.parametrize("make", [announced, chunked])
@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_body_within_the_limit_is_whole(make: Any, size: int) -> None:
    assert read_body(make(b"x" * size), limit=LIMIT) == (b"x" * size, True)


@pytest.mark.parametrize("make", [announced, chunked])
@pytest.mark.parametrize("size", [LIMIT + 1, 10 * LIMIT])
def test_larger_body_is_cut_one_byte_beyond_the_limit(make: Any, size: int) -> None:
    assert read_body(make(b"x" * size), limit=LIMIT) == (b"x" * (LIMIT + 1), True)


def test_body_that_is_too_large_is_read_on_a_while_and_then_left() -> None:
    stream = Stream(b"x" * 1000 * LIMIT)
    read_body(request(stream, CONTENT_LENGTH=str(1000 * LIMIT)), limit=LIMIT)
    assert LIMIT < stream.tell() < 10 * LIMIT


def test_body_whose_sender_goes_away_is_not_whole() -> None:
    assert read_body(chunked(b"xyz", breaks=True), limit=LIMIT) == (b"xyz", False)
    assert read_body(announced(b"xyz", length=4, breaks=True), limit=LIMIT) == (b"xyz", False)


def test_body_shorter_than_announced_is_not_whole() -> None:
    assert read_body(announced(b"xyz", length=4), limit=LIMIT) == (b"xyz", False)


def test_chunked_body_is_read_only_from_a_server_that_knows_its_end() -> None:
    assert read_body(chunked(b"xyz", terminated=False), limit=LIMIT)[0] == b""
