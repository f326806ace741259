"""Variants of a body that was changed on the way.

An HMAC does not reveal what was signed, so the doctor undoes the common changes of frameworks and people one by one.
The work is bounded by READ_BYTES, SMALL_BYTES and WRITTEN_CHARS.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from dashboard.rules import json_limits

READ_BYTES = 1024 * 1024
"""Maximum size for variants; the receiver does not accept larger bodies either."""
SMALL_BYTES = 64 * 1024
"""Maximum size for indented JSON, which is slow to write."""
WRITTEN_CHARS = 1024 * 1024
"""Maximum length of indented JSON, which deep nesting would make grow without bound."""
_BOM = b"\xef\xbb\xbf"
_ORDER = ("id", "type", "apiVersion", "createdAt", "resourceId", "jobId", "data")
"""Source: partner-api, "Deliveries", "Body"."""
_COMPACT, _SPACED = (",", ":"), (", ", ": ")
_INDENTS = ((2, "indented by 2"), (4, "indented by 4"), ("\t", "indented by tabs"))


@dataclass(frozen=True, slots=True)
class Variant:
    """A possible original body, and how it differs from the given one: "without …", "written as …"."""

    how: str
    body: bytes = field(repr=False)


def variants(body: bytes) -> Iterator[Variant]:
    """Yield possible original bodies, the likeliest first, without duplicates and without the body itself."""
    if len(body) > READ_BYTES:
        return
    seen = {body}
    for variant in itertools.chain(_ends(body), _json(body), _characters(body)):
        if variant.body not in seen:
            seen.add(variant.body)
            yield variant


def _ends(body: bytes) -> Iterator[Variant]:
    yield Variant("without its final newline", body.removesuffix(b"\n").removesuffix(b"\r"))
    yield Variant("with a final newline", body + b"\n")
    yield Variant("with a final CR LF", body + b"\r\n")
    yield Variant("without the surrounding spaces and newlines", body.strip())
    line_feeds = body.replace(b"\r\n", b"\n")
    yield Variant("with LF instead of CR LF as line endings", line_feeds)
    yield Variant("with CR LF instead of LF as line endings", line_feeds.replace(b"\n", b"\r\n"))


def _characters(body: bytes) -> Iterator[Variant]:
    yield Variant("without its byte order mark", body.removeprefix(_BOM))
    yield Variant("with a byte order mark", _BOM + body)
    for how, read, written in (
        ("in UTF-8 instead of Latin-1", "latin-1", "utf-8"),
        ("in UTF-8 that was not encoded as UTF-8 twice", "utf-8", "latin-1"),
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
        yield Variant("as the content of this JSON string", value.encode(errors="replace"))
    for how, text in _texts(value, small=len(body) <= SMALL_BYTES):
        try:
            raw = text.encode()
        except ValueError:
            continue
        yield Variant(f"written as JSON {how}", raw)
        yield Variant(f"written as JSON {how}, with a final newline", raw + b"\n")


def _texts(value: object, *, small: bool) -> Iterator[tuple[str, str]]:
    """Yield the value as JSON in the formats of common libraries, the likeliest first."""
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
