"""The form to connect an install: the token's format, and that it is never shown again."""

import pytest
from django.http import QueryDict

from dashboard.forms.installs import ConnectForm

TOKEN = "ot_ptk_c4n4ry"


def sent(token: str, **more: str) -> ConnectForm:
    query = QueryDict(mutable=True)
    query.update({"token": token, **more})
    return ConnectForm(query)


@pytest.mark.parametrize(
    ("token", "valid"),
    [
        (TOKEN, True),
        (f"  {TOKEN}\n", True),
        ("ot_ptk_" + "x" * 193, True),
        ("ot_ptk_" + "x" * 194, False),
        ("", False),
        ("whsec_c4n4ry", False),
        ("OT_PTK_c4n4ry", False),
        ("ot_ptk_c4n 4ry", False),
        ("ot_ptk_c4n\t4ry", False),
        ("ot_ptk_ü", False),
    ],
)
def test_token_is_taken_if_it_looks_like_one(token: str, valid: bool) -> None:
    form = sent(token)
    assert form.is_valid() is valid
    assert valid or list(form.errors) == ["token"]
    assert not valid or form.cleaned_data["token"] == token.strip()


def test_token_is_in_no_field_and_no_error_of_the_form_that_comes_back() -> None:
    form = sent(f"x{TOKEN}")
    assert "c4n4ry" not in str(form)


def test_name_may_be_left_out() -> None:
    form = sent(TOKEN)
    assert form.is_valid()
    assert form.cleaned_data["name"] == ""


@pytest.mark.parametrize("text", [f"Bearer {TOKEN}", f"\u200b“{TOKEN}”\u00a0", f'["{TOKEN}"]', f"`{TOKEN}`"])
def test_token_is_taken_from_what_was_pasted_around_it(text: str) -> None:
    form = sent(text)
    assert (form.is_valid(), form.cleaned_data.get("token")) == (True, TOKEN)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{TOKEN}\n{TOKEN}", "This contains 2 tokens. Paste only one token."),
        (f"{TOKEN}\nc4n4ry", "This contains 2 lines. Paste only one token."),
        (
            "whsec_c4n4ry",
            "This is a signing secret (whsec_…), not an install token. Install tokens begin with ot_ptk_.",
        ),
    ],
)
def test_token_is_refused_with_the_true_reason_and_never_repeated(text: str, words: str) -> None:
    form = sent(text)
    assert form.errors == {"token": [words]}
    assert "c4n4ry" not in str(form)


def test_name_of_invisible_characters_is_no_name() -> None:
    form = sent(TOKEN, name="\u200b\u2060 ")
    assert form.is_valid()
    assert form.cleaned_data["name"] == ""
