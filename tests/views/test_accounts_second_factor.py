"""Authenticator apps, recovery codes and passkeys without a browser (with one: tests/journeys/test_sign_in.py)."""

import base64
import html
import json
import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.db import connection
from django.test import Client
from django.urls import reverse

from dashboard.models import User
from tests import totp
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
LOGIN, ACCOUNT, ACTIVATE = reverse("account_login"), reverse("account"), reverse("mfa_activate_totp")
AUTHENTICATE, CODES = reverse("mfa_authenticate"), reverse("mfa_view_recovery_codes")


@pytest.fixture
def ana() -> User:
    return make_user(username="ana", password=PASSWORD)


@pytest.fixture
def protected(ana: User) -> User:
    """Ana, with an authenticator app."""
    TOTP.activate(ana, SECRET)
    return ana


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of codes, in seconds. It starts in the middle of a code's 30 s, so that none expires in a test."""
    now = [float(int(time.time()) // 30 * 30 + 15)]
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.time.time", lambda: now[0])
    return now


def sign_in(client: Client, **form: str) -> str:
    """Enter the password; return the redirect's location."""
    return client.post(LOGIN, {"login": "ana", "password": PASSWORD, **form})["Location"]


def reauthenticate(client: Client, **form: str) -> None:
    assert client.post(reverse("account_reauthenticate"), {"password": PASSWORD, **form}).status_code == 302


def set_up(client: Client) -> tuple[str, str]:
    """Set up an app as a user does; return its secret and the page that follows."""
    page = client.get(ACTIVATE).content.decode()
    [secret] = re.findall(r"<code>([A-Z2-7]{32})</code>", page)
    return secret, client.post(ACTIVATE, {"code": totp.code(secret)}, follow=True).content.decode()


def test_app_code_is_the_one_that_the_standard_says() -> None:
    """The vectors of RFC 6238, appendix B, reduced to the last six of their eight digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert [totp.code(secret, at=at) for at in (59, 1111111109, 20000000000)] == ["287082", "081804", "353130"]


def test_app_is_set_up_after_the_password_was_given_again(client: Client, ana: User, clock: list[float]) -> None:
    sign_in(client)
    asked = client.get(ACTIVATE)
    assert asked["Location"].startswith(reverse("account_reauthenticate"))
    reauthenticate(client)
    _secret, page = set_up(client)
    assert len(re.findall(r"<li><code>\d{8}</code></li>", page)) == 10
    assert {one.type for one in ana.authenticator_set.all()} == {"totp", "recovery_codes"}


def test_wrong_code_sets_nothing_up(client: Client, ana: User) -> None:
    sign_in(client)
    reauthenticate(client)
    page = client.get(ACTIVATE).content.decode()
    [secret] = re.findall(r"<code>([A-Z2-7]{32})</code>", page)
    answer = client.post(ACTIVATE, {"code": totp.wrong(secret)}).content.decode()
    assert "Incorrect code." in answer
    assert secret in answer  # the same secret, so that the user need not scan the QR code again
    assert not ana.authenticator_set.exists()


def test_sign_in_asks_for_the_code_and_leads_where_one_wanted(
    client: Client, protected: User, clock: list[float]
) -> None:
    assert sign_in(client, next="/installs/connect/").startswith(AUTHENTICATE)
    assert client.get("/installs/").status_code == 302
    page = client.get(AUTHENTICATE).content.decode()
    assert "a code from your authenticator app" in page
    answer = client.post(AUTHENTICATE, {"code": totp.code(SECRET, at=clock[0])})
    assert (answer.status_code, answer["Location"]) == (302, "/installs/connect/")
    assert client.get("/installs/").status_code == 200


def test_wrong_code_lets_nobody_in(client: Client, protected: User) -> None:
    sign_in(client)
    page = client.post(AUTHENTICATE, {"code": totp.wrong(SECRET)}).content.decode()
    assert "Incorrect code." in page
    assert client.get("/installs/").status_code == 302


def test_code_is_good_once_and_only_in_its_time(protected: User, clock: list[float]) -> None:
    code = totp.code(SECRET, at=clock[0])
    browsers = [Client() for _ in range(3)]
    for browser in browsers:
        sign_in(browser)
    assert browsers[0].post(AUTHENTICATE, {"code": code}).status_code == 302
    assert "Incorrect code." in browsers[1].post(AUTHENTICATE, {"code": code}).content.decode()
    clock[0] += 30
    assert "Incorrect code." in browsers[2].post(AUTHENTICATE, {"code": code}).content.decode()


def test_recovery_codes_are_shown_once_and_each_is_good_once(client: Client, ana: User, clock: list[float]) -> None:
    sign_in(client)
    reauthenticate(client)
    _secret, page = set_up(client)
    codes = re.findall(r"<li><code>(\d{8})</code></li>", page)
    again = client.get(CODES).content.decode()
    assert [code for code in codes if code in again] == []
    assert "They can't be shown again." in again
    for code, status in ((codes[3], 302), (codes[3], 200), (codes[4], 302)):
        other = Client()
        sign_in(other)
        assert other.post(AUTHENTICATE, {"code": code}).status_code == status
    assert "8 of 10 left" in client.get(ACCOUNT).content.decode()


def test_new_recovery_codes_replace_the_old_ones(client: Client, ana: User, clock: list[float]) -> None:
    sign_in(client)
    reauthenticate(client)
    _secret, page = set_up(client)
    old = set(re.findall(r"<li><code>(\d{8})</code></li>", page))
    asked = client.get(reverse("mfa_generate_recovery_codes")).content.decode()
    assert "Your 10 remaining codes stop working." in asked
    page = client.post(reverse("mfa_generate_recovery_codes"), follow=True).content.decode()
    new = set(re.findall(r"<li><code>(\d{8})</code></li>", page))
    assert (len(new), new & old) == (10, set())
    other = Client()
    sign_in(other)
    assert other.post(AUTHENTICATE, {"code": old.pop()}).status_code == 200


def test_app_is_taken_away_and_its_recovery_codes_with_it(client: Client, ana: User, clock: list[float]) -> None:
    sign_in(client)
    reauthenticate(client)
    set_up(client)
    assert "Remove the authenticator app?" in client.get(reverse("mfa_deactivate_totp")).content.decode()
    page = client.post(reverse("mfa_deactivate_totp"), follow=True).content.decode()
    assert "Authenticator app removed." in page
    assert not ana.authenticator_set.exists()
    assert sign_in(Client()) == "/"


def test_what_changes_how_one_signs_in_asks_again_who_it_is(client: Client, protected: User) -> None:
    client.force_login(protected)
    key = protected.authenticator_set.create(type="webauthn", data={"name": "Blue key", "credential": {}})
    for name, arguments in (
        ("mfa_deactivate_totp", []), ("mfa_add_webauthn", []), ("mfa_generate_recovery_codes", []),
        ("mfa_remove_webauthn", [key.pk]), ("mfa_edit_webauthn", [key.pk]),
    ):  # fmt: skip
        for method in (client.get, client.post):
            answer = method(reverse(name, args=arguments))
            assert answer["Location"].startswith(reverse("account_reauthenticate")), name
    assert protected.authenticator_set.count() == 2


def test_second_factor_is_another_way_to_say_who_it_is(client: Client, protected: User, clock: list[float]) -> None:
    client.force_login(protected)
    page = client.get(reverse("mfa_reauthenticate")).content.decode()
    assert "Confirm it's you" in page
    assert f'href="{reverse("account_reauthenticate")}' in page
    answer = client.post(reverse("mfa_reauthenticate"), {"code": totp.code(SECRET, at=clock[0])})
    assert answer.status_code == 302
    assert client.get(reverse("mfa_deactivate_totp")).status_code == 200


def test_secrets_of_second_factors_are_stored_encrypted(client: Client, ana: User, clock: list[float]) -> None:
    sign_in(client)
    reauthenticate(client)
    secret, page = set_up(client)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data::text FROM mfa_authenticator")
        kept = " ".join(data for (data,) in cursor.fetchall())
    assert secret not in kept
    assert [code for code in re.findall(r"<code>(\d{8})</code>", page) if code in kept] == []
    assert kept.count("gAAAA") == 2


def test_passkey_pages_bring_their_options_as_data_and_no_script(client: Client, protected: User) -> None:
    sign_in(client)
    page = client.get(AUTHENTICATE).content.decode()
    [options] = re.findall(r'data-passkey="get" data-options="([^"]*)"', page)
    assert json.loads(html.unescape(options))["publicKey"]["rpId"] == "testserver"
    assert page.count("<script") == page.count("<script src=")


def test_passkey_login_says_the_same_of_everybody(client: Client, protected: User) -> None:
    answer = client.get(reverse("mfa_login_webauthn"), headers={"Accept": "application/json"}).json()
    assert answer["request_options"]["publicKey"]["allowCredentials"] == []
    for credential in ("", "{}", '{"id": "x"}', "nonsense"):
        refused = client.post(reverse("mfa_login_webauthn"), {"credential": credential})
        assert refused["Location"] == LOGIN
    assert client.get("/").status_code == 302


CLIENT_DATA = base64.urlsafe_b64encode(
    b'{"type":"webauthn.create","challenge":"eA","origin":"http://testserver"}'
).decode()
DEEP_CBOR = base64.urlsafe_b64encode(b"\x81" * 6000 + b"\x00").decode()
NONSENSE = [
    "",
    "{}",
    "[]",
    "1",
    "null",
    '{"id": "x"}',
    '{"rawId": 1, "response": {}}',
    '{"rawId": "eA", "response": []}',
    "[" * 201 + "]" * 201,
    "[" * 100_000,
    "9" * 641,
    "9" * 5000,
    json.dumps({"id": "eA", "rawId": "eA", "type": "public-key", "response": {
        "clientDataJSON": CLIENT_DATA, "attestationObject": DEEP_CBOR, "authenticatorData": DEEP_CBOR,
        "signature": "eA",
    }}),
]  # fmt: skip


@pytest.mark.parametrize("credential", NONSENSE)
def test_passkey_that_is_none_is_not_accepted_anywhere(
    credential: str, client: Client, protected: User, clock: list[float]
) -> None:
    assert client.post(reverse("mfa_login_webauthn"), {"credential": credential})["Location"] == LOGIN
    sign_in(client)
    page = client.post(AUTHENTICATE, {"credential": credential}).content.decode()
    assert "That passkey was not accepted. Try again, or use a code." in page
    client.post(AUTHENTICATE, {"code": totp.code(SECRET, at=clock[0])})
    reauthenticate(client)
    page = client.post(reverse("mfa_add_webauthn"), {"credential": credential, "name": "x"}).content.decode()
    assert "That passkey was not accepted, and nothing was added." in page
    assert protected.authenticator_set.count() == 1


def test_passkey_of_somebody_else_is_not_there(client: Client, protected: User) -> None:
    key = Authenticator.objects.create(user=make_user(), type="webauthn", data={"name": "x", "credential": {}})
    sign_in(client)
    client.post(AUTHENTICATE, {"code": totp.code(SECRET)})
    reauthenticate(client)
    for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        assert client.post(reverse(name, args=[key.pk])).status_code == 404
