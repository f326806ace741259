"""Bodies of HTTP messages as text for people: decompressed within a limit, and decoded with their declared charset.

The body and its headers are untrusted. Charset names are looked up in our own table: Python's codecs take other names
too, some of which are slow, are no charsets, or stay in memory for ever.

Source: RFC 9110, 8.3.2 and 8.4; RFC 7932, 9.1, for Brotli's window; labels of charsets: encoding.spec.whatwg.org, 4.2.
"""

import codecs
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import brotli

from dashboard.rules.headers import first_of, values_of

INFLATED_BYTES = 16 * 1024
"""Bytes of a compressed body that are shown, however many it holds. A page shows many responses at once."""
CODINGS = 3
"""Compressions of one body, one inside the other, that are undone."""

UTF_8 = "utf-8"
_WINDOWS = {"iso-8859-1": "cp1252", "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874"}
"""Charsets that browsers read as these, because most texts that declare them were written with these."""
_CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), UTF_8),
    **dict.fromkeys(("us-ascii", "ascii", "latin1", "latin-1", "l1", "cp819", "ibm819"), "cp1252"),
    **{f"iso-8859-{number}": f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))},
    **{f"windows-{number}": f"cp{number}" for number in range(1250, 1259)},
    **{f"cp{number}": f"cp{number}" for number in range(1250, 1259)},
    **{name: name for name in ("koi8-r", "koi8-u", "utf-16le", "utf-16be", "euc-jp", "iso-2022-jp")},
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms932", "windows-31j", "csshiftjis"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601", "windows-949"), "cp949"),
    **dict.fromkeys(("gb2312", "gb_2312-80", "gbk", "x-gbk", "gb18030", "windows-936", "cp936"), "gb18030"),
    **dict.fromkeys(("big5", "big5-hkscs", "x-x-big5", "cn-big5"), "big5hkscs"),
    "utf-16": "utf-16le", "windows-874": "cp874", "x-cp1252": "cp1252", "macintosh": "mac-roman", "ibm866": "cp866",
    **_WINDOWS,
}  # fmt: skip
_MARKS = ((codecs.BOM_UTF8, UTF_8), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
"""Byte order marks. They count more than what is declared."""

_GZIP, _EITHER = zlib.MAX_WBITS + 16, (zlib.MAX_WBITS, -zlib.MAX_WBITS)
"""Formats of a compressed body. What is called "deflate" should have zlib's header, but some servers omit it."""
_WINDOW_BITS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": _EITHER}
_BROTLI = "br"
_WIDE_WINDOWS = {0b1101, 0b1111}
"""How Brotli begins that asks for a window of 8 or 16 MiB. The decoder fills its window before it gives anything, so a
bomb of 90 bytes takes that much memory, and 28 ms of a core. With 4 MiB, the default of most encoders, it is 7 ms."""
_UNREADABLE = {"zstd": "Zstandard", "compress": "compress", "x-compress": "compress"}
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
_NO_TEXT = re.compile("[\udc00-\udcff]")


@dataclass(frozen=True, slots=True)
class ReadBody:
    """A body as text. Bytes that are no text are in it as ⟨0xFF⟩. `notes` say what is not as it arrived."""

    text: str
    notes: tuple[str, ...] = ()


def read(raw: bytes, *, most: int, headers: Iterable[Sequence[str]] = (), is_cut: bool = False) -> ReadBody:
    """Return the text of a body with these headers, of its first `most` characters.

    `is_cut` says that `raw` may be only the beginning of what was sent.
    """
    named = list(headers)
    body, notes, is_whole = _decompressed(raw, _codings(named), is_cut=is_cut)
    if body is None:
        return ReadBody("", tuple(notes))
    name, is_unknown = _charset(named, body)
    text = codecs.getincrementaldecoder(name)(_ERRORS).decode(body, is_whole)
    if is_unknown:
        notes.append("Its charset is not one that Redeliver knows: shown as UTF-8.")
    if _NO_TEXT.search(text):
        notes.append(f"Not {name.upper()} text: a byte that cannot be read is shown as its number, such as ⟨0xFF⟩.")
    return ReadBody(_NO_TEXT.sub(_number, text[:most]), tuple(notes))


def _number(byte: re.Match[str]) -> str:
    return f"⟨0x{ord(byte[0]) - 0xDC00:02X}⟩"


def _codings(headers: list[Sequence[str]]) -> list[str]:
    """Return how the body was compressed, the last step first."""
    listed = [name.strip().lower() for value in values_of(headers, "content-encoding") for name in value.split(",")]
    return [name for name in reversed(listed) if name not in {"", "identity"}]


def _decompressed(raw: bytes, codings: list[str], *, is_cut: bool) -> tuple[bytes | None, list[str], bool]:
    """Return the decompressed body, what to note about it, and whether it is whole; None if it cannot be read."""
    if not raw or not codings:
        return raw, [], not is_cut
    size = f"{len(raw):,} byte{'' if len(raw) == 1 else 's'}"
    odd = [coding for coding in codings if coding not in _WINDOW_BITS and coding != _BROTLI]
    if odd or len(codings) > CODINGS:
        return None, [f"{size}, {_unreadable(odd)}"], False
    names = " in ".join("Brotli" if coding == _BROTLI else coding.removeprefix("x-") for coding in reversed(codings))
    body, is_whole, is_limited = raw, True, False
    for coding in codings:
        inflated = _unbrotlied(body) if coding == _BROTLI else _inflated(body, _WINDOW_BITS[coding])
        if inflated is None:
            return raw, [f"Declared as {names}, but Redeliver cannot decompress it: shown as it arrived."], not is_cut
        body, is_whole = inflated[0][:INFLATED_BYTES], inflated[1] and is_whole
        is_limited = is_limited or len(inflated[0]) > INFLATED_BYTES
    left_out = "" if is_whole else "; the rest is missing or cannot be read"
    if is_limited:
        left_out = f"; only the first {INFLATED_BYTES // 1024} KiB are shown"
    return body, [f"Decompressed from {size} of {names}{left_out}."], not left_out


def _unreadable(odd: list[str]) -> str:
    name = _UNREADABLE.get(odd[0]) if odd else None
    if name is None:
        return "encoded in a way that Redeliver cannot read: see Content-Encoding."
    return f"compressed with {name}, which Redeliver cannot read."


def _inflated(body: bytes, formats: tuple[int, ...]) -> tuple[bytes, bool] | None:
    """Return what is compressed and whether it ends: at most one byte over INFLATED_BYTES. None: no such format."""
    for window_bits in formats:
        found, rest = bytearray(), body
        try:
            while rest:
                stream = zlib.decompressobj(window_bits)
                found += stream.decompress(rest, INFLATED_BYTES + 1 - len(found))
                if not stream.eof or len(found) > INFLATED_BYTES:
                    return bytes(found), False
                rest = stream.unused_data if window_bits == _GZIP else b""  # gzip may have several members
        except zlib.error:
            if found:
                return bytes(found), False
            continue
        return bytes(found), True
    return None


def _unbrotlied(body: bytes) -> tuple[bytes, bool] | None:
    """Return the same of Brotli. None: damaged, too wide a window, or nothing in it before it was cut off.

    Brotli has no mark at its beginning, so other text can look like any of these.
    """
    if body and body[0] & 0b1111 in _WIDE_WINDOWS:
        return None
    stream, found, rest, is_whole = brotli.Decompressor(), bytearray(), body, not body
    try:
        while not is_whole and len(found) <= INFLATED_BYTES:
            piece = stream.process(rest, output_buffer_limit=INFLATED_BYTES)  # rounded up: 32 KiB at most
            found += piece
            rest, is_whole = b"", stream.is_finished()  # the decoder keeps what it has not read
            if not piece:
                break
    except brotli.error:
        is_whole = False
    return (bytes(found[: INFLATED_BYTES + 1]), is_whole) if found or is_whole else None


def _charset(headers: list[Sequence[str]], body: bytes) -> tuple[str, bool]:
    """Return Python's name of the body's charset, and whether an unknown one was declared."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name, False
    declared = _declared(first_of(headers, "content-type") or "")
    return _CHARSETS.get(declared, UTF_8), bool(declared) and declared not in _CHARSETS


def _declared(content_type: str) -> str:
    found = _CHARSET.search(content_type)
    return found[1].lower() if found else ""


def _kept(error: UnicodeError) -> tuple[str, int]:
    """Put lone surrogates in place of bytes that are no text, as "surrogateescape" does, but of any byte."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


_ERRORS = "redeliver-bodies"
codecs.register_error(_ERRORS, _kept)
