"""`account` creates accounts and changes roles, and keeps the last support lead."""

import pytest
from django.core.management import CommandError, call_command

from dashboard.models import AuditEntry, User
from tests.factories import make_user
from tests.management.commands.test_forget_factors import run

pytestmark = pytest.mark.django_db

PASSWORD = "a-quite-long-password"


def test_account_command_makes_a_support_lead_and_keeps_the_last_one(db: None, monkeypatch, capsys) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: PASSWORD)
    call_command("account", "ana", role="support")
    assert "No account can invite others yet" in capsys.readouterr().out
    call_command("account", "lea", role="support_lead")
    assert "No account can invite others yet" not in capsys.readouterr().out
    with pytest.raises(CommandError, match="lea is the last support lead"):
        call_command("account", "lea", role="viewer")
    assert list(User.objects.order_by("username").values_list("username", "role")) == [
        ("ana", "support"),
        ("lea", "support_lead"),
    ]


@pytest.fixture
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "a-long-password")


@pytest.mark.usefixtures("_password")
def test_account_is_made_with_a_password_and_an_address() -> None:
    make_user(role="support_lead")  # or the output would also warn that there is none
    assert run("account", "ana", email="ana@example.com") == "ana can sign in, as support.\n"
    ana = User.objects.get(username="ana")
    assert (ana.email, ana.check_password("a-long-password")) == ("ana@example.com", True)
    run("account", "ana", role="partner_admin")
    assert User.objects.get(username="ana").email == "ana@example.com"  # options that are not given change nothing


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
