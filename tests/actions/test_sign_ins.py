"""The audit has sign-ins, failed sign-ins, sign-outs and password changes, but no password or unknown user name."""

import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from dashboard.models import AuditEntry, User
from tests import totp
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password"


def said() -> list[tuple[str, ...]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "phase", "actor_name", "words"))


def sign_in(client: Client, *, login: str = "ana", password: str = PASSWORD) -> None:
    headers = {"User-Agent": "Firefox"}
    client.post("/accounts/login/", {"login": login, "password": password}, REMOTE_ADDR="192.0.2.7", headers=headers)


def test_sign_in_and_out_are_noted_with_where_they_came_from(client: Client) -> None:
    ana = make_user(username="ana")
    sign_in(client)
    client.post("/accounts/logout/", REMOTE_ADDR="192.0.2.8")
    assert said() == [("sign in", "done", "ana", "Signed in."), ("sign out", "done", "ana", "Signed out.")]
    entries = AuditEntry.objects.order_by("id").values_list("actor", "address", "agent")
    assert list(entries) == [(ana.pk, "192.0.2.7", "Firefox"), (ana.pk, "192.0.2.8", "")]


def test_failed_sign_in_is_of_whose_name_was_typed(client: Client) -> None:
    ana = make_user(username="ana")
    sign_in(client, login="Ana", password="wrong")
    assert said() == [("sign in", "refused", "ana", "The password was wrong.")]
    assert AuditEntry.objects.get().actor == ana


@pytest.mark.parametrize("typed", ["a-long-password", "=cmd|' /C calc'!A0", "a\nb", "a\0b", "x" * 500])
def test_failed_sign_in_by_no_ones_name_does_not_keep_what_was_typed(typed: str, client: Client) -> None:
    sign_in(client, login=typed, password="wrong")
    assert said() in ([], [("sign in", "refused", "unknown", "No account has the user name that was typed.")])


def test_changed_password_is_noted_without_it(client: Client) -> None:
    client.force_login(make_user(username="ana", password=PASSWORD))
    form = {"oldpassword": PASSWORD, "password1": "another-long-one", "password2": "another-long-one"}
    client.post("/accounts/password/change/", form)
    assert ("change password", "done", "ana", "The password was changed.") in said()
    assert "another-long-one" not in str(list(AuditEntry.objects.values()))


def test_account_by_the_command_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: PASSWORD)
    for role in ("support", "partner_admin"):
        call_command("account", "ada", role=role)
    assert User.objects.get().role == "partner_admin"
    assert said() == [
        ("make account", "done", "command line", "ada can sign in, as support, with a new password."),
        ("change account", "done", "command line", "ada can sign in, as partner admin, with a new password."),
    ]


@pytest.mark.usefixtures("code_lasts")
def test_second_factors_are_noted_without_their_secrets(
    client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    make_user(username="ana", password=PASSWORD)
    sign_in(client)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    [secret] = re.findall(r"<code>([A-Z2-7]{32})</code>", page)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/accounts/2fa/totp/activate/", {"code": totp.code(secret)})
    other = Client()
    sign_in(other)
    other.post("/accounts/2fa/authenticate/", {"code": totp.wrong(secret)})
    client.post("/accounts/2fa/totp/deactivate/")
    changed = "change second factor"
    assert said()[1:] == [
        (changed, "done", "ana", "Authenticator app: added."),
        (changed, "done", "ana", "Recovery codes: added."),
        ("sign in", "refused", "ana", "The password was accepted, but the second-factor code was wrong."),
        (changed, "done", "ana", "Authenticator app: removed."),
        (changed, "done", "ana", "Recovery codes: removed."),
    ]
    assert secret not in str(list(AuditEntry.objects.values()))


def test_session_that_runs_out_is_not_noted_as_signing_out(client: Client, settings: Any) -> None:
    make_user(username="ana", password=PASSWORD)
    sign_in(client)
    settings.SESSION_IDLE_MINUTES = 0
    assert client.get("/installs/").status_code == 302
    assert said() == [("sign in", "done", "ana", "Signed in.")]
