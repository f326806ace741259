"""Secret columns: encrypted in the table, a Secret in Python."""

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from dashboard.models import Install
from dashboard.vault import Secret, Unreadable, decrypt, encrypt
from tests.factories import make_endpoint, make_install

pytestmark = pytest.mark.django_db


def stored_of(install: Install) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM dashboard_install WHERE id = %s", [install.pk])
        return bytes(cursor.fetchone()[0])


def test_secret_is_encrypted_in_the_table_and_comes_back() -> None:
    install = make_install(token=Secret("ot_ptk_canary"))
    assert b"canary" not in stored_of(install)
    assert decrypt(stored_of(install)) == Secret("ot_ptk_canary")
    assert Install.objects.get().token == Secret("ot_ptk_canary")


def test_bytes_are_stored_as_they_are() -> None:
    install, encrypted = make_install(), encrypt(Secret("of another key's time"))
    Install.objects.update(token=encrypted)
    assert stored_of(install) == encrypted


def test_no_secret_is_none() -> None:
    endpoint = make_endpoint(secret=None)
    endpoint.refresh_from_db()
    assert endpoint.secret is None


def test_secret_whose_key_is_missing_is_never_an_empty_one(settings) -> None:
    make_install()
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(Unreadable):
        Install.objects.get()
    assert Install.objects.defer("token").get().pk
