"""`forget_factors` removes a user's second factors and ends their sessions."""

import io

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.core.management import CommandError, call_command
from django.test import Client

from dashboard.models import AuditEntry
from tests.factories import make_user

pytestmark = pytest.mark.django_db

HELD = "authenticator app, recovery codes left: 10"


def run(*arguments: str, **options: object) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_forget_factors_takes_them_away_and_ends_the_sessions() -> None:
    ana, paul = make_user(username="ana"), make_user(username="paul")
    client = Client()
    client.post("/accounts/login/", {"login": "ana", "password": "a-long-password"})
    for user in (ana, paul):
        TOTP.activate(user, "JBSWY3DPEHPK3PXP")
        RecoveryCodes.activate(user)
    said = run("forget_factors", "ana")
    assert said == "Removed the second factors of ana and ended every session.\n"
    assert (ana.authenticator_set.count(), paul.authenticator_set.count()) == (0, 2)
    assert client.get("/installs/")["Location"] == "/accounts/login/?next=/installs/"
    assert UserSession.objects.count() == 0
    noted = AuditEntry.objects.latest("pk")
    assert (noted.actor_name, noted.action, noted.words) == (
        "command line",
        "forget second factors",
        f"The second factors of ana were removed, and their sessions ended. Removed: {HELD}.",
    )
    with pytest.raises(CommandError, match=r"^ana has no second factor\. Nothing changed\.$"):
        run("forget_factors", "ana")
    assert AuditEntry.objects.latest("pk") == noted


def test_forget_factors_of_nobody_says_so() -> None:
    with pytest.raises(CommandError, match=r"^There is no account named eve\.$"):
        run("forget_factors", "eve")
