"""A form whose token is out of date: signing in or out in another tab, and what was typed."""

import re

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from dashboard.models import AuditEntry, User
from tests.factories import make_endpoint, make_user

OURS = {"Origin": "http://testserver"}
PASSWORD = "a-long-password"


@pytest.fixture
def browser(db: None) -> Client:
    make_user(username="ana", password=PASSWORD, role="support")
    return Client(enforce_csrf_checks=True)


def token_of(response: HttpResponse) -> str:
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', response.content.decode())[1]


def sign_in(browser: Client, *, token: str, path: str = "/") -> HttpResponse:
    form = {"login": "ana", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": path}
    return browser.post(reverse("account_login"), form, headers=OURS)


def test_sign_in_form_of_a_second_tab_leads_where_it_would_have(browser: Client) -> None:
    second_tab = token_of(browser.get(reverse("account_login")))
    assert sign_in(browser, token=second_tab).status_code == 302  # in the first tab, with the same token
    entries = AuditEntry.objects.count()
    again = sign_in(browser, token=second_tab, path="/deliveries/")
    assert (again.status_code, again["Location"]) == (302, "/deliveries/")
    assert AuditEntry.objects.count() == entries
    evil = sign_in(browser, token=second_tab, path="https://evil.example/")
    assert (evil.status_code, evil["Location"]) == (302, "/")


def test_sign_in_form_from_before_a_sign_in_and_out_asks_again_and_says_why(browser: Client) -> None:
    second_tab = token_of(browser.get(reverse("account_login")))
    sign_in(browser, token=second_tab)
    browser.logout()
    browser.cookies["csrftoken"] = "a" * 32  # as the sign-in has set it
    again = sign_in(browser, token=second_tab, path="/deliveries/")
    assert (again.status_code, again["Location"]) == (302, f"{reverse('account_login')}?next=/deliveries/")
    assert [str(one) for one in get_messages(again.wsgi_request)] == ["This page was out of date. Sign in again."]


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_form_of_nobody_knows_which_page_is_refused(browser: Client, headers: dict[str, str]) -> None:
    browser.force_login(User.objects.get())
    for name in ("account_login", "account_logout"):
        response = browser.post(reverse(name), {"csrfmiddlewaretoken": "b" * 64, "note": "x"}, headers=headers)
        assert response.status_code == 403
        assert "Send it again" not in response.content.decode()


def test_sign_out_of_a_page_from_before_a_new_sign_in_asks_once_more(browser: Client) -> None:
    browser.force_login(User.objects.get())
    stale = {"csrfmiddlewaretoken": "b" * 64}
    first = browser.post(reverse("account_logout"), stale, headers=OURS, follow=True)
    assert "Sign out?" in first.content.decode()
    again = {"csrfmiddlewaretoken": token_of(first)}
    assert browser.post(reverse("account_logout"), again, headers=OURS)["Location"] == reverse("account_login")
    signed_out = browser.post(reverse("account_logout"), again, headers=OURS, follow=True)
    assert signed_out.redirect_chain[-1][0].startswith(reverse("account_login"))


def test_what_was_typed_is_sent_again_with_one_press(browser: Client) -> None:
    browser.force_login(User.objects.get())
    path = reverse("endpoint-create", args=[make_endpoint().install_id])
    typed = {"url": "https://a.example/\u200b", "event_types": ["contract.started", "contract.ended"]}
    page = browser.post(path, {"csrfmiddlewaretoken": "b" * 64, **typed}, headers=OURS)
    words = page.content.decode()
    assert page.status_code == 403
    assert "You are signed in as <strong>ana</strong>." in words
    assert f'action="{path}"' in words
    assert re.findall(r'type="hidden" name="(\w+)" value="([^"]*)" autocomplete', words) == [
        ("url", "https://a.example/\u200b"), ("event_types", "contract.started"), ("event_types", "contract.ended"),
    ]  # fmt: skip
    again = browser.post(path, {"csrfmiddlewaretoken": token_of(page), **typed}, headers=OURS)
    assert again.status_code != 403


@pytest.mark.parametrize("field", ["password", "token", "secret", "code"])
def test_form_with_a_secret_is_back_without_it(browser: Client, field: str) -> None:
    browser.force_login(User.objects.get())
    form = {"csrfmiddlewaretoken": "b" * 64, field: "hush-hush", "name": "Acme"}
    answer = browser.post(reverse("install-connect"), form, headers=OURS)
    assert (answer.status_code, answer["Location"]) == (302, "/installs/connect/#kept-form")
    page = browser.get(reverse("install-connect")).content.decode()
    assert "Nothing was started." in page
    assert 'value="Acme"' in page
    assert "hush-hush" not in page


def test_form_with_a_secret_of_who_is_signed_out_is_not_put_into_a_page(browser: Client) -> None:
    form = {"csrfmiddlewaretoken": "b" * 64, "token": "hush-hush", "name": "Acme"}
    page = browser.post(reverse("install-connect"), form, headers=OURS)
    assert page.status_code == 403
    assert "hush-hush" not in page.content.decode()
    assert "Go back, reload the page and press the button again." in page.content.decode()


def test_button_of_a_page_from_before_a_new_sign_in_leads_back_to_it(browser: Client) -> None:
    browser.force_login(User.objects.get())
    page = reverse("endpoint-detail", args=[make_endpoint().pk])
    headers = OURS | {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"}
    response = browser.post(f"{page}enable/", {"csrfmiddlewaretoken": "b" * 64}, headers=headers)
    assert (response.status_code, response["HX-Redirect"], response.content) == (200, f"{page}#kept-form", b"")
    assert "Nothing was started." in browser.get(page).content.decode()


def test_button_of_who_is_signed_out_says_so_in_its_place(browser: Client) -> None:
    form, headers = {"csrfmiddlewaretoken": "b" * 64}, OURS | {"HX-Request": "true"}
    response = browser.post(reverse("endpoint-enable", args=[make_endpoint().pk]), form, headers=headers)
    assert (response.status_code, response["HX-Reswap"], response["X-Not-Allowed"]) == (403, "innerHTML", "shown")
    assert "Nothing was started: this page is out of date." in response.content.decode()
    assert "<html" not in response.content.decode()
