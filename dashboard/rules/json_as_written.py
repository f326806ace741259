"""JSON as it was written: numbers, escapes, doubled keys and the order of keys stay as they were sent.

Python's values would not: `1250.00` becomes 1250.0, `1E400` infinity, and of a doubled key only the last value is left.
"""

import json
import re
from collections.abc import Iterator

from dashboard.rules.invisible import is_visible
from dashboard.rules.json_limits import Decoder

_NO_ESCAPE = re.compile(r"""\\(?!["/bfnrt]|u[0-9a-fA-F]{4})""")
_UNICODE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL)


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Fields(list[tuple[str, object]]):
    """The fields of an object in their order, each field of a doubled key among them."""

    __slots__ = ()


def read(body: bytes) -> object:
    """Return the JSON: Fields, lists, Numbers, booleans, None, and strings as written between their quotes.

    Raises: ValueError if the body is not JSON in UTF-8, -16 or -32; TooDeep, a ValueError, if it is nested too deeply.
    """
    text = body.decode(json.detect_encoding(body))
    return _DECODER.decode(_with_escapes_doubled(text) if "\\" in text and "\0" not in text else text)


_DECODER = Decoder(parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=Fields)


def _with_escapes_doubled(text: str) -> str:
    """Return JSON whose strings are the content of the given ones as written, escapes and all.

    Raises: ValueError if an escape is not one of JSON's.
    """
    text = text.replace("\\\\", "\0")  # no JSON has a NUL
    if wrong := _NO_ESCAPE.search(text):
        raise json.JSONDecodeError("Invalid escape", text, wrong.start())
    return text.replace("\\", "\\\\").replace('\\\\"', '\\\\\\"').replace("\0", "\\\\\\\\")


def readable(written: str) -> str:
    """Return a string with letters for its \\u escapes, except of characters that nobody sees. Other escapes stay."""
    return _UNICODE.sub(_letter, written) if "\\u" in written else written


def _letter(match: re.Match[str]) -> str:
    units = match[0].split("\\u")[1:]
    char = b"".join(bytes.fromhex(unit) for unit in units).decode("utf-16-be", errors="surrogatepass")
    return char if units and is_visible(char) and char not in {'"', "\\"} else match[0]


def plain(value: object) -> str:
    """Return a value that is neither an object nor a list, as JSON."""
    if isinstance(value, Number):
        return str(value)
    return f'"{readable(value)}"' if isinstance(value, str) else json.dumps(value)


def indented(value: object, *, most: int) -> str:
    """Return the JSON on indented lines, and stop just past `most` characters: deep JSON would be mostly spaces."""
    pieces, size = [], 0
    for piece in _pieces(value, "\n"):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            break
    return "".join(pieces)


def _pieces(value: object, line: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield plain(value)
        return
    begin, end = "{}" if isinstance(value, Fields) else "[]"
    inner = f"{line}  "
    before = begin + inner
    for item in value:
        yield before
        before = f",{inner}"
        if isinstance(value, Fields):
            name, item = item  # noqa: PLW2901
            yield f'"{readable(name)}": '
        yield from _pieces(item, inner)
    yield f"{line}{end}" if value else begin + end
