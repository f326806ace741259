"""Migrations run while the previous release still serves: from 0002 on they only add, so that it keeps working."""

import uuid
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import IntegrityError, connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from dashboard.models import Alert, AuditEntry, Delivery, EndpointSnapshot, Run, WindowCheck
from tests.factories import NOON, make_alert, make_attempt, make_delivery, make_endpoint, make_run, make_window_check

ADDING = (migrations.CreateModel, migrations.AddIndex, AddIndexConcurrently, migrations.AlterModelOptions,
          migrations.AlterModelManagers)  # fmt: skip
REASONS: dict[str, str] = {
    "0006_audit_columns": "beside columns with defaults, only what Django itself fills `at` with is another",
    "0007_audit_names": "fills columns that the old code does not know, a row at a time",
    "0009_audit_append_only": "takes away constraints, which the old code does not notice, and refuses what that does"
    " only when something with entries is deleted; nothing in the console deletes that",
    "0010_member_roles": "the database fills the two new columns, and knows nothing of a role's choices",
    "0012_list_indexes": "two indexes are replaced by others; without them the old code's lists of causes are slower",
    "0015_delivery_reports": "fills a column that the old code does not know, in short steps, and puts indexes that do"
    " the same in the place of two",
    "0016_audit_lists": "a trigger writes into a table that the old code does not know, and one index is replaced by a"
    " wider one",
    "0017_run_by_person": "fills a column that the old code does not know, of the few runs that there are",
    "0022_attempt_once": "a unique index, built concurrently, on a column that the old code leaves null",
    "0027_alerts_of_receivers": "an alert may have no install, and none has before the new worker runs; the database"
    " does not know choices",
    "0028_url_changed_alerts": "the database does not know choices, and the index is built concurrently",
    "0031_names_and_time_zones": "fills a column that the old code does not know, of few endpoints",
    "0035_alert_ends": "fills a column that the old code does not know, of alerts that have ended",
    "0025_route_changes": "triggers that only notify: they change no row, and refuse none",
}
"""Migrations that do more than add, by name, and why each is safe while the old code runs."""
MINUTE = timedelta(minutes=1)


def objections(operations: list[Any]) -> list[str]:
    """Return why one migration's operations are unsafe while the old code runs.

    Changes to a table that the migration itself creates are safe: the old code does not know it.
    """
    new = {operation.name_lower for operation in operations if isinstance(operation, migrations.CreateModel)}
    old = [one for one in operations if getattr(one, "model_name_lower", None) not in new]
    return [why for why in map(objection, old) if why]


def objection(operation: Any) -> str:
    """Return why the operation is unsafe while the old code runs; empty if it is safe."""
    if isinstance(operation, ADDING):
        return ""
    if isinstance(operation, migrations.AddField):
        field = operation.field
        silent = field.null or field.has_db_default() or field.generated or field.many_to_many
        return "" if silent else f"{operation.name}: the old code inserts rows without it; give it db_default or null"
    return f"{type(operation).__name__} is not on the list of what only adds"


def test_migrations_from_the_second_on_only_add() -> None:
    disk = MigrationLoader(None).disk_migrations or {}
    found = {
        f"{name}: {why}"
        for (app, name), migration in disk.items()
        if app == "dashboard" and not name.startswith("0001_") and name not in REASONS
        for why in objections(migration.operations)
    }
    assert not found, f"{found}: only add, or say why it is safe in REASONS of tests/test_migrations.py"


def locks_a_log(operation: Any) -> bool:
    """Return whether it builds an index of a log while nothing can be written to that log."""
    return isinstance(operation, migrations.AddIndex) and not isinstance(operation, AddIndexConcurrently) and (
        operation.model_name_lower in {"delivery", "attempt", "refusedattempt", "auditentry"}
    )  # fmt: skip


def test_indexes_of_logs_are_built_while_they_are_written() -> None:
    disk = MigrationLoader(None).disk_migrations or {}
    found = [
        (name, operation.index.name)
        for (app, name), migration in disk.items()
        for operation in migration.operations
        if app == "dashboard" and not name.startswith("0001_") and locks_a_log(operation)
    ]
    assert found == []
    assert locks_a_log(migrations.AddIndex("Delivery", models.Index(fields=["body"], name="one")))
    assert not locks_a_log(AddIndexConcurrently("Delivery", models.Index(fields=["body"], name="one")))


