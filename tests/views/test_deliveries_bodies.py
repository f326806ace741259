"""The body on a delivery's page: any bytes are shown, and copied as they came."""

import json
import tracemalloc

import pytest

from dashboard.models import Endpoint
from dashboard.views.deliveries import SHOWN_CHARS, Copied, Text, pretty, readable, to_copy
from tests.factories import make_delivery
from tests.views.conftest import Browser
from tests.views.test_deliveries import page_of


def test_detail_shows_the_body_indented_and_as_it_came(ana: Browser, endpoint: Endpoint) -> None:
    page = ana.read(page_of(make_delivery(endpoint=endpoint, body=b'{"a":[1.50,"\xc3\xa9"]}')))
    assert "{\n  &quot;a&quot;: [\n    1.50,\n    &quot;é&quot;\n  ]\n}" in page
    assert "{&quot;a&quot;:[1.50,&quot;é&quot;]}" in page


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (b"", "The body is empty."),
        (b"not json", "Not valid JSON: shown unchanged.</p>"),
        (bytes(range(256)), "Not UTF-8 text: a byte that cannot be read is shown as its number, such as ⟨0xFF⟩."),
        (b"\xef\xbb\xbf{}", "\n{}</pre>"),
        (b"[" * 200_000, "Nested too deeply: shown unchanged."),
        (b"[" * 201 + b"]" * 201, "Nested too deeply: shown unchanged."),
        (b'{"n": ' + b"9" * 641 + b"}", f'<bdi class="plain">{"9" * 500}… (641 characters)</bdi>'),
        (b'{"n": ' + b"9" * 5000 + b"}", "9" * 5000),
        (b'"\\ud800"', "&quot;\\ud800&quot;"),
        (json.dumps(["x" * 1000] * 1000).encode(), "Only the first 100,000 characters are shown."),
    ],
    ids=[
        "empty",
        "text",
        "binary",
        "bom",
        "deep",
        "too deep",
        "long number",
        "huge number",
        "half a character",
        "1 MB",
    ],
)
def test_detail_of_any_body_is_a_page(body: bytes, note: str, ana: Browser, endpoint: Endpoint) -> None:
    page = ana.read(page_of(make_delivery(endpoint=endpoint, body=body)))
    assert note in page
    assert "\x00" not in page
    assert len(page) < 1_200_000


def test_readable_shows_what_nobody_sees_and_the_bytes_that_are_no_text() -> None:
    assert readable(b"a\x00b\x1b[31mc\x7f\td\r\n").text == "a⟨U+0000⟩b⟨U+001B⟩[31mc⟨U+007F⟩\td⟨U+000D⟩\n"
    assert readable(b"\xef\xbb\xbfcaf\xe9\xc2\xa0\xef\xbf\xbd") == Text(
        "⟨U+FEFF⟩caf⟨0xE9⟩⟨U+00A0⟩\ufffd",
        "Not UTF-8 text: a byte that cannot be read is shown as its number, such as ⟨0xFF⟩.",
    )
    assert readable("\ufffd".encode()) == Text("\ufffd")  # someone sent this character


def test_pretty_shows_numbers_keys_and_escapes_as_they_were_sent() -> None:
    shown, _ = pretty(rb'{"n": 1250.00, "n": 1E400, "m": "\u202e"}')
    assert shown == Text('{\n  "n": 1250.00,\n  "n": 1E400,\n  "m": "\\u202e"\n}')


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff", b"[" * 200_000, b"[" * 201 + b"]" * 201])
def test_what_is_no_json_or_too_deep_has_no_tree(body: bytes) -> None:
    assert pretty(body)[1] is None


@pytest.mark.parametrize(
    ("body", "copied"),
    [
        (b"", None),
        ("{}\r\n\u202e\u200bé".encode(), Copied("{}\r\n\u202e\u200bé", "body")),
        (b"\xff", None),
        (b"a\x00", None),
        (b"x" * 100_001, Copied("x" * 100_000, "first 100,000 characters of the body")),
    ],
)
def test_copy_button_has_the_original_text_or_there_is_none(body: bytes, copied: Copied | None) -> None:
    assert to_copy(body) == copied


def test_page_shows_codes_and_copies_the_characters(ana: Browser, endpoint: Endpoint) -> None:
    page = ana.read(page_of(make_delivery(endpoint=endpoint, body=b'\n{"a":\r\n"\xe2\x80\xae"}')))
    assert 'data-copy="\n{&quot;a&quot;:&#13;\n&quot;\u202e&quot;}"' in page
    assert '<pre class="body wrap" tabindex="0">\n\n{&quot;a&quot;:⟨U+000D⟩\n&quot;⟨U+202E⟩&quot;}</pre>' in page
    assert page.count("\u202e") == 1


def test_pretty_writes_no_more_than_is_shown() -> None:
    tracemalloc.start()
    shown, _ = pretty(b"[" * 150 + b"1" + b",1" * 100_000 + b"]" * 150)  # indented, 30 MB of spaces
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(shown.text), shown.note) == (SHOWN_CHARS, "Only the first 100,000 characters are shown.")
    assert peak < 15_000_000


def test_pretty_of_a_large_body_is_cut() -> None:
    shown, _ = pretty(json.dumps(["x" * 1000] * 1000).encode())
    assert len(shown.text) == SHOWN_CHARS
