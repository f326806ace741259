"""Pasted user names and codes at sign-in; the sign-in itself is tested in tests/views/."""

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client
from django.urls import reverse

from tests import totp
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
LOGIN, AUTHENTICATE = reverse("account_login"), reverse("mfa_authenticate")


@pytest.fixture
def halfway(client: Client) -> Client:
    """Ana's password is entered; the code is asked for."""
    ana = make_user(username="ana", password=PASSWORD)
    TOTP.activate(ana, SECRET)
    RecoveryCodes.activate(ana)
    assert client.post(LOGIN, {"login": "\u200bana\u00a0", "password": PASSWORD})["Location"] == AUTHENTICATE
    return client


@pytest.mark.parametrize("spelled", ["\u200b{}\n", "{}\u00a0", "`{}`", "“{}”"])
def test_app_code_is_taken_from_what_is_around_it(halfway: Client, spelled: str) -> None:
    assert halfway.post(AUTHENTICATE, {"code": spelled.format(totp.code(SECRET))}).status_code == 302


def test_app_code_is_taken_with_a_no_break_space_in_the_middle_and_with_wide_digits(halfway: Client) -> None:
    code = totp.code(SECRET)
    wide = "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in code[:3])
    assert halfway.post(AUTHENTICATE, {"code": f"{wide}\u00a0{code[3:]}"}).status_code == 302


def test_ten_recovery_codes_are_refused_with_the_reason_and_are_no_wrong_code(halfway: Client) -> None:
    [first, *others] = RecoveryCodes.activate(make_user(username="ben")).get_unused_codes()
    for _ in range(20):
        page = halfway.post(AUTHENTICATE, {"code": " ".join([first, *others])}).content.decode()
        assert "This has 80 digits. A code has 6 or 8: paste only one code." in page
    assert halfway.post(AUTHENTICATE, {"code": totp.code(SECRET)}).status_code == 302


def test_recovery_code_does_not_set_up_an_app(client: Client) -> None:
    client.force_login(make_user(username="ana", password=PASSWORD))
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    client.get(reverse("mfa_activate_totp"))
    page = client.post(reverse("mfa_activate_totp"), {"code": "1234 5678"}).content.decode()
    assert "This has 8 digits. A code has 6: paste only one code." in page
