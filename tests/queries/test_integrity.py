"""The integrity of a restored database."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from dashboard.models import AuditEntry, Endpoint, Install, Unanswered
from tests.factories import make_endpoint


@pytest.mark.django_db
def test_rows_without_their_other_row_and_audit_without_a_beginning_are_named() -> None:
    endpoint = make_endpoint()
    AuditEntry.objects.create(phase="done", action="enable", actor_name="ana", request_id="9d1f")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    Endpoint.objects.filter(pk=endpoint.pk).update(install_id=endpoint.install_id + 1000)
    with pytest.raises(CommandError) as raised:
        call_command("verify_backup", stdout=io.StringIO())
    assert str(raised.value).splitlines() == [
        "This copy is incomplete:",
        "- 1 rows of dashboard_endpoint have no install",
        "- 1 operations of the audit have an end and no beginning: rows are missing",
    ]
    Endpoint.objects.filter(pk=endpoint.pk).update(install_id=Install.objects.earliest("pk").pk)


@pytest.mark.django_db
def test_audit_that_can_be_changed_is_named() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dashboard_auditentry DISABLE TRIGGER audit_entries_stay")
        cursor.execute("DROP TRIGGER audit_stays ON dashboard_auditentry")
    with pytest.raises(CommandError) as raised:
        call_command("verify_backup", stdout=io.StringIO())
    assert str(raised.value).splitlines() == [
        "This copy is incomplete:",
        "- the audit can be changed: its triggers are missing or switched off (audit_entries_stay, audit_stays)",
    ]


@pytest.mark.django_db
def test_operation_that_the_list_of_unanswered_ones_lacks_is_named() -> None:
    AuditEntry.objects.create(phase="requested", action="enable", actor_name="ana")
    call_command("verify_backup", stdout=io.StringIO())
    Unanswered.objects.all().delete()
    with pytest.raises(CommandError) as raised:
        call_command("verify_backup", stdout=io.StringIO())
    assert str(raised.value).splitlines() == [
        "This copy is incomplete:",
        "- 1 operations without an answer are not in the list of those: the filter misses them",
    ]
