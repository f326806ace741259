"""The audit: append-only, and visible to the users it concerns."""

import uuid

import pytest
from django.core.management.color import no_style
from django.db import ProgrammingError, connection, transaction

from dashboard.actions import audit
from dashboard.models import AuditEntry, Endpoint, Install, User
from tests.factories import make_endpoint, make_install


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE dashboard_auditentry SET words = 'nothing happened'", "UPDATE"),
        ("UPDATE dashboard_auditentry SET id = id", "UPDATE"),
        ("DELETE FROM dashboard_auditentry", "DELETE"),
        ("WITH gone AS (DELETE FROM dashboard_auditentry RETURNING 1) SELECT count(*) FROM gone", "DELETE"),
        ("MERGE INTO dashboard_auditentry USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE", "DELETE"),
        (
            "INSERT INTO dashboard_auditentry TABLE dashboard_auditentry ON CONFLICT (id) DO UPDATE SET words = ''",
            "UPDATE",
        ),
        ("TRUNCATE dashboard_auditentry", "TRUNCATE"),
        ("TRUNCATE dashboard_user, dashboard_install, dashboard_auditentry CASCADE", "TRUNCATE"),
    ],
)
def test_database_refuses_whatever_does_not_add(sql: str, what: str, support: User) -> None:
    audit.note(actor=support, action="a", words="It happened.")
    kept = AuditEntry.objects.values().get()
    with (
        pytest.raises(ProgrammingError, match=f"The audit is append-only: {what} is refused"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert AuditEntry.objects.values().get() == kept


def test_django_cannot_change_it_either(support: User) -> None:
    audit.note(actor=support, action="a", words="It happened.")
    row = AuditEntry.objects.get()
    for change in (row.delete, row.save, AuditEntry.objects.all().delete):
        with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
            change()
    assert AuditEntry.objects.count() == 1


def test_entry_stays_as_it_was_when_what_it_speaks_of_is_deleted(support: User, acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    audit.note(actor=support, action="a", words="It happened.", endpoint=endpoint)
    kept = AuditEntry.objects.values().get()
    endpoint.delete()
    acme.delete()
    support.delete()
    assert (Endpoint.objects.count(), Install.objects.count(), User.objects.count()) == (0, 0, 0)
    assert AuditEntry.objects.values().get() == kept
    row = AuditEntry.objects.select_related("actor", "install", "endpoint").get()
    assert (row.actor, row.install, row.endpoint) == (None, None, None)


@pytest.mark.django_db(transaction=True)
def test_flush_of_a_site_is_refused(support: User) -> None:
    """`manage.py flush` runs this SQL. Only the tests' own flush gets through, by a fixture in conftest.py."""
    audit.note(actor=support, action="a", words="It happened.")
    tables = ["dashboard_user", "dashboard_auditentry"]
    (empty,) = connection.ops.sql_flush(no_style(), tables, allow_cascade=True)
    with pytest.raises(ProgrammingError, match="TRUNCATE is refused"), connection.cursor() as cursor:
        cursor.execute(empty)
    assert (AuditEntry.objects.count(), User.objects.count()) == (1, 1)


def test_answer_of_an_operation_whose_endpoint_is_gone_is_still_there(support: User, acme: Install) -> None:
    from dashboard.actions.operation import Operation, earlier_outcome  # noqa: PLC0415

    form, endpoint = uuid.uuid4(), make_endpoint(install=acme)
    audit.note(actor=support, action="a", words="It happened.", endpoint=endpoint, operation=form)
    endpoint.delete()
    outcome = earlier_outcome(operation=Operation(actor=support, action="a", id=form))
    assert (outcome.words, outcome.offer_enable) == ("It happened.", False)


def test_entries_are_visible_to_support_to_whom_the_install_is_granted_and_to_who_did_it(
    support: User, partner_admin: User, outsider: User, acme: Install
) -> None:
    audit.note(actor=support, action="on acme", words="", install=acme)
    audit.note(actor=support, action="on another", words="", install=make_install())
    audit.note(actor=support, action="on none", words="")
    audit.note(actor=partner_admin, action="own", words="")
    seen = {
        user.username: list(AuditEntry.objects.visible_to(user).order_by("id").values_list("action", flat=True))
        for user in (support, partner_admin, outsider)
    }
    assert seen == {
        "ana": ["on acme", "on another", "on none", "own"], "paul": ["on acme", "own"], "olga": [],
    }  # fmt: skip
