"""Sign-in: open to users with an account, and to no one else."""

import uuid
from urllib.parse import unquote

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.models import AuditEntry, User
from tests.factories import make_user
from tests.views.conftest import browser_of

pytestmark = pytest.mark.django_db
LOGIN, ACCOUNT, ZONE = reverse("account_login"), reverse("account"), reverse("account-time-zone")


def test_sign_in_leads_to_the_installs(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    response = client.post(LOGIN, {"login": "ana", "password": "a-long-password"}, follow=True)
    assert [url for url, _status in response.redirect_chain] == ["/"]
    assert "No installs yet" in response.content.decode()


def test_sign_in_leads_back_to_the_page_that_was_asked_for(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    asked = client.get("/installs/connect/", follow=True)
    assert 'value="/installs/connect/"' in asked.content.decode()
    form = {"login": "ana", "password": "a-long-password", "next": "/installs/connect/"}
    assert client.post(LOGIN, form)["Location"] == "/installs/connect/"


def test_sign_in_page_says_how_to_create_the_first_account(client: Client) -> None:
    page = client.get("/accounts/login/").content.decode()
    assert "make account NAME=ada ROLE=support_lead" in page
    make_user()
    assert "make account" not in client.get("/accounts/login/").content.decode()


def test_sign_in_never_leads_to_another_site(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    form = {"login": "ana", "password": "a-long-password", "next": "https://evil.example.com/"}
    assert client.post(LOGIN, form)["Location"] == "/"


def test_wrong_password_says_so_without_saying_which_part(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    pages = [
        client.post(LOGIN, {"login": name, "password": "not-the-password"}).content.decode() for name in ("ana", "bob")
    ]
    words = "Incorrect user name or password."
    assert [words in page for page in pages] == [True, True]
    assert [name in page for name, page in zip(("ana", "bob"), pages, strict=True)] == [True, True]


def test_times_are_shown_in_the_chosen_zone_from_then_on(support: User) -> None:
    browser = browser_of(support)
    page = browser.submit(ZONE, time_zone="asia/kolkata")
    assert "Times are now shown in Asia/Kolkata." in page
    assert ("UTC+05:30" in page, 'data-zone="Asia/Kolkata"' in page) == (True, True)
    assert 'value="Asia/Kolkata"' in browser.read(ACCOUNT)
    entry = AuditEntry.objects.get(action="choose time zone")
    assert (entry.actor, entry.words) == (support, "Times are shown in Asia/Kolkata.")
    assert "Times are now shown in your browser&#x27;s time zone." in browser.submit(ZONE, time_zone="")
    assert User.objects.get(pk=support.pk).time_zone == ""


def test_zone_that_there_is_not_is_refused_and_stays_in_the_field(support: User) -> None:
    browser = browser_of(support)
    response = browser.client.post(ZONE, {"time_zone": '"><b>Nowhere'})
    page = response.content.decode()
    assert (response.status_code, "Choose a time zone from the list" in page) == (422, True)
    assert "&quot;&gt;&lt;b&gt;Nowhere" in page
    assert User.objects.get(pk=support.pk).time_zone == ""
    assert not AuditEntry.objects.filter(action="choose time zone").exists()


def test_form_that_is_sent_twice_is_one_choice(support: User) -> None:
    browser, operation = browser_of(support), str(uuid.uuid4())
    for _ in range(2):
        browser.submit(ZONE, time_zone="Asia/Kolkata", operation=operation)
    assert AuditEntry.objects.filter(action="choose time zone").count() == 1


SHUT = [
    "signup/", "email/", "confirm-email/", "confirm-email/abc/", "password/reset/", "password/reset/done/",
    "password/reset/key/1-abc/", "login/code/", "login/code/confirm/", "2fa/recovery-codes/download/", "2fa/trust/",
    "2fa/webauthn/signup/", "3rdparty/", "3rdparty/signup/", "social/signup/", "signup/passkey/", "phone/change/",
]  # fmt: skip


@pytest.mark.parametrize("path", SHUT)
def test_page_of_allauth_that_is_not_needed_is_not_there(path: str, client: Client) -> None:
    for method in (client.get, client.post):
        assert method(f"/accounts/{path}").status_code == 404
    client.force_login(make_user())
    assert client.get(f"/accounts/{path}").status_code == 404


def test_nobody_can_sign_up(client: Client) -> None:
    client.post("/accounts/signup/", {"username": "eve", "password1": "a-long-pass1", "password2": "a-long-pass1"})
    assert not User.objects.filter(username="eve").exists()


def test_sign_out_closes_the_door(client: Client) -> None:
    client.force_login(make_user())
    client.post(reverse("account_logout"))
    assert client.get("/")["Location"] == "/accounts/login/?next=/"


def test_closed_account_is_told_so_after_the_right_password_only(client: Client) -> None:
    make_user(username="ana", password="a-long-password", is_active=False)
    wrong = client.post(LOGIN, {"login": "ana", "password": "not-the-password"})
    assert "Incorrect user name or password." in wrong.content.decode()
    right = client.post(LOGIN, {"login": "ana", "password": "a-long-password"}, follow=True)
    assert "Account deactivated" in right.content.decode()
    assert client.get("/").status_code == 302


def test_account_page_leads_to_every_part(client: Client) -> None:
    client.force_login(make_user(username="ana", email="ana@example.com"))
    page = client.get(ACCOUNT).content.decode()
    for name in ("account_change_password", "mfa_activate_totp", "mfa_add_webauthn", "session-list"):
        assert f'href="{reverse(name)}"' in page
    assert "ana, support, ana@example.com" in page
    assert "You are signed in only here." in page


def test_menu_leads_to_the_account_page(client: Client) -> None:
    client.force_login(make_user())
    assert f'<a href="{ACCOUNT}">' in client.get("/").content.decode()


def test_password_is_changed_and_ends_the_other_sessions(client: Client) -> None:
    ana = make_user(username="ana", password="a-long-password")
    other = Client()
    for one in (client, other):
        one.force_login(ana)
    form = {"oldpassword": "a-long-password", "password1": "another-long-one", "password2": "another-long-one"}
    page = client.post(reverse("account_change_password"), form, follow=True).content.decode()
    assert "Password changed. Your other sessions were ended." in page
    assert (client.get("/").status_code, other.get("/").status_code) == (200, 302)
    ana.refresh_from_db()
    assert ana.check_password("another-long-one")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"oldpassword": "wrong"}, "Please type your current password."),
        ({"password1": "12345678901", "password2": "12345678901"}, "This password is entirely numeric."),
        ({"password2": "something-else"}, "You must type the same password each time."),
    ],
)
def test_password_that_cannot_be_taken_says_why(changed: dict[str, str], words: str, client: Client) -> None:
    client.force_login(make_user(password="a-long-password"))
    form = {"oldpassword": "a-long-password", "password1": "another-long-one", "password2": "another-long-one"}
    page = client.post(reverse("account_change_password"), form | changed).content.decode()
    assert "Nothing was saved." in page
    assert words in page


