"""Signs of a rewritten body that prove nothing."""

import pytest

from dashboard.rules.doctor.signs import READ_CHARS, signs_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a":"x\\/y"}', "PHP's json_encode"),
        ('{"a":"\ufffd"}', "U+FFFD"),
        ('{"a":"[object Object]"}', "[object Object]"),
        ('{"a": NaN}', "NaN or Infinity"),
        ('{"a":12345678901234567000}', "as JavaScript rounds it"),
        ('{"a":"b"...', "cut off"),
        ('{"email":"[redacted]"}', "masked"),
        ("{'a': x}", "printed dictionary"),
        ("{&quot;a&quot;:x}", "HTML entities"),
    ],
)
def test_sign_is_told(text: str, words: str) -> None:
    [found] = signs_of(text.encode())
    assert words in found


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"a":"12345678901234567000","b":12345678901234567890}', b"\xff\xfe", b"x" * READ_CHARS + b"..."],
)
def test_ordinary_body_has_none(body: bytes) -> None:
    assert signs_of(body) == []
