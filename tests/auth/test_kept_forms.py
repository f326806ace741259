"""What is kept of a form, for whom and for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import resolve

from dashboard.auth import kept_forms
from dashboard.auth.encrypted_sessions import SessionStore
from dashboard.auth.kept_forms import CHARS, FORMS, KEPT_FOR, NEVER_KEPT
from dashboard.models import User
from tests.factories import make_user

NOW = datetime(2026, 6, 12, 9, tzinfo=UTC)
NEW = "/alerts/channels/new/"


def sent(user: User | None, *, path: str = NEW, session: Any = None, **fields: Any) -> HttpRequest:
    """Return a form that the user sends whose session is gone."""
    request = RequestFactory().post(path, fields)
    return _arrived(request, session, cookie_of(user) if user else {})


def opened(user: User, *, session: Any, page: str = "/page/") -> HttpRequest:
    request = _arrived(RequestFactory().get(page), session, {})
    request.user = user
    return request


def cookie_of(user: User) -> dict[str, str]:
    request, response = RequestFactory().get("/"), HttpResponse()
    request.user = user
    kept_forms.remember_owner(request, response)
    return {name: morsel.value for name, morsel in response.cookies.items()}


def _arrived(request: HttpRequest, session: Any, cookies: dict[str, str]) -> HttpRequest:
    request.COOKIES.update(cookies)
    request.session = SessionStore() if session is None else session
    request.user = AnonymousUser()
    request.resolver_match = resolve(request.path) if request.path == NEW else None
    return request


@pytest.fixture
def ana(db: None) -> User:
    return make_user(username="ana", role="support")


def test_form_is_kept_for_its_page_and_its_owner(ana: User) -> None:
    request = sent(ana, name="On-call", kinds=["a", "b"], csrfmiddlewaretoken="x")
    assert kept_forms.keep(request, page="/page/", now=NOW)
    found = kept_forms.find(opened(ana, session=request.session), now=NOW + KEPT_FOR - timedelta(seconds=1))
    assert found is not None
    assert found.fields == [["name", "On-call"], ["kinds", "a"], ["kinds", "b"]]
    assert (found.action, found.is_whole) == (NEW, True)
    assert kept_forms.find(opened(ana, session=request.session), now=NOW + KEPT_FOR) is None
    assert kept_forms.find(opened(ana, session=request.session, page="/page/?a=1"), now=NOW) is None
    assert kept_forms.find(opened(make_user(username="ben"), session=request.session), now=NOW) is None


def test_nobody_without_an_account_can_have_anything_stored(db: None) -> None:
    request = sent(None, name="On-call")
    assert not kept_forms.keep(request, page="/page/", now=NOW)
    forged = sent(None, name="On-call")
    forged.COOKIES["formowner"] = "1:abc:def"
    assert not kept_forms.keep(forged, page="/page/", now=NOW)
    assert (request.session.is_empty(), forged.session.is_empty()) == (True, True)


def test_what_is_stored_is_encrypted(ana: User) -> None:
    request = sent(ana, name="hush-hush")
    kept_forms.keep(request, page="/page/", now=NOW)
    request.session.save()
    assert "hush" not in Session.objects.get().session_data
    assert SessionStore(request.session.session_key).get("kept_forms")[0]["fields"] == [["name", "hush-hush"]]


@pytest.mark.parametrize("field", sorted(NEVER_KEPT | {"url"}))
def test_secret_is_never_kept(ana: User, field: str) -> None:
    request = sent(ana, name="On-call", **{field: "hush-hush"})
    assert kept_forms.fields_of(request) is None
    kept_forms.keep(request, page="/page/", now=NOW)
    found = kept_forms.find(opened(ana, session=request.session), now=NOW)
    assert found is not None
    assert (found.fields, found.is_whole) == ([["name", "On-call"]], False)


def test_form_whose_secret_was_left_empty_is_whole(ana: User) -> None:
    request = sent(ana, name="On-call", url="")
    assert kept_forms.fields_of(request) == [["name", "On-call"], ["url", ""]]


def test_nothing_is_kept_of_a_form_that_is_secret_as_a_whole(ana: User) -> None:
    request = sent(ana, path="/installs/1/route/", secret_5="hush-hush", anyway="on")
    request.resolver_match = resolve(request.path)
    assert kept_forms.fields_of(request) is None
    kept_forms.keep(request, page="/page/", now=NOW)
    found = kept_forms.find(opened(ana, session=request.session), now=NOW)
    assert found is not None
    assert (found.fields, found.is_whole) == ([], False)


def test_file_is_not_kept(ana: User) -> None:
    request = sent(ana, name="On-call", body_file=SimpleUploadedFile("a.txt", b"hush-hush"))
    assert kept_forms.fields_of(request) is None
    kept_forms.keep(request, page="/page/", now=NOW)
    assert "hush" not in str(dict(request.session))


@pytest.mark.parametrize(("chars", "is_kept"), [(CHARS - len("name"), True), (CHARS - len("name") + 1, False)])
def test_form_that_is_too_long_is_not_kept(ana: User, chars: int, is_kept: bool) -> None:
    request = sent(ana, name="a" * chars)
    kept_forms.keep(request, page="/page/", now=NOW)
    found = kept_forms.find(opened(ana, session=request.session), now=NOW)
    assert found is not None
    assert (bool(found.fields), found.is_whole) == (is_kept, is_kept)


def test_forms_of_several_tabs_are_kept_the_newest_of_each(ana: User) -> None:
    session = SessionStore()
    for number in range(FORMS + 1):
        kept_forms.keep(sent(ana, path=f"/a/{number}/", session=session, n="1"), page=f"/{number}/", now=NOW)
    kept_forms.keep(sent(ana, path=f"/a/{FORMS}/", session=session, n="2"), page=f"/{FORMS}/", now=NOW)
    kept = [kept_forms.find(opened(ana, session=session, page=f"/{number}/"), now=NOW) for number in range(FORMS + 1)]
    assert [one and one.fields for one in kept] == [None, *[[["n", "1"]]] * (FORMS - 1), [["n", "2"]]]


def test_form_that_is_sent_again_is_forgotten(ana: User) -> None:
    session = SessionStore()
    for path in ("/a/", "/b/"):
        kept_forms.keep(sent(ana, path=path, session=session, n="1"), page=path, now=NOW)
    kept_forms.forget(sent(ana, path="/a/", session=session))
    assert kept_forms.find(opened(ana, session=session, page="/a/"), now=NOW) is None
    assert kept_forms.find(opened(ana, session=session, page="/b/"), now=NOW) is not None
    kept_forms.forget(sent(ana, path="/b/", session=session))
    assert "kept_forms" not in session


def test_next_person_gets_nothing_of_it(ana: User) -> None:
    session = SessionStore()
    kept_forms.keep(sent(ana, session=session, n="1"), page="/page/", now=NOW)
    kept_forms.keep_only_of(session, owner=ana.pk)
    assert kept_forms.find(opened(ana, session=session), now=NOW) is not None
    kept_forms.keep_only_of(session, owner=make_user(username="ben").pk)
    assert "kept_forms" not in session


def test_cookie_is_set_once_and_only_for_this_host_and_no_script(ana: User, settings: Any) -> None:
    settings.HTTPS = settings.SESSION_COOKIE_SECURE = True
    request, response = RequestFactory().get("/"), HttpResponse()
    request.user = ana
    kept_forms.remember_owner(request, response)
    [(name, morsel)] = response.cookies.items()
    assert name == "__Host-formowner"
    assert (morsel["secure"], morsel["httponly"], morsel["samesite"], morsel["path"], morsel["domain"]) == (
        True, True, "Lax", "/", "",
    )  # fmt: skip
    request.COOKIES[name], again = morsel.value, HttpResponse()
    kept_forms.remember_owner(request, again)
    assert not again.cookies
