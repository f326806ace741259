"""Sign-in by OpenID Connect, with a provider on loopback that really signs: who is let in, and who is not."""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from dashboard.models import AuditEntry, User
from tests.factories import make_user
from tests.oidc_provider import CLIENT_SECRET, Provider, running

pytestmark = pytest.mark.django_db
LOGIN, ACCOUNT = reverse("account_login"), reverse("account")
TO_PROVIDER = reverse("openid_connect_login", args=["sso"])
CALLBACK = reverse("openid_connect_callback", args=["sso"])
CONNECTION = reverse("socialaccount_connections")


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with running() as provider:
        for name, value in provider.settings.items():
            setattr(settings, name, value)
        yield provider


@pytest.fixture
def ana() -> User:
    return make_user(username="ana", email="ana@example.com", password="a-long-password")


def leave(client: Client, **form: str) -> str:
    """Press the button; return the provider's URL that the page redirects to."""
    page = client.post(TO_PROVIDER, form).content.decode()
    [address] = re.findall(r'<meta http-equiv="refresh" content="0; url=([^"]*)">', page)
    assert f'href="{address}"' in page
    return html.unescape(address)


def come(client: Client, provider: Provider, **form: str) -> Any:
    """Sign in at the provider and come back; return the final response."""
    back = provider.authorize(leave(client, **form))
    assert back.startswith(f"http://testserver{CALLBACK}?")
    return client.get(back.removeprefix("http://testserver"))


def test_second_factor_of_ours_is_asked_for_all_the_same(client: Client, provider: Provider, ana: User) -> None:
    TOTP.activate(ana, "JBSWY3DPEHPK3PXP")
    assert come(client, provider)["Location"].startswith(reverse("mfa_authenticate"))
    assert client.get("/installs/").status_code == 302


def test_answer_that_was_not_asked_for_lets_nobody_in(client: Client, provider: Provider, ana: User) -> None:
    """A user opens a callback made by an attacker, and would then work in the attacker's account."""
    attacker = Client()
    back = provider.authorize(leave(attacker)).removeprefix("http://testserver")
    assert "Sign-in failed" in client.get(back).content.decode()
    assert client.get("/installs/").status_code == 302


def test_answer_is_good_once(client: Client, provider: Provider, ana: User) -> None:
    back = provider.authorize(leave(client)).removeprefix("http://testserver")
    client.get(back)
    client.post(reverse("account_logout"))
    assert "Sign-in failed" in client.get(back).content.decode()
    assert client.get("/installs/").status_code == 302


def test_sign_in_by_link_alone_begins_nothing(client: Client, provider: Provider) -> None:
    assert client.get(TO_PROVIDER).status_code == 405
    assert Client(enforce_csrf_checks=True).post(TO_PROVIDER).status_code == 403


def test_next_leads_to_no_other_site(client: Client, provider: Provider, ana: User) -> None:
    assert come(client, provider, next="https://evil.example.com/")["Location"] == "/"


def test_provider_that_does_not_answer_is_said_in_words(
    client: Client, provider: Provider, ana: User, caplog: pytest.LogCaptureFixture
) -> None:
    address = leave(client)
    provider.is_broken = True
    for answer in (client.post(TO_PROVIDER), client.get(provider.authorize(address).removeprefix("http://testserver"))):
        page = answer.content.decode()
        assert "Sign-in failed" in page
        assert "Example SSO did not respond" in page
    assert CLIENT_SECRET not in caplog.text


def test_cancelled_at_the_provider_says_that_nothing_was_done(client: Client, provider: Provider) -> None:
    state = re.findall(r"state=([^&]+)", leave(client))[0]
    page = client.get(CALLBACK, {"error": "access_denied", "state": state}, follow=True).content.decode()
    assert "Sign-in cancelled" in page


# --- Users who connect and disconnect an identity themselves ---------------------------------------------------------


@pytest.fixture
def signed_in(client: Client, ana: User) -> Client:
    client.post(LOGIN, {"login": "ana", "password": "a-long-password"})
    return client


