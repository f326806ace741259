"""Fields into which people paste: the cleaned value, or the reason for a refusal."""

import pytest
from django import forms

from dashboard.forms.pasted import PastedEmailField, PastedField
from dashboard.rules import pasted


def url_field(**options) -> PastedField:
    return PastedField(read=pasted.url, **options)


def test_field_takes_what_is_left_and_limits_only_that() -> None:
    field = url_field(max_length=20)
    assert field.clean("\u200b“https://a.example/12”\u00a0") == "https://a.example/12"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://a.example\nhttps://b.example", "This contains 2 lines. Paste only one URL."),
        ("\u200b\u00a0\n", "This field is required."),
        ("https://a.example/123", "Ensure this value has at most 20 characters (it has 21)."),
        ("a\0b", "Null characters are not allowed."),
    ],
)
def test_field_refuses_the_rest_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(forms.ValidationError) as refused:
        url_field(max_length=20).clean(text)
    assert refused.value.messages == [words]


def test_email_field_takes_an_address_in_every_spelling() -> None:
    field = PastedEmailField()
    assert {field.clean(text) for text in ("mailto:ana@a.example", "Ana <ana@a.example>", "\u200bana@a.example")} == {
        "ana@a.example"
    }


def test_email_field_refuses_two_addresses_and_what_is_none() -> None:
    for text, words in (
        ("ana@a.example, ben@a.example", "This contains 2 addresses. Paste only one address."),
        ("ana", "Enter a valid email address."),
    ):
        with pytest.raises(forms.ValidationError) as refused:
            PastedEmailField().clean(text)
        assert refused.value.messages == [words]
