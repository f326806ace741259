"""Secret columns: encrypted in the table, a Secret in Python."""

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from dashboard.models import Attempt, AuditEntry, Install
from dashboard.vault import Secret, Unreadable, decrypt, encrypt
from tests.factories import make_attempt, make_delivery, make_endpoint, make_install

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


SECRET_URL = "https://h.example/in?api_key=s3cr3t"
SHOWN_URL = "https://h.example/in?api_key=[redacted]"


def raw(table: str, column: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column}::text FROM {table}")  # noqa: S608 - names of the tests
        return str(cursor.fetchone()[0])


def test_attempt_is_stored_without_the_secrets_of_its_handler_and_its_headers() -> None:
    given = [["X-Auth-Token", "s3cr3t"], ["Content-Type", "application/json"]]
    make_attempt(delivery=make_delivery(), handler_url=SECRET_URL, request_headers=given, response_headers=given)
    for column in ("handler_url", "request_headers", "response_headers"):
        assert "s3cr3t" not in raw("dashboard_attempt", column)
    attempt = Attempt.objects.get()
    assert attempt.handler_url == SHOWN_URL
    assert attempt.request_headers == [["X-Auth-Token", "[redacted]"], ["Content-Type", "application/json"]]


def test_url_that_masking_makes_longer_than_its_column_is_cut() -> None:
    url = "https://h.example/?" + "&".join(["pwd=a"] * 338)
    assert len(url) == 2046
    make_attempt(delivery=make_delivery(), handler_url=url)
    stored = raw("dashboard_attempt", "handler_url")
    assert (len(stored), stored[:36], "pwd=a" in stored) == (2048, "https://h.example/?pwd=[redacted]&pw", False)


def test_attempt_of_an_earlier_release_is_masked_when_it_is_read() -> None:
    make_attempt(delivery=make_delivery())
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dashboard_attempt SET handler_url = %s, request_headers = %s",
            [SECRET_URL, '[["X-Auth-Token", "s3cr3t"]]'],
        )
    attempt = Attempt.objects.get()
    assert (attempt.handler_url, attempt.request_headers) == (SHOWN_URL, [["X-Auth-Token", "[redacted]"]])
    assert Attempt.objects.values_list("handler_url", flat=True).get() == SHOWN_URL


def test_audit_entry_is_masked_when_it_is_written_and_when_it_is_read() -> None:
    entry = AuditEntry.objects.create(action="edit endpoint", phase="done", words=SECRET_URL, endpoint_url=SECRET_URL)
    assert "s3cr3t" not in raw("dashboard_auditentry", "words") + raw("dashboard_auditentry", "endpoint_url")
    with connection.cursor() as cursor:  # as an earlier release did; an entry cannot be changed afterwards
        cursor.execute(
            "INSERT INTO dashboard_auditentry (at, operation, phase, action, actor_name, agent, install_name, "
            "install_opentrain_id, endpoint_url, endpoint_opentrain_id, delivery_id, words, quoted, code, request_id, "
            "while_stopped) VALUES (now(), gen_random_uuid(), 'done', 'edit', '', '', '', '', %s, '', '', %s, %s, '', "
            "'', false)",
            [SECRET_URL, f"it was {SECRET_URL}", f"refused: {SECRET_URL}"],
        )
    old = AuditEntry.objects.exclude(pk=entry.pk).get()
    assert (old.endpoint_url, old.words, old.quoted) == (SHOWN_URL, f"it was {SHOWN_URL}", f"refused: {SHOWN_URL}")