def show_again(client: Client) -> None:
    client.post(reverse("account_reauthenticate"), {"password": "a-long-password"})


def test_person_connects_an_identity_with_another_address(signed_in: Client, provider: Provider, ana: User) -> None:
    provider.claims |= {"email": "private@example.org", "email_verified": False}
    assert "Connect Example SSO" in signed_in.get(CONNECTION).content.decode()
    show_again(signed_in)
    assert come(signed_in, provider, process="connect", next=ACCOUNT)["Location"] == ACCOUNT
    assert SocialAccount.objects.get().user == ana
    assert come(Client(), provider)["Location"] == "/"


def test_connecting_asks_again_who_it_is(signed_in: Client, provider: Provider) -> None:
    asked = signed_in.post(TO_PROVIDER, {"process": "connect"})
    assert asked["Location"].startswith(reverse("account_reauthenticate"))
    page = signed_in.post(asked["Location"], {"password": "a-long-password"}).content.decode()
    assert "Redirecting to Example SSO" in page


def test_second_identity_is_not_connected(signed_in: Client, provider: Provider, ana: User) -> None:
    show_again(signed_in)
    come(signed_in, provider, process="connect")
    provider.claims |= {"sub": "u-2"}
    assert come(signed_in, provider, process="connect")["Location"] == CONNECTION
    assert SocialAccount.objects.count() == 1


def test_identity_of_somebody_else_is_not_taken_from_them(signed_in: Client, provider: Provider, ana: User) -> None:
    eve = make_user(username="eve", email="eve@example.com")
    provider.claims |= {"email": "eve@example.com"}
    come(Client(), provider)
    show_again(signed_in)
    page = signed_in.get(come(signed_in, provider, process="connect", next=ACCOUNT)["Location"]).content.decode()
    assert "that identity belongs to another account" in page
    assert SocialAccount.objects.get().user == eve


def test_person_disconnects(signed_in: Client, provider: Provider, ana: User) -> None:
    show_again(signed_in)
    come(signed_in, provider, process="connect")
    assert "Disconnect Example SSO?" in signed_in.get(CONNECTION).content.decode()
    page = signed_in.post(CONNECTION, follow=True).content.decode()
    assert "Disconnected. You can no longer sign in with it." in page
    assert SocialAccount.objects.count() == 0
    noted = AuditEntry.objects.filter(action="change identity").order_by("pk")
    assert list(noted.values_list("actor_name", "words")) == [
        ("ana", "An OpenID Connect identity was connected."),
        ("ana", "The OpenID Connect identity was disconnected."),
    ]


def test_person_without_a_password_cannot_shut_themselves_out(client: Client, provider: Provider, ana: User) -> None:
    ana.set_unusable_password()
    ana.save()
    come(client, provider)
    page = client.post(CONNECTION, follow=True).content.decode()
    assert "Not disconnected: without a password you could no longer sign in." in page
    assert SocialAccount.objects.count() == 1


def test_no_other_process_can_be_asked_for(signed_in: Client, provider: Provider) -> None:
    assert signed_in.post(TO_PROVIDER, {"process": "redirect"}).status_code == 404
    assert signed_in.post(TO_PROVIDER + "?process=redirect").status_code == 404


# --- Settings --------------------------------------------------------------------------------------------------------


def test_nothing_of_it_is_there_where_it_is_not_set(client: Client, support: User) -> None:
    client.force_login(support)
    for path in (TO_PROVIDER, CALLBACK, CONNECTION, reverse("socialaccount_login_cancelled")):
        assert {client.get(path).status_code, client.post(path).status_code} <= {404, 405}, path
    assert "passkey" in Client().get(LOGIN).content.decode()
    assert "openid" not in Client().get(LOGIN).content.decode()


def test_sign_in_page_has_its_button_where_it_is_set(client: Client, provider: Provider) -> None:
    page = client.get(LOGIN, {"next": "/runs/"}).content.decode()
    form = page.partition(f'action="{TO_PROVIDER}"')[2].partition("</form>")[0]
    assert "Sign in with Example SSO" in form
    assert 'name="next" value="/runs/"' in form