@pytest.mark.parametrize(
    ("operation", "is_safe"),
    [
        (migrations.AddField("install", "a", models.IntegerField(null=True)), True),
        (migrations.AddField("install", "a", models.IntegerField(db_default=0)), True),
        (migrations.AddField("install", "a", models.IntegerField(default=0)), False),
        (migrations.RemoveField("install", "name"), False),
        (migrations.RenameField("install", "name", "title"), False),
        (migrations.AlterField("install", "name", models.TextField()), False),
        (migrations.DeleteModel("install"), False),
        (migrations.RunSQL("DROP TABLE dashboard_install"), False),
        (migrations.RunPython(migrations.RunPython.noop), False),
        (migrations.CreateModel("new", []), True),
    ],
)
def test_rule_tells_what_the_old_code_would_notice(operation: Any, is_safe: bool) -> None:
    assert (objection(operation) == "") is is_safe


def test_rule_lets_a_migration_finish_a_table_that_it_makes() -> None:
    rule = migrations.AddConstraint("new", models.UniqueConstraint(fields=["a"], name="once"))
    elsewhere = migrations.AddConstraint("install", models.UniqueConstraint(fields=["name"], name="once"))
    assert objections([migrations.CreateModel("New", []), rule]) == []
    assert objections([rule]) == ["AddConstraint is not on the list of what only adds"]
    assert objections([migrations.CreateModel("New", []), elsewhere]) == [
        "AddConstraint is not on the list of what only adds"
    ]


@pytest.mark.django_db
def test_endpoints_that_were_stopped_before_say_when_that_was_last_seen() -> None:
    now, stopped, others, old = timezone.now(), make_endpoint(), make_endpoint(), make_endpoint()
    for endpoint, back, status in (
        (stopped, 3, "DISABLED"), (stopped, 2, "DISABLED"), (stopped, 1, "ACTIVE"), (others, 1, "ACTIVE"),
        (old, 31 * 24, "DISABLED"),
    ):  # fmt: skip
        EndpointSnapshot.objects.create(endpoint=endpoint, at=now - timedelta(hours=back), status=status)
    with connection.cursor() as cursor:
        cursor.execute(import_module("dashboard.migrations.0031_names_and_time_zones").STOPPED)
    for endpoint, expected in ((stopped, now - timedelta(hours=2)), (others, None), (old, None)):
        endpoint.refresh_from_db(fields=["stopped_seen_at"])
        assert endpoint.stopped_seen_at == expected


@pytest.mark.django_db
def test_entries_of_before_get_the_names_of_what_they_speak_of() -> None:
    endpoint, gone = make_endpoint(opentrain_id="whe_1"), make_endpoint()
    handled = make_endpoint(install=endpoint.install, handler_url="https://acme.example.com/hook", opentrain_id=None)
    for one in (endpoint, handled, gone):
        AuditEntry.objects.create(phase="done", action="a", endpoint=one, install=one.install)
    gone.delete()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dashboard_auditentry DISABLE TRIGGER audit_entries_stay")
        cursor.execute(import_module("dashboard.migrations.0007_audit_names").NAMES)
    columns = ("install_name", "install_opentrain_id", "endpoint_url", "endpoint_opentrain_id")
    install = (endpoint.install.name, endpoint.install.opentrain_id)
    assert list(AuditEntry.objects.order_by("id").values_list(*columns)) == [
        (*install, "https://redeliver.example.com/hooks/[key]/", "whe_1"),
        (*install, "https://acme.example.com/hook", ""),
        (gone.install.name, gone.install.opentrain_id, "", ""),
    ]


@pytest.mark.django_db
def test_deliveries_of_before_get_what_was_reported_of_their_last_signature() -> None:
    reported, verified, again, tied = (
        make_delivery(first_received_at=NOON, last_attempt_at=NOON + late * MINUTE) for late in (0, 0, 5, 0)
    )
    make_attempt(delivery=reported, received_at=NOON, signature="mismatch")
    make_attempt(delivery=verified, received_at=NOON)
    make_attempt(delivery=again, received_at=NOON, signature="stale")
    make_attempt(delivery=again, received_at=NOON + 5 * MINUTE, signature="", number=2)
    make_attempt(delivery=tied, received_at=NOON, signature="stale")
    make_attempt(delivery=tied, received_at=NOON, number=2)
    with connection.schema_editor() as editor:
        import_module("dashboard.migrations.0015_delivery_reports").fill(None, editor)
    found = [Delivery.objects.get(pk=one.pk).last_signature for one in (reported, verified, again, tied)]
    assert found == ["mismatch", "verified", "", "verified"]


