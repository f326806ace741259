"""Variants of a body that was changed on the way.

An HMAC does not reveal what was signed, so the doctor undoes the common changes of frameworks and people one by one.
The work is bounded by READ_BYTES, SMALL_BYTES and WRITTEN_CHARS, and by the limits of unwrapped.py and restored.py.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from dashboard.rules.doctor.json_texts import decoded, is_markable, marked, read, unmarked
from dashboard.rules.doctor.key_orders import documented, event_first, indexes_moved, with_null
from dashboard.rules.doctor.restored import restored
from dashboard.rules.doctor.unwrapped import unwrapped

READ_BYTES = 1024 * 1024
"""Maximum size for variants; the receiver does not accept larger bodies either."""
SMALL_BYTES = 64 * 1024
"""Maximum size for what is slow: indented JSON, unwrapped texts, and what was lost put back."""
UNWRAPPED_BYTES = 16 * 1024 * 1024
"""Maximum number of bytes of all unwrapped texts."""
RESTORED_TEXTS = 3
"""In how many unwrapped texts what a rewriting lost is put back."""
FORMS = 5
"""In how many forms an unwrapped text is tried."""
WRITTEN_CHARS = 1024 * 1024
"""Maximum length of indented JSON, which deep nesting would make grow without bound."""
_BOM = b"\xef\xbb\xbf"
_COMPACT, _SPACED = (",", ":"), (", ", ": ")
_INDENTS = ((2, "indented by 2"), (4, "indented by 4"), ("\t", "indented by tabs"))
_HTML = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True)
class Variant:
    """A possible original body, and how it differs from the given one: "without …", "written as …".

    `is_escaped`: the given one is the same text, escaped or wrapped. `is_guess`: it has something that is not in the
    given one.
    """

    how: str
    body: bytes = field(repr=False)
    is_escaped: bool = False
    is_guess: bool = False


def variants(body: bytes) -> Iterator[Variant]:
    """Yield possible original bodies, the likeliest first, without duplicates and without the body itself."""
    if len(body) > READ_BYTES:
        return
    seen = {body}
    for variant in itertools.chain(_ends(body), _json(body), _characters(body), _unwrapped(body), _restored(body)):
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
    for how, charset, written in (
        ("in UTF-8 instead of Latin-1", "latin-1", "utf-8"),
        ("in UTF-8 that was not encoded as UTF-8 twice", "utf-8", "latin-1"),
        ("in UTF-8 instead of UTF-16", "utf-16", "utf-8"),
        ("in UTF-8 instead of Windows-1252", "cp1252", "utf-8"),
        ("in UTF-8 that was not read as Windows-1252 and encoded again", "utf-8", "cp1252"),
    ):
        try:
            yield Variant(how, body.decode(charset).encode(written))
        except ValueError:
            continue


def _json(body: bytes) -> Iterator[Variant]:
    value = _value(body)
    if value is None:
        return
    for how, text in _texts(marked(value), small=len(body) <= SMALL_BYTES):
        yield from _variant(f"written as JSON {how}", text)
        yield from _variant(f"written as JSON {how}, with a final newline", text + "\n")


def _value(body: bytes) -> object:
    """Return the JSON's value, or None if the body is no JSON that can be written anew, or null."""
    try:
        text = decoded(body.removeprefix(_BOM))
        return read(text) if is_markable(text) else None
    except ValueError:
        return None


def _variant(how: str, text: str, *, is_escaped: bool = False, is_guess: bool = False) -> Iterator[Variant]:
    try:
        yield Variant(how, text.encode(), is_escaped, is_guess)
    except ValueError:  # half of a surrogate pair
        return


