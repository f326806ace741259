"""`reencrypt` reports its changes, the values that it cannot read, and what to do about them."""

import io

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from dashboard.models import Install
from dashboard.vault import Secret, Unreadable, encrypt
from tests.actions.test_reencryption import run, tokens
from tests.factories import make_endpoint, make_install

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def _rotated(db: None, settings) -> None:
    """Store three tokens and one signing secret under the old key, then put the new key first."""
    settings.FIELD_KEYS = [OLD]
    for number in range(3):
        make_install(token=Secret(f"ot_ptk_{number}"), name=f"install {number}")
    make_endpoint(install=Install.objects.earliest("pk"))
    make_endpoint(install=Install.objects.earliest("pk"), secret=None)
    settings.FIELD_KEYS = [NEW, OLD]


@pytest.mark.usefixtures("_rotated")
def test_dry_run_says_how_many_and_changes_nothing(settings) -> None:
    assert "dashboard_install.token: 3 secrets: 3 would be re-encrypted" in run(dry_run=True)
    settings.FIELD_KEYS = [OLD]
    assert tokens() == ["ot_ptk_0", "ot_ptk_1", "ot_ptk_2"]


@pytest.mark.usefixtures("_rotated")
def test_secret_that_no_key_reads_is_left_and_named(settings) -> None:
    lost = Install.objects.order_by("pk")[1]
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    sealed = encrypt(Secret("ot_ptk_lost"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE dashboard_install SET token = %s WHERE id = %s", [sealed, lost.pk])
    settings.FIELD_KEYS = [NEW, OLD]
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^1 secrets cannot be read with any of FIELD_KEYS. Append the key"):
        call_command("reencrypt", stdout=out)
    assert f"  unreadable: {lost.pk}\n" in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM dashboard_install WHERE id = %s", [lost.pk])
        assert bytes(cursor.fetchone()[0]) == sealed
    with pytest.raises(Unreadable):
        tokens()


@pytest.mark.django_db
def test_reencrypt_without_keys_says_what_to_do(settings) -> None:
    settings.FIELD_KEYS = []
    with pytest.raises(CommandError, match=r"^FIELD_KEYS is empty: put the new key first"):
        run()
