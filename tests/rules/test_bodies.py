"""Bodies are read as they are encoded, within limits, whatever they contain and declare."""

import gzip
import subprocess
import sys
import tracemalloc
import zlib
from functools import partial

import brotli
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.rules import bodies
from dashboard.rules.bodies import INFLATED_BYTES, ReadBody

GZIP = ("Content-Encoding", "gzip")
BR = ("Content-Encoding", "br")
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
        ("br", brotli.compress("reçu".encode())),
        ("BR", brotli.compress("reçu".encode(), quality=0, lgwin=10)),
        ("br, gzip", gzip.compress(brotli.compress("reçu".encode()), mtime=0)),
        ("gzip, br", brotli.compress(gzip.compress("reçu".encode(), mtime=0))),
    ],
)
def test_compressed_body_is_decompressed_and_said_to_be(coding: str, compressed: bytes) -> None:
    found = read(compressed, ("content-encoding", coding))
    names = coding.lower().removeprefix("x-").removeprefix("identity, ").replace(",", " in").replace("br", "Brotli")
    assert found == ReadBody("reçu", (f"Decompressed from {len(compressed)} bytes of {names}.",))


def test_compressed_body_in_another_charset_is_read() -> None:
    compressed = gzip.compress("受け取りました".encode("cp932"))
    found = read(compressed, GZIP, ("Content-Type", "text/plain; charset=Shift_JIS"))
    assert found.text == "受け取りました"


@pytest.mark.parametrize(("coding", "name"), [("zstd", "Zstandard"), ("x-compress", "compress")])
def test_compression_without_a_decoder_is_named(coding: str, name: str) -> None:
    words = f"5 bytes, compressed with {name}, which Redeliver cannot read."
    assert read(b"\x0b\x02\x80hi", ("Content-Encoding", coding)) == ReadBody("", (words,))


def test_unknown_encoding_is_said_without_its_name() -> None:
    words = "1 byte, encoded in a way that Redeliver cannot read: see Content-Encoding."
    assert read(b"x", ("Content-Encoding", "<b>aes128gcm")) == ReadBody("", (words,))
    assert read(b"x", ("Content-Encoding", "gzip, gzip, gzip, gzip")) == ReadBody("", (words,))


def test_empty_body_has_no_notes() -> None:
    assert read(b"", GZIP) == ReadBody("")


@pytest.mark.parametrize("header", [GZIP, BR])
@pytest.mark.parametrize("text", ['{"ok": true}', "OK", "thanks", "[]", "<p>404 page not found</p>\n" * 20])
def test_body_that_is_not_as_declared_is_shown_as_it_arrived(header: tuple[str, str], text: str) -> None:
    declared = "gzip" if header == GZIP else "Brotli"
    words = f"Declared as {declared}, but Redeliver cannot decompress it: shown as it arrived."
    assert read(text.encode(), header) == ReadBody(text, (words,))


def test_nothing_in_brotli_is_nothing() -> None:
    assert read(brotli.compress(b""), BR) == ReadBody("", ("Decompressed from 1 byte of Brotli.",))
    within = gzip.compress(b"", mtime=0)
    assert read(within, ("Content-Encoding", "br, gzip")).notes == ("Decompressed from 20 bytes of Brotli in gzip.",)


@pytest.mark.parametrize("coding", ["gzip", "Brotli"])
def test_compressed_body_that_was_cut_shows_its_beginning(coding: str) -> None:
    text = "".join(f"line {number}, {number * number:x}\n" for number in range(500))
    whole = gzip.compress(text.encode()) if coding == "gzip" else brotli.compress(text.encode())
    found = read(whole[:600], GZIP if coding == "gzip" else BR, is_cut=True)
    assert text.startswith(found.text)
    assert len(found.text) > 600
    assert found.notes == (f"Decompressed from 600 bytes of {coding}; the rest is missing or cannot be read.",)


@pytest.mark.parametrize("damaged", [b"\xff\xff\xff", b"trailing"])
def test_damaged_brotli_is_shown_as_it_arrived(damaged: bytes) -> None:
    whole = brotli.compress(b"line of an answer\n" * 40, quality=1)
    raw = whole[:-3] + damaged if damaged.startswith(b"\xff") else whole + damaged
    found = read(raw, BR)
    assert found.notes[0] == "Declared as Brotli, but Redeliver cannot decompress it: shown as it arrived."
    assert "⟨0x" in found.text