def _texts(value: object, *, small: bool) -> Iterator[tuple[str, str]]:
    """Yield the value as JSON in the formats of common libraries, the likeliest first."""
    layouts: list[tuple[str | int | None, tuple[str, str] | None, str]] = [
        (None, _COMPACT, "without spaces"),
        (None, _SPACED, "with a space after each comma and colon"),
    ]
    if small:
        layouts += [(indent, None, how) for indent, how in _INDENTS]
    for (indent, separators, layout), (ordered, sort, order) in itertools.product(layouts, _orders(value)):
        for escape, escaped in ((False, ""), (True, ", other characters as \\u escapes")):
            encoder = json.JSONEncoder(
                indent=indent, separators=separators, sort_keys=sort, ensure_ascii=escape, check_circular=False
            )
            text = _written(encoder, ordered)
            if text is not None:
                text = unmarked(text)
                yield f"{layout}{order}{escaped}", text
                yield f"{layout}{order}{escaped}, slashes as \\/", text.replace("/", "\\/")
                yield f"{layout}{order}{escaped}, <, > and & as \\u escapes", text.translate(_HTML)


def _orders(value: object) -> list[tuple[object, bool, str]]:
    """Return the value with its keys in different orders, whether to sort them, and the order in words."""
    orders = [(value, False, "")]
    if isinstance(value, dict):
        first = event_first(value)
        orders.append((value, True, ", keys sorted"))
        orders.append((first, False, ", keys in OpenTrain's order"))
        orders.append((documented(first), False, ", keys in OpenTrain's order at every level"))
    return orders


def _unwrapped(body: bytes) -> Iterator[Variant]:
    """Yield the texts that may have been escaped or wrapped into the body, and their JSON in the likeliest forms."""
    if len(body) > SMALL_BYTES:
        return
    try:
        text = body.removeprefix(_BOM).decode()
    except ValueError:
        return
    left = UNWRAPPED_BYTES
    for how, new in unwrapped(text):
        left -= FORMS * len(new.encode(errors="replace"))
        if left < 0:
            return
        yield from _variant(how, new, is_escaped=True)
        yield from _variant(f"{how}, without its final newline", new.rstrip("\r\n"), is_escaped=True)
        yield from _variant(f"{how}, with a final newline", new + "\n", is_escaped=True)
        for order, compact in _compact(_value(new.encode(errors="replace"))):
            yield from _variant(f"{how}, then written as JSON without spaces{order}", compact, is_escaped=True)


def _compact(value: object) -> Iterator[tuple[str, str]]:
    """Yield the JSON without spaces, as read and with its keys in OpenTrain's order; nothing without a value."""
    if value is not None:
        yield "", _plain(value)
    if isinstance(value, dict):
        yield ", keys in OpenTrain's order at every level", _plain(documented(event_first(value)))


def _plain(value: object) -> str:
    return unmarked(json.dumps(marked(value), separators=_COMPACT, ensure_ascii=False))


def _restored(body: bytes) -> Iterator[Variant]:
    """Yield the body, or what was wrapped into it, with something put back that a rewriting lost."""
    if len(body) > SMALL_BYTES:
        return
    value, bases = _value(body), dict[str, str]()
    if value is not None:
        for how, changed in (*with_null(value), *indexes_moved(value)):
            yield from _variant(f"written as JSON without spaces, {how}", _plain(changed), is_guess=True)
        bases[decoded(body.removeprefix(_BOM))] = ""
        for order, text in _compact(value):
            bases.setdefault(text, f"written as JSON without spaces{order}")
    for how, text in itertools.islice(_unwrapped_json(body), RESTORED_TEXTS):
        bases.setdefault(text, how)
    for how, text in restored([(how, base) for base, how in bases.items()]):
        yield from _variant(how, text, is_guess=True)


def _unwrapped_json(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the objects and lists that may have been escaped or wrapped into the body, as they are written."""
    try:
        text = body.removeprefix(_BOM).decode()
    except ValueError:
        return
    for how, new in unwrapped(text):
        if isinstance(_value(new.encode(errors="replace")), dict | list):
            yield how, new


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
