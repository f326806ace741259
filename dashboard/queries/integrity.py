"""Integrity checks for a restored database. They change nothing."""

from collections.abc import Iterator

from django.apps import apps
from django.db import connection, models
from django.db.models import Exists, OuterRef

from dashboard.models.audit import AuditEntry, Unanswered
from dashboard.models.cache import CacheEntry
from dashboard.queries import stored_secrets
from dashboard.vault import Unreadable, decrypt

_UNVALIDATED = (
    "SELECT conname FROM pg_constraint WHERE NOT convalidated AND connamespace = current_schema()::regnamespace"
)
_INVALID = """
    SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace
"""
_TRIGGERS = """
    SELECT tgname FROM pg_trigger
    WHERE tgrelid = 'dashboard_auditentry'::regclass AND NOT tgisinternal AND tgenabled = 'O'
"""
_APPEND_ONLY = {"audit_entries_stay", "audit_stays"}
_NOT_COUNTED = {CacheEntry, Unanswered}
"""Models whose rows come and go, so a later copy may have fewer."""


def counts() -> dict[str, int]:
    """Return the number of rows of each of Redeliver's tables."""
    return {model._meta.db_table: model._base_manager.count() for model in _models()}  # noqa: SLF001 - documented API


def faults() -> Iterator[str]:
    """Yield a description of each problem, for the person who restored the database."""
    for name in _names(_UNVALIDATED):
        yield f"the constraint {name} does not hold for every row"
    for name in _names(_INVALID):
        yield f"the index {name} is not usable: REINDEX it"
    yield from _orphans()
    yield from _secrets()
    yield from _audit()


def _models() -> list[type[models.Model]]:
    """Return Redeliver's models, except those with short-lived rows."""
    own = apps.get_app_config("dashboard").get_models()
    return [model for model in own if model._meta.managed and model not in _NOT_COUNTED]  # noqa: SLF001


def _names(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [name for (name,) in cursor.fetchall()]


def _orphans() -> Iterator[str]:
    """Find rows whose related row is missing: a copy of single tables may lack the constraints."""
    for model in _models():
        for field in model._meta.concrete_fields:  # noqa: SLF001 - documented API
            # The audit's have no constraint: their objects may be deleted.
            if isinstance(field, models.ForeignKey) and field.db_constraint:  # type: ignore[attr-defined]
                there = Exists(field.related_model._base_manager.filter(pk=OuterRef(field.attname)))  # noqa: SLF001
                rows = model._base_manager.filter(**{f"{field.attname}__isnull": False})  # noqa: SLF001
                if lost := rows.filter(~there).count():
                    yield f"{lost} rows of {model._meta.db_table} have no {field.name}"  # noqa: SLF001


def _secrets() -> Iterator[str]:
    for place in stored_secrets.places():
        if unreadable := sum(not _is_readable(stored) for _pk, stored in place.stored()):
            yield f"{unreadable} secrets in {place} cannot be read with FIELD_KEYS: restore the keys"


def _is_readable(stored: bytes) -> bool:
    try:
        decrypt(stored)
    except Unreadable:
        return False
    return True


def _audit() -> Iterator[str]:
    """Check the audit. An operation on OpenTrain must have a request and an end; other actions have one row."""
    if missing := _APPEND_ONLY - set(_names(_TRIGGERS)):
        yield f"the audit can be changed: its triggers are missing or switched off ({', '.join(sorted(missing))})"
    kept = AuditEntry.objects.filter(pk__in=Unanswered.objects.values("pk")).operations().count()
    open_still = AuditEntry.objects.filter(phase=AuditEntry.Phase.REQUESTED).operations().count()
    if kept != open_still:
        yield f"{open_still - kept} operations without an answer are not in the list of those: the filter misses them"
    requested = AuditEntry.objects.filter(phase=AuditEntry.Phase.REQUESTED)
    ended = AuditEntry.objects.exclude(phase=AuditEntry.Phase.REQUESTED).exclude(request_id="")
    if lost := ended.filter(~Exists(requested.filter(operation=OuterRef("operation")))).count():
        yield f"{lost} operations of the audit have an end and no beginning: rows are missing"
