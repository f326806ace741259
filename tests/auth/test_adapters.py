"""The account that an identity of the OIDC provider signs in to."""

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from dashboard.models import User
from tests.factories import make_user
from tests.oidc_provider import Provider, running
from tests.views.test_oidc import come

pytestmark = pytest.mark.django_db

TO_PROVIDER = reverse("openid_connect_login", args=["sso"])

CALLBACK = reverse("openid_connect_callback", args=["sso"])


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with running() as provider:
        for name, value in provider.settings.items():
            setattr(settings, name, value)
        yield provider


@pytest.fixture
def ana() -> User:
    return make_user(username="ana", email="ana@example.com", password="a-long-password")


def test_account_with_the_verified_address_comes_in_and_belongs_to_the_identity(
    client: Client, provider: Provider, ana: User
) -> None:
    answer = come(client, provider, next="/installs/connect/")
    assert (answer.status_code, answer["Location"]) == (302, "/installs/connect/")
    assert client.get("/installs/").wsgi_request.user == ana
    assert SocialAccount.objects.get().user == ana
    provider.claims |= {"email": "ana.new-name@example.com"}
    other = Client()
    assert come(other, provider)["Location"] == "/"
    assert other.get("/installs/").wsgi_request.user == ana


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "false"},
        {"email_verified": "true"},
        {"email": None},
        {"email": ""},
        {"email": ["ana@example.com"]},
        {"email": "eve@example.com"},
        {"email": "ana@example.com.evil.example"},
        {"email": "eve@example.com", "preferred_username": "ana"},
        {"email": "ana@exampl\u212a.com"},
    ],
    ids=str,
)
def test_identity_that_no_account_was_made_for_is_told_so_and_gets_none(
    claims: dict[str, Any], client: Client, provider: Provider, ana: User
) -> None:
    provider.claims |= claims
    answer = come(client, provider)
    assert answer.status_code == 403
    assert "No account found" in answer.content.decode()
    assert client.get("/installs/").status_code == 302
    assert (User.objects.count(), SocialAccount.objects.count()) == (1, 0)


def test_account_that_belongs_to_an_identity_is_nobody_elses(client: Client, provider: Provider, ana: User) -> None:
    come(client, provider)
    provider.claims |= {"sub": "u-2"}
    assert come(Client(), provider).status_code == 403
    assert SocialAccount.objects.count() == 1


def test_address_of_two_accounts_or_of_a_closed_one_lets_nobody_in(
    client: Client, provider: Provider, ana: User
) -> None:
    second = make_user(username="ann", email="ANA@example.com")
    assert come(client, provider).status_code == 403
    second.delete()
    User.objects.update(is_active=False)
    assert come(Client(), provider).status_code == 403
    assert SocialAccount.objects.count() == 0


def test_account_that_is_closed_later_is_shut_to_its_identity_too(
    client: Client, provider: Provider, ana: User
) -> None:
    come(client, provider)
    User.objects.update(is_active=False)
    other = Client()
    assert come(other, provider)["Location"] == reverse("account_inactive")
    assert other.get("/installs/").status_code == 302
