"""Reading one HTTP/1.1 response from its bytes, in whatever pieces they arrive. No I/O.

What the whole answer is worth is decided by its status, so everything after the head is read leniently: a body that
breaks or is too large is a note (`fault`), not an error. Interim responses (1xx) are skipped. A response whose end is
not certain is still an answer, but its connection is not used again (`reusable`).

Source: RFC 9112, 2 to 7; RFC 9110, 15.2.
"""

import re
from collections.abc import Generator

from dashboard.rules.causes import Cause
from dashboard.rules.headers import first_of, is_name, values_of

LINES_BYTES = 96 * 1024
"""Most bytes of the lines between chunks. Chunks of one byte take the event loop longer than all else together."""
_STARTS = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) +([0-9]{3})(?:[ \t].*)?", re.DOTALL)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?", re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,18}")
_SWITCHING = 101
_INTERIM = range(100, 200)
_BODYLESS = {204, 304}

_Steps = Generator[None, None, None]


class NotHttp(Exception):
    """What arrived is not HTTP/1."""


class HeadTooLarge(Exception):
    """The status line and headers exceed their limit, including interim responses."""


class HeadCutOff(Exception):
    """The connection ended within the head."""


class _Ended(Exception):
    """The connection has ended before the next byte that is needed."""


class AnswerReader:
    """The state of one response.

    `status` and `headers` are set once the head of the final response is complete. `done` is True once nothing more is
    needed. `body` has the raw bytes, at most `kept_bytes`; after `max_bytes` the rest is not read. `fault` says what
    was wrong with the body: CUT_OFF, TOO_LARGE (also where it comes in too many pieces) or GARBLED.
    """

    __slots__ = (
        "_buffer", "_ended", "_kept_bytes", "_left", "_lines_left", "_searched", "_steps", "body", "done", "fault",
        "headers", "reusable", "status", "untouched",
    )  # fmt: skip

    def __init__(self, *, head_bytes: int, max_bytes: int, kept_bytes: int) -> None:
        self.status: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()
        self.fault = Cause.NONE
        self.done = False
        self.reusable = True
        self.untouched = True
        """Whether not a byte has arrived yet."""
        self._buffer = bytearray()
        self._searched = 0
        self._ended = False
        self._lines_left = head_bytes
        self._left = max_bytes
        self._kept_bytes = kept_bytes
        self._steps = self._read()
        next(self._steps)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises: NotHttp, HeadTooLarge."""
        self.untouched = False
        if self.done:
            self.reusable = False  # It sends more than it announced.
            return
        self._buffer += data
        self._advance()

    def end(self) -> None:
        """Take note that the connection has ended. Raises: HeadCutOff if the head is not complete."""
        self.reusable = False
        self._ended = True
        if not self.done:
            self._advance()

    def _advance(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self.done = True
            self.reusable = self.reusable and not self._buffer and not self.fault

    def _read(self) -> _Steps:
        yield
        try:
            version, status, headers = yield from self._head()
            while status in _INTERIM and status != _SWITCHING:
                version, status, headers = yield from self._head()
        except _Ended as error:
            raise HeadCutOff from error
        self.status, self.headers = status, tuple(headers)
        self.reusable = self.reusable and version >= 1 and "close" not in _listed(self.headers, "connection")
        self._lines_left = min(self._left, LINES_BYTES)
        try:
            yield from self._body(status)
        except _Ended:
            self.fault = Cause.CUT_OFF
        except NotHttp:
            self.fault = Cause.GARBLED
        except (_TooMuch, HeadTooLarge):
            self.fault = Cause.TOO_LARGE

    def _head(self) -> Generator[None, None, tuple[int, int, list[tuple[str, str]]]]:
        """Read a status line and its headers."""
        line = b""
        while not line:  # Empty lines before it are left over from a careless response.
            line = yield from self._line(starts=_STARTS)
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise NotHttp
        headers = yield from self._fields()
        return int(found[1]), int(found[2]), headers

    def _fields(self) -> Generator[None, None, list[tuple[str, str]]]:
        """Read headers, or trailers, up to the empty line. A line that is no header is left out."""
        fields: list[tuple[str, str]] = []
        while line := (yield from self._line()).decode("latin-1"):
            name, colon, value = line.partition(":")
            if line[0] in " \t" and fields:  # a folded line (RFC 9112, 5.2)
                fields[-1] = (fields[-1][0], f"{fields[-1][1]} {line.strip()}".strip())
            elif colon and is_name(name):
                fields.append((name, value.strip(" \t")))
            else:
                self.reusable = False
        return fields

    def _line(self, *, starts: bytes = b"") -> Generator[None, None, bytes]:
        """Read a line, ended by CRLF or LF, and return it without its end."""
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            if len(self._buffer) > self._lines_left:
                raise HeadTooLarge
            if not starts.startswith(bytes(self._buffer[: len(starts)]).lstrip(b"\r")):
                raise NotHttp
            self._searched = len(self._buffer)
            yield from self._more()
        self._searched = 0
        self._lines_left -= end + 1
        if self._lines_left < 0:
            raise HeadTooLarge
        return bytes(self._pop(end + 1)).removesuffix(b"\n").removesuffix(b"\r")

    def _body(self, status: int) -> _Steps:
        if status in _BODYLESS or status == _SWITCHING:
            self.reusable = self.reusable and status != _SWITCHING
            return
        codings = [coding for coding in _listed(self.headers, "transfer-encoding") if coding != "identity"]
        lengths = set(_listed(self.headers, "content-length"))  # Equal ones are one (RFC 9112, 6.3).
        length = "".join(lengths) if len(lengths) == 1 else ""
        if codings:
            self.reusable = self.reusable and not length  # Which of both holds is what smuggling is about.
            yield from self._chunks() if codings[-1] == "chunked" else self._rest()
        elif _LENGTH.fullmatch(length):
            yield from self._exactly(int(length))
        else:
            yield from self._rest()
            if lengths:
                raise NotHttp  # Different lengths, or one that is no number: where the body ends is anyone's guess.

    def _chunks(self) -> _Steps:
        while True:
            found = _CHUNK_SIZE.fullmatch((yield from self._line()))
            if found is None:
                raise NotHttp
            size = int(found[1], 16)
            if size == 0:
                break
            yield from self._exactly(size)
            if (yield from self._line()):
                raise NotHttp
        try:
            yield from self._fields()
        except _Ended:
            return  # Only the trailers are missing.

    def _exactly(self, count: int) -> _Steps:
        while count:
            if not self._buffer:
                yield from self._more()
            piece = self._pop(count)
            count -= len(piece)
            self._keep(piece)

    def _rest(self) -> _Steps:
        """Read until the connection ends."""
        self.reusable = False
        while True:
            self._keep(self._pop(len(self._buffer)))
            if self._ended:
                return
            yield

    def _keep(self, piece: bytearray) -> None:
        self.body += piece[: max(self._kept_bytes - len(self.body), 0)]
        self._left -= len(piece)
        if self._left < 0:
            raise _TooMuch

    def _pop(self, count: int) -> bytearray:
        piece = self._buffer[:count]
        del self._buffer[:count]
        return piece

    def _more(self) -> _Steps:
        if self._ended:
            raise _Ended
        yield
        if self._ended and not self._buffer:
            raise _Ended


class _TooMuch(Exception):
    """The body exceeds its limit."""


def _listed(headers: tuple[tuple[str, str], ...], name: str) -> list[str]:
    """Return the elements of a header that is a list, in lower case."""
    if first_of(headers, name) is None:
        return []
    return [part.strip().lower() for value in values_of(headers, name) for part in value.split(",") if part.strip()]
