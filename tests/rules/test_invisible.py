"""Invisible characters are shown as their codes; everything else is left as it is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.invisible import is_visible, visible

ORDINARY = [
    "",
    "contract.started",
    "Zoë Müller",
    "株式会社",
    "שלום",
    "a\n\tb",
    "https://acme.example.com/hook?a=%20",
    "…—“”",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invoice\u202egpj.exe", "invoice⟨U+202E⟩gpj.exe"),  # right-to-left override
        ("\u2066a\u2069", "⟨U+2066⟩a⟨U+2069⟩"),  # isolates
        ("con\u200b_1", "con⟨U+200B⟩_1"),  # zero-width space
        ("\ufeff{}", "⟨U+FEFF⟩{}"),  # byte order mark
        ("a\u00a0b", "a⟨U+00A0⟩b"),  # no-break space
        ("a\u00adb", "a⟨U+00AD⟩b"),  # soft hyphen
        ("a\u3000b", "a⟨U+3000⟩b"),  # ideographic space
        ("a\u2028b", "a⟨U+2028⟩b"),  # line separator
        ("a\u3164b", "a⟨U+3164⟩b"),  # Hangul filler
        ("a\u2800b", "a⟨U+2800⟩b"),  # Braille blank
        ("a\ufe0fb", "a⟨U+FE0F⟩b"),  # variation selector
        ("a\U000e0041b", "a⟨U+E0041⟩b"),  # tag
        ("a\r\nb\x00\x1b[31m\x7f\x85", "a⟨U+000D⟩\nb⟨U+0000⟩⟨U+001B⟩[31m⟨U+007F⟩⟨U+0085⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\ue000", "⟨U+E000⟩"),
    ],
)
def test_invisible_characters_are_shown_as_their_codes(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_what_is_shown_can_be_seen_and_sent_and_is_shown_once(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert is_visible(shown.replace("\n", "").replace("\t", ""))
    assert visible(shown) == shown


def test_every_format_character_and_space_of_unicode_is_invisible() -> None:
    hidden = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp", "Zs"}
    ]
    assert [one for one in hidden if is_visible(one)] == [" "]