@pytest.mark.parametrize("over", [0, 1, 16 * 1024, 100 * 1024])
@pytest.mark.parametrize("coding", ["gzip", "Brotli"])
def test_more_than_the_limit_is_cut_and_exactly_the_limit_is_whole(coding: str, over: int) -> None:
    text = b"a" * (INFLATED_BYTES + over)
    compressed = gzip.compress(text) if coding == "gzip" else brotli.compress(text)
    note = (
        f"Decompressed from {len(compressed)} bytes of {coding}{'; only the first 16 KiB are shown' if over else ''}."
    )
    assert read(compressed, GZIP if coding == "gzip" else BR) == ReadBody("a" * INFLATED_BYTES, (note,))


def test_brotli_that_comes_in_many_parts_is_put_together() -> None:
    """An encoder that flushes ends a part each time, as a server does that answers line by line."""
    stream, lines = brotli.Compressor(), [f"line {number}\n" for number in range(300)]
    compressed = b"".join(stream.process(line.encode()) + stream.flush() for line in lines) + stream.finish()
    assert read(compressed, BR).text == "".join(lines)


def test_decoder_that_gives_a_little_at_a_time_is_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict:
        """Keeps to its limit to the byte, and well below it, as a later release may."""

        def __init__(self) -> None:
            self._left = b""

        def process(self, data: bytes, *, output_buffer_limit: int) -> bytes:
            whole = self._left + (brotli.decompress(data) if data else b"")
            size = min(1000, output_buffer_limit)
            self._left = whole[size:]
            return whole[:size]

        def is_finished(self) -> bool:
            return not self._left

    text = "".join(f"line {number}\n" for number in range(3000))
    compressed = brotli.compress(text.encode())
    monkeypatch.setattr(bodies.brotli, "Decompressor", Strict)
    assert read(compressed, BR).text == text[:INFLATED_BYTES]
    assert read(brotli.compress(text[:5000].encode()), BR).text == text[:5000]


@pytest.mark.parametrize("coding", ["gzip, gzip", "br, gzip", "gzip, br", "br, br", "br"])
def test_bomb_is_not_inflated(coding: str) -> None:
    pack = {"gzip": gzip.compress, "br": partial(brotli.compress, quality=1)}
    bomb = bytes(100 * 1024 * 1024)
    for one in coding.split(", "):
        bomb = pack[one](bomb)
    tracemalloc.start()
    found = read(bomb, ("Content-Encoding", coding))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found.text), most < 40 * INFLATED_BYTES) == (INFLATED_BYTES, True)


_PEAK_KIB = """
import pathlib, sys
from dashboard.rules import bodies

def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

raw = sys.stdin.buffer.read()
bodies.read(raw[:1], most=1, headers=[("Content-Encoding", "br")])
before = peak()
bodies.read(raw, most=100_000, headers=[("Content-Encoding", "br")])
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize(("window", "most_mib"), [(22, 6), (23, 1), (24, 1)])
def test_memory_of_brotlis_decoder_is_limited_too(window: int, most_mib: int) -> None:
    """The window is C's memory, which tracemalloc does not see."""
    bomb = brotli.compress(bytes(100 * 1024 * 1024), quality=5, lgwin=window)
    done = subprocess.run([sys.executable, "-c", _PEAK_KIB], input=bomb, capture_output=True, check=True)
    assert int(done.stdout) < most_mib * 1024


def test_brotli_with_a_wide_window_is_shown_as_it_arrived() -> None:
    found = read(brotli.compress(b"thanks", lgwin=24), BR)
    assert found.notes[0] == "Declared as Brotli, but Redeliver cannot decompress it: shown as it arrived."
    assert "thanks" in found.text


def test_no_more_characters_than_asked_for_are_made_readable() -> None:
    assert read(b"\xff" * 10, most=2).text == "⟨0xFF⟩⟨0xFF⟩"


@given(
    st.binary(max_size=300),
    st.sampled_from(["", "gzip", "deflate", "gzip, deflate", "br", "br, gzip", ",", "gzip\x00"]),
    st.one_of(st.sampled_from(sorted(bodies._CHARSETS)), st.text(max_size=10)),
    st.booleans(),
)
@example(gzip.compress(b"x")[:-4], "gzip", "utf-8", True)
@example(brotli.compress(b"x" * 99)[:-1], "br", "utf-8", True)
def test_any_body_is_read_without_an_error(raw: bytes, coding: str, charset: str, is_cut: bool) -> None:
    headers = [("Content-Encoding", coding), ("Content-Type", f"text/plain; charset={charset}")]
    found = bodies.read(raw, most=MOST, headers=headers, is_cut=is_cut)
    found.text.encode()  # no lone surrogate is left