@pytest.mark.django_db
def test_runs_of_before_are_told_apart_by_who_ended_them() -> None:
    ended = [
        make_run(state=state, why=why)
        for state, why in (
            ("stopped", "Stopped by ana."),
            ("cancelled", "Cancelled by ana."),
            ("stopped", "3 of the first 5 failed again."),
            ("done", "Done: 2 of 2 delivered."),
        )
    ]
    paused = [
        make_run(state="paused", ended_at=None, why=why)
        for why in ("Paused by ana.", "The endpoint is disabled, so nothing would be attempted.")
    ]
    with connection.cursor() as cursor:
        cursor.execute(import_module("dashboard.migrations.0017_run_by_person").FILL)
    found = [Run.objects.get(pk=run.pk).by_person for run in (*ended, *paused)]
    assert found == [True, True, False, False, True, False]


@pytest.mark.django_db(transaction=True)
def test_alerts_of_before_keep_how_they_ended_and_open_ones_have_no_end() -> None:
    """The sentences are written out: they are those of before, whatever the code says now."""
    before, newest = [("dashboard", "0034_connected_installs")], MigrationLoader(connection).graph.leaf_nodes()
    gone, left, over, still_open = (
        make_alert(cleared_at=at, cleared_words=words)
        for at, words in (
            (NOON, "The endpoint was deleted."),
            (NOON, "The install was disconnected from Redeliver, so whether this goes on is not known."),
            (NOON, "It is no longer disabled by OpenTrain."),
            (None, ""),
        )
    )
    old = MigrationLoader(connection).project_state(before[0]).apps.get_model("dashboard", "Alert")
    said = set(Alert.objects.values_list("pk", "cleared_words"))
    try:
        MigrationExecutor(connection).migrate(before)
        assert set(old.objects.values_list("pk", "cleared_words")) == said
    finally:
        MigrationExecutor(connection).migrate(newest)
    ends = [Alert.objects.get(pk=one.pk).ended_as for one in (gone, left, over, still_open)]
    assert ends == ["deleted", "not_known", "resolved", ""]
    old.objects.filter(pk=still_open.pk).update(cleared_at=NOON, cleared_words="Ended by the old code.")
    assert Alert.objects.get(pk=still_open.pk).ended_as == ""


@pytest.mark.django_db(transaction=True)
def test_table_of_checks_comes_and_goes_while_the_old_code_writes() -> None:
    """Backwards, what people checked is gone and everything else stays."""
    before, newest = [("dashboard", "0032_attempts_and_entries")], MigrationLoader(connection).graph.leaf_nodes()
    endpoint = make_endpoint()
    make_window_check(endpoint=endpoint, since=NOON, until=NOON + MINUTE)
    old = MigrationLoader(connection).project_state(before[0]).apps.get_model("dashboard", "EndpointSnapshot")
    old.objects.create(endpoint_id=endpoint.pk, at=NOON, status="DISABLED")  # the table is there, and it knows nothing
    try:
        MigrationExecutor(connection).migrate(before)
        assert WindowCheck._meta.db_table not in connection.introspection.table_names()
        old.objects.create(endpoint_id=endpoint.pk, at=NOON + MINUTE, status="ACTIVE")
    finally:
        MigrationExecutor(connection).migrate(newest)
    assert (EndpointSnapshot.objects.count(), WindowCheck.objects.count()) == (2, 0)
    make_window_check(endpoint=endpoint, since=NOON, until=NOON + MINUTE)
    with pytest.raises(IntegrityError):
        make_window_check(endpoint=endpoint, since=NOON, until=NOON + MINUTE)


@pytest.mark.django_db(transaction=True)
def test_index_of_names_that_was_left_half_built_is_built_again() -> None:
    """PostgreSQL leaves an index that is not valid when it cannot finish, for example because it was stopped."""
    [operation] = import_module("dashboard.migrations.0022_attempt_once").Migration.operations
    [build] = operation.database_operations
    delivery, name = make_delivery(), uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX attempt_once")
        twice = [make_attempt(delivery=delivery, uuid=name, number=number) for number in (1, 2)]
        with pytest.raises(IntegrityError):
            run(build)
        assert index_of_names() == [False]
        twice[0].delete()
    run(build)
    assert index_of_names() == [True]
    with pytest.raises(IntegrityError):
        make_attempt(delivery=delivery, uuid=name, number=3)
    for number in (4, 5):
        make_attempt(delivery=delivery, uuid=None, number=number)


def run(operation: Any) -> None:
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("dashboard", editor, None, None)


def index_of_names() -> list[bool]:
    """Return whether the index is valid; nothing if there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('attempt_once')")
        return [is_valid for (is_valid,) in cursor.fetchall()]
