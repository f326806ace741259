"""Claims of an OpenID Connect provider are trusted only if they are signed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.urls import reverse

from dashboard.models import User
from tests.factories import make_user
from tests.oidc_provider import KEY, Provider, new_key, running
from tests.views.test_oidc import come, leave

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


LIES: dict[str, dict[str, Any]] = {
    "signed by another key": {"key": new_key()},
    "not signed": {"key": None, "alg": "none"},
    "signed with the public key as a password": {
        "key": KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "alg": "HS256",
    },
    "for another client": {"claims": {"aud": "somebody-else"}},
    "by another issuer": {"claims": {"iss": "https://evil.example.com"}},
    "run out": {"claims": {"exp": 1_000_000_000}},
    "without an end": {"claims": {"exp": None}},
    "without a subject": {"claims": {"sub": ""}},
    "of another issuer by its own description": {"described_issuer": "https://evil.example.com"},
    "with claims that are nested too deeply": {"claims": {"deep": json.loads("[" * 200 + "]" * 200)}},
    "with a userinfo that is nested too deeply": {
        "userinfo": {"sub": "u-1", "deep": json.loads("[" * 200 + "]" * 200)}
    },
    "with the userinfo of somebody else": {"userinfo": {"sub": "u-2", "email": "ana@example.com"}},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_token_that_cannot_be_trusted_lets_nobody_in(lie: str, client: Client, provider: Provider, ana: User) -> None:
    address = leave(client)
    for name, value in LIES[lie].items():
        setattr(provider, name, {**provider.claims, **value} if name == "claims" else value)
    answer = client.get(provider.authorize(address).removeprefix("http://testserver"))
    assert answer.status_code in {401, 502, 200}
    assert "Sign-in failed" in answer.content.decode()
    assert client.get("/installs/").status_code == 302
    assert SocialAccount.objects.count() == 0


def test_token_used_a_second_time_lets_nobody_in(
    client: Client, provider: Provider, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.claims |= {"jti": "one"}
    assert come(client, provider)["Location"] == "/"
    assert "Sign-in failed" in come(Client(), provider).content.decode()


def test_address_from_the_userinfo_is_taken_where_the_token_has_none(
    client: Client, provider: Provider, ana: User
) -> None:
    provider.claims |= {"email": None, "email_verified": None}
    provider.userinfo = {"sub": "u-1", "email": "Ana@Example.com", "email_verified": True}
    assert come(client, provider)["Location"] == "/"


def test_verified_of_one_address_is_not_taken_for_another(client: Client, provider: Provider, ana: User) -> None:
    provider.claims |= {"email_verified": None}
    provider.userinfo = {"sub": "u-1", "email": "eve@example.com", "email_verified": True}
    assert come(client, provider).status_code == 403


def test_same_subject_of_another_issuer_is_somebody_else(
    client: Client, provider: Provider, ana: User, settings: Any
) -> None:
    come(client, provider)
    with running() as other:
        for name, value in other.settings.items():
            setattr(settings, name, value)
        assert come(Client(), other).status_code == 403


def test_claims_that_postgresql_cannot_store_are_kept_as_far_as_it_can(
    client: Client, provider: Provider, ana: User
) -> None:
    provider.claims |= {"name": "a\x00b", "groups": ["\ud800", {"\x00": "x" * 3000}]}
    assert come(client, provider)["Location"] == "/"
    kept = SocialAccount.objects.get().extra_data["id_token"]
    assert (kept["name"], kept["groups"]) == ("a\ufffdb", ["?", {"\ufffd": "x" * 1999 + "…"}])


def test_address_with_a_nul_matches_no_account(client: Client, provider: Provider, ana: User) -> None:
    provider.claims |= {"email": "ana@example.com\x00"}
    assert come(client, provider).status_code == 403
