"""Bodies are read as they are encoded, within limits, whatever they contain and declare."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.rules import bodies
from dashboard.rules.bodies import INFLATED_BYTES, ReadBody

GZIP = ("Content-Encoding", "gzip")
MOST = 100_000
ODD = "text: a byte that cannot be read is shown as its number, such as ⟨0xFF⟩."


def read(raw: bytes, *headers: tuple[str, str], most: int = MOST, is_cut: bool = False) -> ReadBody:
    return bodies.read(raw, most=most, headers=headers, is_cut=is_cut)


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("content_type", "codec", "text"),
    [
        ("text/plain; charset=Shift_JIS", "cp932", "受け取りました"),
        ('text/html;charset="windows-31J"', "cp932", "①髙"),
        ("text/plain; charset=EUC-JP", "euc-jp", "受け取りました"),
        ("text/plain; format=flowed; charset=ISO-8859-1", "latin-1", "reçu à 9 h"),
        ("text/plain; charset=latin1", "cp1252", "“reçu” 5 €"),
        ("text/plain; charset=iso-8859-2", "iso8859-2", "přijato"),
        ("text/plain; charset=GBK", "gb18030", "已收到"),
        ("text/plain; charset=big5", "big5", "已收到"),
        ("text/plain; charset=euc-kr", "cp949", "받았습니다"),
        ("text/plain; charset=utf-16", "utf-16le", "ok"),
        ("text/plain; charset=utf8", "utf-8", "reçu"),
        ("text/plain", "utf-8", "reçu"),
        ("application/json", "utf-8", '{"a": "ü"}'),
        ("", "utf-8", "reçu"),
    ],
)
def test_text_in_its_declared_charset_is_read(content_type: str, codec: str, text: str) -> None:
    assert read(text.encode(codec), ("content-type", content_type)) == ReadBody(text)


def test_every_charset_of_the_table_is_known_to_python() -> None:
    for label in bodies._CHARSETS:
        assert read(b"", ("Content-Type", f"text/plain; charset={label}")) == ReadBody("")


@pytest.mark.parametrize("name", ["idna", "punycode", "unicode_escape", "zlib", "rot13", "utf-7", "no-such", "../x"])
def test_name_that_is_no_charset_is_not_looked_up(name: str) -> None:
    found = read(b"a\\u0041-", ("Content-Type", f"text/plain; charset={name}"))
    assert found == ReadBody("a\\u0041-", ("Its charset is not one that Redeliver knows: shown as UTF-8.",))


def test_byte_order_mark_counts_more_than_the_declaration() -> None:
    latin = ("Content-Type", "text/plain; charset=latin-1")
    assert read(b"\xef\xbb\xbfre\xc3\xa7u", latin) == ReadBody("\ufeffreçu")
    assert read(b"\xfe\xff\x00o\x00k", latin) == ReadBody("\ufeffok")


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"caf\xe9!", "utf-8", "caf⟨0xE9⟩!"),
        (b"\x82 \x82\xa0", "shift_jis", "⟨0x82⟩ あ"),
        (b"\x00\xd8a\x00", "utf-16le", "⟨0x00⟩⟨0xD8⟩a"),
        (b"a\x81b", "latin-1", "a⟨0x81⟩b"),
    ],
)
def test_bytes_that_are_no_text_are_shown_as_numbers(raw: bytes, charset: str, text: str) -> None:
    found = read(raw, ("Content-Type", f"text/plain; charset={charset}"))
    assert (found.text, len(found.notes), found.notes[0].endswith(ODD)) == (text, 1, True)


def test_half_a_character_where_the_body_was_cut_is_left_out() -> None:
    assert read("aé".encode()[:-1], is_cut=True) == ReadBody("a")
    assert read("aé".encode()[:-1]) == ReadBody("a⟨0xC3⟩", (f"Not UTF-8 {ODD}",))


@pytest.mark.parametrize(
    ("coding", "compressed"),
    [
        ("gzip", gzip.compress("reçu".encode(), mtime=0)),
        ("X-GZIP", gzip.compress("reçu".encode(), mtime=0)),
        ("gzip", gzip.compress(b"re", mtime=0) + gzip.compress("çu".encode(), mtime=0)),
        ("deflate", zlib.compress("reçu".encode())),
        ("deflate", raw_deflate("reçu".encode())),
        ("identity, gzip", gzip.compress("reçu".encode(), mtime=0)),
        ("deflate, gzip", gzip.compress(zlib.compress("reçu".encode()), mtime=0)),
    ],
)
def test_compressed_body_is_decompressed_and_said_to_be(coding: str, compressed: bytes) -> None:
    found = read(compressed, ("content-encoding", coding))
    names = coding.lower().removeprefix("x-").removeprefix("identity, ").replace(",", " in")
    assert found == ReadBody("reçu", (f"Decompressed from {len(compressed)} bytes of {names}.",))


def test_compressed_body_in_another_charset_is_read() -> None:
    compressed = gzip.compress("受け取りました".encode("cp932"))
    found = read(compressed, GZIP, ("Content-Type", "text/plain; charset=Shift_JIS"))
    assert found.text == "受け取りました"


@pytest.mark.parametrize(("coding", "name"), [("br", "Brotli"), ("zstd", "Zstandard"), ("compress", "compress")])
def test_compression_without_a_decoder_is_named(coding: str, name: str) -> None:
    words = f"5 bytes, compressed with {name}, which Redeliver cannot read."
    assert read(b"\x0b\x02\x80hi", ("Content-Encoding", coding)) == ReadBody("", (words,))


def test_unknown_encoding_is_said_without_its_name() -> None:
    words = "1 byte, encoded in a way that Redeliver cannot read: see Content-Encoding."
    assert read(b"x", ("Content-Encoding", "<b>aes128gcm")) == ReadBody("", (words,))
    assert read(b"x", ("Content-Encoding", "gzip, gzip, gzip, gzip")) == ReadBody("", (words,))


def test_empty_body_has_no_notes() -> None:
    assert read(b"", GZIP) == ReadBody("")


def test_body_that_is_not_as_declared_is_shown_as_it_arrived() -> None:
    words = "Declared as gzip, but it cannot be decompressed: shown as it arrived."
    assert read(b'{"ok": true}', GZIP) == ReadBody('{"ok": true}', (words,))


def test_compressed_body_that_was_cut_shows_its_beginning() -> None:
    text = "".join(f"line {number}\n" for number in range(500))
    compressed = gzip.compress(text.encode())[:600]
    found = read(compressed, GZIP, is_cut=True)
    assert text.startswith(found.text)
    assert len(found.text) > 600
    assert found.notes == ("Decompressed from 600 bytes of gzip; the rest is missing or cannot be read.",)


@pytest.mark.parametrize("over", [0, 1])
def test_more_than_the_limit_is_cut_and_exactly_the_limit_is_whole(over: int) -> None:
    compressed = gzip.compress(b"a" * (INFLATED_BYTES + over))
    note = f"Decompressed from {len(compressed)} bytes of gzip{'; only the first 16 KiB are shown' if over else ''}."
    assert read(compressed, GZIP) == ReadBody("a" * INFLATED_BYTES, (note,))


def test_bomb_is_not_inflated() -> None:
    bomb = gzip.compress(gzip.compress(bytes(100 * 1024 * 1024)))
    tracemalloc.start()
    found = read(bomb, ("Content-Encoding", "gzip, gzip"))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found.text), most < 40 * INFLATED_BYTES) == (INFLATED_BYTES, True)


def test_no_more_characters_than_asked_for_are_made_readable() -> None:
    assert read(b"\xff" * 10, most=2).text == "⟨0xFF⟩⟨0xFF⟩"


@given(
    st.binary(max_size=300),
    st.sampled_from(["", "gzip", "deflate", "gzip, deflate", "br", ",", "gzip\x00"]),
    st.one_of(st.sampled_from(sorted(bodies._CHARSETS)), st.text(max_size=10)),
    st.booleans(),
)
@example(gzip.compress(b"x")[:-4], "gzip", "utf-8", True)
def test_any_body_is_read_without_an_error(raw: bytes, coding: str, charset: str, is_cut: bool) -> None:
    headers = [("Content-Encoding", coding), ("Content-Type", f"text/plain; charset={charset}")]
    found = bodies.read(raw, most=MOST, headers=headers, is_cut=is_cut)
    found.text.encode()  # no lone surrogate is left
