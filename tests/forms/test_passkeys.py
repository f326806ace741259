"""Any input sent as a passkey is accepted or refused, and never causes a server error."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.core import context
from django.contrib.sessions.backends.cache import SessionStore
from django.core.exceptions import ValidationError
from django.test import RequestFactory

from dashboard.forms import passkeys
from dashboard.forms.passkeys import REFUSED
from dashboard.rules.json_limits import Decoder
from tests.factories import make_user

BROKEN: list[Any] = [
    1,
    "x",
    {"id": "x"},
    {"id": None, "response": {}},
    {"response": {"userHandle": 1}},
    {"type": "public-key", "id": "AA", "rawId": "AA", "response": {"clientDataJSON": "AA"}},
]


FORMS = ["Add", "Authenticate", "Login", "Reauthenticate"]


def errors_of(name: str, credential: Any) -> dict[str, list[str]]:
    request = RequestFactory().post("/")
    request.session, request.user = SessionStore(), make_user()
    given = {} if name == "Login" else {"user": request.user}
    with context.request_context(request):
        form = getattr(passkeys, name)(data={"credential": json.dumps(credential), "name": "mine"}, **given)
        return dict(form.errors)


@pytest.mark.django_db
@pytest.mark.parametrize("credential", BROKEN, ids=json.dumps)
@pytest.mark.parametrize("name", FORMS)
def test_broken_passkey_is_refused_in_words(name: str, credential: Any) -> None:
    assert [words for told in errors_of(name, credential).values() for words in told] == [REFUSED]


@pytest.mark.django_db
@pytest.mark.parametrize("credential", [{}, [], None], ids=json.dumps)
@pytest.mark.parametrize("name", FORMS)
def test_empty_passkey_is_missing(name: str, credential: Any) -> None:
    assert list(errors_of(name, credential)) == ["credential"]


def test_incorrect_code_is_called_a_passkey_that_was_not_accepted() -> None:
    class Base:
        def __init__(self) -> None:
            self.told: list[tuple[str | None, Any]] = []
            self.fields = {"credential": SimpleNamespace(decoder=None)}

        def add_error(self, field: str | None, error: Any) -> None:
            self.told.append((field, error))

    class Form(passkeys._Tolerant, Base):
        pass

    form, other = Form(), ValidationError("Another.", code="other")
    form.add_error("credential", ValidationError("Incorrect code.", code="incorrect_code"))
    form.add_error("credential", other)
    assert form.told == [("credential", REFUSED), ("credential", other)]
    assert form.fields["credential"].decoder is Decoder
