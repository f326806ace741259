"""What a body may have been before something on its way wrote it anew.

An HMAC does not say what was signed, so the doctor guesses: the usual ways in which frameworks and people change a
body, undone one by one. The work is bounded: see READ_BYTES, SMALL_BYTES and WRITTEN_CHARS.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from dashboard.rules import json_limits

READ_BYTES = 1024 * 1024
"""Larger bodies are not guessed at; the receiver does not take them either."""
SMALL_BYTES = 64 * 1024
"""Indented JSON, which is slow to write, is tried up to this size."""
WRITTEN_CHARS = 1024 * 1024
"""Indented JSON is given up beyond this: deep nesting makes it grow without bound."""
_BOM = b"\xef\xbb\xbf"
_ORDER = ("id", "type", "apiVersion", "createdAt", "resourceId", "jobId", "data")
"""Source: partner-api, "Deliveries", "Body"."""
_COMPACT, _SPACED = (",", ":"), (", ", ": ")
_INDENTS = ((2, "indented by 2"), (4, "indented by 4"), ("\t", "indented by tabs"))


@dataclass(frozen=True, slots=True)
class Variant:
    """A body as it may have been signed, and how it differs from the one that is there: "without …", "written as …"."""

    how: str
    body: bytes = field(repr=False)


def variants(body: bytes) -> Iterator[Variant]:
    """Give what the body may have been, the likeliest first, none twice and never the body itself."""
    if len(body) > READ_BYTES:
        return
    seen = {body}
    for variant in itertools.chain(_ends(body), _json(body), _characters(body)):
        if variant.body not in seen:
            seen.add(variant.body)
            yield variant


def _ends(body: bytes) -> Iterator[Variant]:
    yield Variant("without the newline at its end", body.removesuffix(b"\n").removesuffix(b"\r"))
    yield Variant("with a newline at its end", body + b"\n")
    yield Variant("with a line end CR LF at its end", body + b"\r\n")
    yield Variant("without the spaces and newlines around it", body.strip())
    line_feeds = body.replace(b"\r\n", b"\n")
    yield Variant("with LF instead of CR LF at the ends of its lines", line_feeds)
    yield Variant("with CR LF instead of LF at the ends of its lines", line_feeds.replace(b"\n", b"\r\n"))


def _characters(body: bytes) -> Iterator[Variant]:
    yield Variant("without the byte order mark before it", body.removeprefix(_BOM))
    yield Variant("with a byte order mark before it", _BOM + body)
    for how, read, written in (
        ("in UTF-8 instead of Latin-1", "latin-1", "utf-8"),
        ("in UTF-8 that was not taken for Latin-1 and written as UTF-8 again", "utf-8", "latin-1"),
        ("in UTF-8 instead of UTF-16", "utf-16", "utf-8"),
    ):
        try:
            yield Variant(how, body.decode(read).encode(written))
        except ValueError:
            continue


def _json(body: bytes) -> Iterator[Variant]:
    try:
        value = json_limits.loads(body.removeprefix(_BOM))
    except ValueError:
        return
    if isinstance(value, str):
        yield Variant("as it is inside the JSON string that it was put into", value.encode(errors="replace"))
    for how, text in _texts(value, small=len(body) <= SMALL_BYTES):
        try:
            raw = text.encode()
        except ValueError:
            continue
        yield Variant(f"written as JSON {how}", raw)
        yield Variant(f"written as JSON {how}, with a newline at its end", raw + b"\n")


def _texts(value: object, *, small: bool) -> Iterator[tuple[str, str]]:
    """Give the value as JSON in the ways that libraries write it; the likeliest first."""
    orders = [(value, False, "")]
    if isinstance(value, dict):
        orders.append((value, True, ", keys sorted"))
        first = {name: value[name] for name in _ORDER if name in value}
        orders.append((first | value, False, ", keys in OpenTrain's order"))
    layouts: list[tuple[str | int | None, tuple[str, str] | None, str]] = [
        (None, _COMPACT, "without spaces"),
        (None, _SPACED, "with a space after each comma and colon"),
    ]
    if small:
        layouts += [(indent, None, how) for indent, how in _INDENTS]
    for (indent, separators, layout), (ordered, sort, order) in itertools.product(layouts, orders):
        for escape, escaped in ((False, ""), (True, ", other characters as \\u escapes")):
            encoder = json.JSONEncoder(
                indent=indent, separators=separators, sort_keys=sort, ensure_ascii=escape, check_circular=False
            )
            text = _written(encoder, ordered)
            if text is not None:
                yield f"{layout}{order}{escaped}", text


def _written(encoder: json.JSONEncoder, value: object) -> str | None:
    if encoder.indent is None:
        return encoder.encode(value)
    pieces, size = [], 0
    for piece in encoder.iterencode(value):
        pieces.append(piece)
        size += len(piece)
        if size > WRITTEN_CHARS:
            return None
    return "".join(pieces)
