"""What is done to somebody's account at the machine itself."""

import io
from datetime import timedelta

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from dashboard.actions import accounts
from dashboard.models import AuditEntry, CacheEntry, User
from tests.factories import make_user

pytestmark = pytest.mark.django_db
HELD = "authenticator app, recovery codes left: 10"


def run(*arguments: str, **options: object) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "a-long-password")


def test_forget_factors_takes_them_away_and_ends_the_sessions() -> None:
    ana, paul = make_user(username="ana"), make_user(username="paul")
    client = Client()
    client.post("/accounts/login/", {"login": "ana", "password": "a-long-password"})
    for user in (ana, paul):
        TOTP.activate(user, "JBSWY3DPEHPK3PXP")
        RecoveryCodes.activate(user)
    said = run("forget_factors", "ana")
    assert said == "The second factors of ana are gone, and every session of theirs is ended.\n"
    assert (ana.authenticator_set.count(), paul.authenticator_set.count()) == (0, 2)
    assert client.get("/installs/")["Location"] == "/accounts/login/?next=/installs/"
    assert UserSession.objects.count() == 0
    noted = AuditEntry.objects.latest("pk")
    assert (noted.actor_name, noted.action, noted.words) == (
        "command line",
        "forget second factors",
        f"The second factors of ana were taken away, and their sessions ended. They were: {HELD}.",
    )
    with pytest.raises(CommandError, match=r"^ana has no second factor, so nothing was changed\.$"):
        run("forget_factors", "ana")
    assert AuditEntry.objects.latest("pk") == noted


def test_forget_factors_of_nobody_says_so() -> None:
    with pytest.raises(CommandError, match=r"^There is no account of the name eve\.$"):
        run("forget_factors", "eve")


@pytest.mark.usefixtures("_password")
def test_account_is_made_with_a_password_and_an_address() -> None:
    make_user(role="support_lead")  # or it would also be said that there is none
    assert run("account", "ana", email="ana@example.com") == "ana can sign in, as support.\n"
    ana = User.objects.get(username="ana")
    assert (ana.email, ana.check_password("a-long-password")) == ("ana@example.com", True)
    run("account", "ana", role="partner_admin")
    assert User.objects.get(username="ana").email == "ana@example.com"  # what is not named stays


def test_account_without_a_password_is_made_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: pytest.fail("it asked"))
    run("account", "ana", email="ana@example.com", no_password=True)
    assert not User.objects.get().has_usable_password()
    assert AuditEntry.objects.latest("pk").words == "ana can sign in, as support, without a password."


@pytest.mark.usefixtures("_password")
def test_account_with_an_address_that_is_none_is_not_made() -> None:
    with pytest.raises(CommandError, match="Enter a valid email address"):
        run("account", "ana", email="ana")
    assert not User.objects.exists()


def test_forget_ended_removes_what_is_over_and_nothing_else() -> None:
    make_user(username="ana")
    now = timezone.now()
    clients = [Client(), Client()]
    for client in clients:
        client.post("/accounts/login/", {"login": "ana", "password": "a-long-password"})
    Client().post("/accounts/login/", {"login": "ana", "password": "wrong"})
    over = clients[0].session.session_key
    Session.objects.filter(pk=over).update(expire_date=now - timedelta(seconds=1))
    UserSession.objects.filter(session_key=over).update(created_at=now - timedelta(hours=169))
    CacheEntry.objects.create(cache_key="over", value="", expires=now - timedelta(seconds=1))
    counted = CacheEntry.objects.exclude(pk="over").count()
    accounts.forget_ended(now=now)
    left = clients[1].session.session_key
    assert list(UserSession.objects.values_list("session_key", flat=True)) == [left]
    assert Session.objects.filter(pk=left).exists()
    assert not Session.objects.filter(pk=over).exists()
    assert (CacheEntry.objects.count(), counted > 0) == (counted, True)
