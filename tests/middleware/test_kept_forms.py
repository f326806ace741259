"""A form whose sender was signed out is back after sign-in, and nothing was started."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from dashboard.middleware.kept_forms import IS_NOT_KEPT, WILL_BE_BACK
from dashboard.models import AlertChannel, AlertDelivery, AuditEntry, Endpoint, Install, User
from tests.attacks.test_requests import read
from tests.attacks.walking import addresses
from tests.factories import make_channel, make_endpoint, make_user
from tests.views.conftest import Browser

HERE = "http://testserver"
PASSWORD = "a-long-password"
NEW = "/alerts/channels/new/"
OPERATION = "6b5c5d0c-5c8f-4b58-9a0c-3a9d7a3f9d11"
CHANNEL = {
    "name": "On-call \u202e <b>",
    "way": "email",
    "email": "a@example.com",
    "kinds": ["disabled"],
    "operation": OPERATION,
}
TYPED = "What you entered is back below: check it, and send it again."
PRESSED = "You had to sign in again when you pressed the button."
GONE = "and this page no longer has it."
LEFT_OUT = "Passwords, secrets, files and very long texts are not kept: enter them again."


class Forms(HTMLParser):
    """Reads a page's forms: for each action, the fields that a browser would send, and the kinds of its inputs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: dict[str, list[tuple[str, str]]] = {}
        self.texts: dict[str, set[str]] = {}
        self.action, self.select, self.area = "", "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        name, value = told.get("name", ""), told.get("value", "")
        if tag == "form" and told.get("method") == "post":
            self.action = told["action"].partition("#")[0]
            self.forms[self.action], self.texts[self.action] = [], set()
        elif not self.action:
            return
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select and "selected" in told:
            self.forms[self.action].append((self.select, value))
        elif tag == "textarea":
            self.area = name
            self.texts[self.action].add(name)
        elif tag == "input" and name and name != "csrfmiddlewaretoken":
            self._input(told.get("type", "text"), name, value or "on" * (told.get("type") == "checkbox"), told)

    def _input(self, kind: str, name: str, value: str, told: dict[str, str]) -> None:
        if kind in {"checkbox", "radio"} and "checked" not in told:
            return
        self.forms[self.action].append((name, value))
        if kind not in {"checkbox", "radio", "hidden", "file"}:
            self.texts[self.action].add(name)

    def handle_data(self, data: str) -> None:
        if self.area:
            self.forms[self.action].append((self.area, data.removeprefix("\n")))

    def handle_endtag(self, tag: str) -> None:
        self.action = "" if tag == "form" else self.action
        self.select = "" if tag == "select" else self.select
        self.area = "" if tag == "textarea" else self.area


def sign_out(client: Client) -> None:
    """End the session as the database does, with nothing said to the browser."""
    assert Session.objects.all().delete()[0] > 0
    assert client.cookies["sessionid"].value


def sign_in(client: Client, answer: HttpResponse, *, username: str = "ana") -> str:
    """Sign in where the answer leads, and return where that leads."""
    address = answer.headers.get("HX-Redirect") or answer["Location"]
    assert urlsplit(address).path == "/accounts/login/"
    path = parse_qs(urlsplit(address).query)["next"][0]
    signed_in = client.post(address, {"login": username, "password": PASSWORD, "next": path})
    assert signed_in.status_code == 302
    return str(signed_in["Location"])


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


def test_form_is_back_and_is_sent_once(ana: Browser) -> None:
    client = ana.client
    ana.read(NEW)
    sign_out(client)
    answer = client.post(NEW, CHANNEL, headers={"Referer": HERE + NEW})
    assert not AlertChannel.objects.exists()
    told = read(client.get(answer["Location"]))
    assert WILL_BE_BACK in told
    back = sign_in(client, answer)
    assert back == f"{NEW}#kept-form"
    page = ana.read(NEW)
    assert "<strong>Nothing was started.</strong>" in page
    assert TYPED in page
    assert LEFT_OUT not in page
    fields = Forms(page).forms[NEW]
    assert set(fields) >= {("name", CHANNEL["name"]), ("email", "a@example.com"), ("operation", OPERATION)}
    assert [value for name, value in fields if name == "kinds"] == ["disabled"]
    assert "Nothing was started" in ana.read(NEW)  # after a reload too
    for _ in range(2):
        assert client.post(NEW, fields_of(fields)).status_code == 302
    assert AlertChannel.objects.count() == 1
    assert [one.phase for one in AuditEntry.objects.filter(operation=OPERATION).order_by("pk")] == ["requested", "done"]
    assert "Nothing was started" not in ana.read(NEW)


