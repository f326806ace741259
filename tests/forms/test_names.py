"""Names of endpoints and installs: on one line, of characters that people see."""

import pytest
from django.http import QueryDict

from dashboard.forms.names import EndpointNameForm, InstallNameForm


def sent(name: str, form: type = EndpointNameForm) -> EndpointNameForm:
    query = QueryDict(mutable=True)
    query["name"] = name
    return form(query)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Billing", "Billing"),
        ("  Billing\u00a0and more ", "Billing and more"),
        ("\u200bBilling\ufeff", "Billing"),
        ("Zugänge 東京 <b>", "Zugänge 東京 <b>"),
        ("", ""),
        ("x" * 80, "x" * 80),
    ],
)
def test_name_is_taken_without_spaces_around_it(typed: str, name: str) -> None:
    form = sent(typed)
    assert form.is_valid()
    assert form.cleaned_data["name"] == name


@pytest.mark.parametrize(
    ("typed", "code"),
    [("a\nb", "U+000A"), ("ä\u202eb", "U+202E"), ("a\x07b", "U+0007"), ("ä\u3164b", "U+3164")],
)
def test_name_with_a_character_that_nobody_sees_is_refused_with_its_code(typed: str, code: str) -> None:
    form = sent(typed)
    assert form.errors["name"] == [f"Remove ⟨{code}⟩: a name is one line of characters that people see."]


def test_name_that_is_too_long_is_refused() -> None:
    assert not sent("x" * 81).is_valid()
    assert sent("x" * 200, InstallNameForm).is_valid()
    assert not sent("x" * 201, InstallNameForm).is_valid()
