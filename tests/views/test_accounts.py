"""Sign-in: a door for those who were given an account, and for nobody else."""

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.models import User
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LOGIN = reverse("account_login")


def test_sign_in_leads_to_the_installs(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    response = client.post(LOGIN, {"login": "ana", "password": "a-long-password"}, follow=True)
    assert [url for url, _status in response.redirect_chain] == ["/"]
    assert "No install yet" in response.content.decode()


def test_sign_in_leads_back_to_the_page_that_was_asked_for(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    asked = client.get("/installs/connect/", follow=True)
    assert 'value="/installs/connect/"' in asked.content.decode()
    form = {"login": "ana", "password": "a-long-password", "next": "/installs/connect/"}
    assert client.post(LOGIN, form)["Location"] == "/installs/connect/"


def test_sign_in_never_leads_to_another_site(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    form = {"login": "ana", "password": "a-long-password", "next": "https://evil.example.com/"}
    assert client.post(LOGIN, form)["Location"] == "/"


def test_wrong_password_says_so_without_saying_which_part(client: Client) -> None:
    make_user(username="ana", password="a-long-password")
    pages = [
        client.post(LOGIN, {"login": name, "password": "not-the-password"}).content.decode() for name in ("ana", "bob")
    ]
    words = "The username and/or password you specified are not correct."
    assert [words in page for page in pages] == [True, True]
    assert [name in page for name, page in zip(("ana", "bob"), pages, strict=True)] == [True, True]


def test_sign_up_is_closed(client: Client) -> None:
    response = client.post(
        reverse("account_signup"), {"username": "eve", "password1": "a-long-pass1", "password2": "a-long-pass1"}
    )
    assert "sign up is currently closed" in response.content.decode()
    assert not User.objects.filter(username="eve").exists()


def test_sign_out_closes_the_door(client: Client) -> None:
    client.force_login(make_user())
    client.post(reverse("account_logout"))
    assert client.get("/")["Location"] == "/accounts/login/?next=/"


def test_accounts_pages_wear_the_look_of_the_others(client: Client) -> None:
    client.force_login(make_user())
    page = client.get(reverse("account_change_password")).content.decode()
    assert '<section class="card account">' in page
    assert "<title> Change Password · Redeliver</title>" in " ".join(page.split())


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
    assert "This page does not exist, or it belongs to an install that you do not look after." in (
        response.content.decode()
    )


def test_failure_of_our_own_says_what_to_do(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.force_login(make_user())
    client.raise_request_exception = False
    monkeypatch.setattr("dashboard.views.inbox._context", lambda _request: 1 / 0)
    response = client.get("/")
    assert response.status_code == 500
    assert "The failure is in Redeliver, not in what you did" in response.content.decode()