def fields_of(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [value for other, value in fields if other == name] for name, _ in fields}


def test_next_person_at_the_browser_gets_nothing_of_it(ana: Browser) -> None:
    make_user(username="ben", password=PASSWORD, role="support")
    client = ana.client
    ana.read(NEW)
    sign_out(client)
    answer = client.post(NEW, CHANNEL, headers={"Referer": HERE + NEW})
    client.get(answer["Location"])  # it tells Ana what happened
    sign_in(client, answer, username="ben")
    page = ana.read(NEW)
    assert "On-call" not in page.replace('placeholder="On-call"', "")
    assert "Nothing was started" not in page
    client.post(reverse("account_logout"))
    client.post("/accounts/login/", {"login": "ana", "password": PASSWORD})
    assert "Nothing was started" not in ana.read(NEW)


def test_form_of_someone_else_is_not_kept_for_whoever_signed_in_last(support: User) -> None:
    """The first one's tab is still open after a second person has signed in and out."""
    make_user(username="ben", password=PASSWORD, role="support")
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', read(client.get(NEW)))[1]
    client.logout()
    login = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', read(client.get("/accounts/login/")))[1]
    form = {"login": "ben", "password": PASSWORD, "csrfmiddlewaretoken": login}
    assert client.post("/accounts/login/", form, headers={"Origin": HERE}).status_code == 302
    client.get("/")
    Session.objects.all().delete()
    answer = client.post(NEW, CHANNEL | {"csrfmiddlewaretoken": token}, headers={"Origin": HERE, "Referer": HERE + NEW})
    assert answer.status_code == 403
    assert not Session.objects.exists()


def test_stranger_is_kept_nothing(client: Client, db: None) -> None:
    answer = client.post(NEW, CHANNEL)
    assert answer["Location"] == "/accounts/login/?next=/"
    assert IS_NOT_KEPT in read(client.get("/accounts/login/"))
    assert not Session.objects.exists()


def test_secret_is_typed_again(ana: Browser) -> None:
    client = ana.client
    page = reverse("install-connect")
    ana.read(page)
    sign_out(client)
    answer = client.post(page, {"name": "Acme", "token": "ot_ptk_hush"}, headers={"Referer": HERE + page})
    assert sign_in(client, answer) == f"{page}#kept-form"
    shown = ana.read(page)
    assert LEFT_OUT in shown
    assert ("name", "Acme") in Forms(shown).forms[page]
    assert "ot_ptk_hush" not in shown


def test_button_of_a_page_is_pressed_again(ana: Browser, fake_opentrain: Any) -> None:
    client, page = ana.client, reverse("alert-channel-edit", args=[make_channel().pk])
    ana.read(page)
    sign_out(client)
    headers = {"HX-Request": "true", "HX-Current-URL": HERE + page}
    answer = client.post(f"{page}test/", {"operation": OPERATION}, headers=headers)
    assert answer.content == b""
    assert sign_in(client, answer) == f"{page}#kept-form"
    shown = ana.read(page)
    assert PRESSED in shown
    assert ("operation", OPERATION) in Forms(shown).forms[f"{page}test/"]
    assert not AlertDelivery.objects.exists()


def test_text_of_a_form_that_its_page_has_no_more_is_shown(ana: Browser, endpoint: Endpoint) -> None:
    client, page = ana.client, f"/endpoints/{endpoint.pk}/"
    ana.read(page)
    sign_out(client)
    fields = {"note": "<b>for the others", "operation": OPERATION}
    answer = client.post(reverse("endpoint-recover", args=[endpoint.pk]), fields, headers={"Referer": HERE + page})
    sign_in(client, answer)
    shown = ana.read(page)
    assert GONE in shown
    assert "<code>note</code> &lt;b&gt;for the others" in shown
    assert OPERATION not in shown