def test_account_without_a_password_is_given_none(client: Client) -> None:
    ana = make_user()
    ana.set_unusable_password()
    ana.save()
    client.force_login(ana)
    page = client.get(reverse("account_change_password"), follow=True).content.decode()
    assert "Your account has no password: you sign in without one." in page
    form = {"password1": "another-long-one", "password2": "another-long-one"}
    client.post(reverse("account_set_password"), form)
    ana.refresh_from_db()
    assert not ana.has_usable_password()


def test_sign_out_by_link_asks_first(client: Client) -> None:
    client.force_login(make_user())
    assert "Sign out?" in client.get(reverse("account_logout")).content.decode()
    assert client.get("/").status_code == 200


def test_pages_of_the_account_are_a_strangers_only_by_sign_in(client: Client) -> None:
    for name in ("account", "mfa_activate_totp", "mfa_add_webauthn", "mfa_list_webauthn", "session-list"):
        assert unquote(client.get(reverse(name))["Location"]) == f"{LOGIN}?next={reverse(name)}", name


@pytest.mark.parametrize(("cookie", "shown"), [("dark", "dark"), ("light", "light"), ("", "auto"), ('"><b>', "auto")])
def test_theme_is_the_one_that_the_browser_remembers(cookie: str, shown: str, client: Client) -> None:
    client.cookies["theme"] = cookie
    page = client.get(LOGIN).content.decode()
    assert f'data-theme="{shown}"' in page


def test_pages_bring_no_script_or_style_of_their_own(client: Client) -> None:
    response = client.get(LOGIN)
    page = response.content.decode()
    assert " style=" not in page
    assert "<style" not in page
    assert "onclick" not in page
    assert page.count("<script") == page.count("<script src=")
    policy = response["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)


@pytest.mark.parametrize("path", ["/nothing/", "/installs/999999999999999999999999/", "/endpoints/7/"])
def test_page_that_is_not_there_says_so_in_words(path: str, client: Client) -> None:
    client.force_login(make_user())
    response = client.get(path)
    assert response.status_code == 404
    assert "This page doesn't exist, or it belongs to an install that you don't have access to." in (
        response.content.decode()
    )


def test_failure_of_our_own_says_what_to_do(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.force_login(make_user())
    client.raise_request_exception = False
    monkeypatch.setattr("dashboard.views.inbox._context", lambda _request: 1 / 0)
    response = client.get("/")
    assert response.status_code == 500
    assert "The error is in Redeliver, not in what you did" in response.content.decode()