@pytest.mark.parametrize("referer", ["https://evil.example/", "http://testserver//evil.example/", "nonsense", ""])
def test_page_of_another_site_is_nowhere_to_lead_to(ana: Browser, referer: str) -> None:
    ana.read(NEW)
    sign_out(ana.client)
    answer = ana.client.post(NEW, CHANNEL, headers={"Referer": referer})
    assert answer["Location"] == "/accounts/login/?next=/alerts/channels/new/%23kept-form"


def test_own_account_is_led_back_to_too(ana: Browser) -> None:
    page = reverse("account_change_password")
    ana.read(page)
    sign_out(ana.client)
    fields = {"oldpassword": "hush", "password1": "hush-hush-1", "password2": "hush-hush-1"}
    answer = ana.client.post(page, fields, headers={"Referer": HERE + page})
    assert sign_in(ana.client, answer) == f"{page}#kept-form"
    shown = ana.read(page)
    assert LEFT_OUT in shown
    assert "hush" not in shown


def test_form_with_a_secret_is_back_after_a_new_sign_in_in_another_tab(support: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    fields = {"csrfmiddlewaretoken": "b" * 64, "name": "On-call", "way": "webhook", "url": "https://hooks.example/hush"}
    answer = client.post(NEW, fields, headers={"Origin": HERE, "Referer": HERE + NEW})
    assert (answer.status_code, answer["Location"]) == (302, f"{NEW}#kept-form")
    shown = read(client.get(NEW))
    assert {("name", "On-call"), ("way", "webhook")} <= set(Forms(shown).forms[NEW])
    assert LEFT_OUT in shown
    assert "hooks.example/hush" not in shown


def test_form_is_back_for_who_has_to_prove_again_who_they_are(ana: Browser, support: User) -> None:
    key = support.authenticator_set.create(type="webauthn", data={"name": "Blue key", "credential": {}})
    page = reverse("mfa_edit_webauthn", args=[key.pk])
    fields = {"name": "Red key", "code": "123456"}
    answer = ana.client.post(page, fields, headers={"Referer": HERE + page})
    asks = urlsplit(answer["Location"])
    assert asks.path in {reverse("account_reauthenticate"), reverse("mfa_reauthenticate_webauthn")}
    kept = dict(ana.client.session)
    assert "123456" not in str(kept)
    assert "account_reauthentication_state" not in kept
    proven = ana.client.post(
        reverse("account_reauthenticate"), {"password": PASSWORD, "next": parse_qs(asks.query)["next"][0]}
    )
    assert proven["Location"] == f"{page}#kept-form"
    key.refresh_from_db()
    assert key.data["name"] == "Blue key"
    shown = ana.read(page)
    assert TYPED in shown
    assert ("name", "Red key") in Forms(shown).forms[page]
    assert ana.client.post(page, {"name": "Red key"}).status_code == 302
    key.refresh_from_db()
    assert key.data["name"] == "Red key"


NEED_NONE = {"account_login", "account_logout", "set-password"}
"""Forms that need no session, or only end one."""
LEFT_OUT_FIELDS = {"password", "oldpassword", "password1", "password2", "token", "secret", "body", "headers", "code"}


def test_every_form_of_every_page_is_back(client: Client, support_lead: User, endpoint: Endpoint) -> None:
    """Each text is changed, the session ended, the form sent, and the user signed in again."""
    client.force_login(support_lead)
    done = {reverse(name) for name in NEED_NONE}
    for one in addresses(endpoint=endpoint):
        response = client.get(one.path)
        if response.status_code != 200 or not response.get("Content-Type", "").startswith("text/html"):
            continue
        forms = Forms(read(response))
        for action in forms.forms.keys() - done:
            typed = [(name, "typed" if name in forms.texts[action] else value) for name, value in forms.forms[action]]
            Session.objects.all().delete()
            answer = client.post(action, fields_of(typed), headers={"Referer": HERE + one.path})
            assert answer.headers.get("Location", "").startswith("/accounts/login/?next="), (one.path, action)
            client.force_login(support_lead)
            again = read(client.get(one.path))
            assert "<strong>Nothing was started.</strong>" in again, (one.path, action)
            back = Forms(again).forms[action]
            assert [pair for pair in typed if pair not in back and pair[0] not in _secret(action)] == [], action
            done.add(action)
    assert len(done) > 20


def _secret(action: str) -> set[str]:
    return LEFT_OUT_FIELDS | ({"url"} if action.startswith("/alerts/channels/") else set())
