"""Reading the audit: keyset pages, newest first, with an index for each filter and without counting.

Support reads the whole list. For everyone else a page is merged from short index ranges, each no longer than a page:
one per install that they may see, and one of their own entries. Scanning the whole list for their few entries would
take time proportional to its length.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection, models
from django.db.models import F, Func, OuterRef, Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from dashboard.models.audit import AuditEntry, AuditQuerySet, Unanswered
from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install
from dashboard.models.members import User
from dashboard.queries.delivery_lists import Cursor, Scope
from dashboard.queries.operations import GIVEN_UP
from dashboard.rules.pasted import searched_ids, spellings

SAME_NAME = 100
"""Maximum number of installs with the same name, or endpoints with the same ID, to search."""
SUGGESTED = 100
COUNTED = 1000
"""Up to how many operations of a run are counted."""
_NEXT = """
    WITH RECURSIVE found AS (
        (SELECT {column} AS name FROM dashboard_auditentry ORDER BY {column} LIMIT 1)
        UNION ALL
        SELECT (SELECT {column} FROM dashboard_auditentry WHERE {column} > found.name ORDER BY {column} LIMIT 1)
        FROM found WHERE found.name IS NOT NULL)
    SELECT name FROM found WHERE name IS NOT NULL LIMIT %s
"""
_OF_RUN = "SELECT 1 FROM dashboard_auditentry a WHERE a.run_id = r.id AND a.folded AND a.phase"
_FOLDED = f"""
    SELECT r.id, (SELECT count(*) FROM ({_OF_RUN} = 'requested' LIMIT %s) asked),
        (SELECT count(*) FROM (
            {_OF_RUN} NOT IN ('requested', 'done')
            UNION ALL
            SELECT 1 FROM dashboard_unanswered u JOIN dashboard_auditentry a ON a.id = u.entry_id
            WHERE a.run_id = r.id AND a.folded AND a.at < %s
            LIMIT %s
        ) unconfirmed)
    FROM unnest(%s::bigint[]) r(id)
"""  # noqa: S608 - only our own terms


@dataclass(frozen=True, slots=True)
class AuditCriteria:
    """Filters for the audit; "" and None mean no filter. Times: from ≤ at < to.

    `install` and `endpoint` are the number in their page's URL, their ID at OpenTrain, or the install's name.
    """

    who: str = ""
    what: str = ""
    phase: str = ""
    install: str = ""
    endpoint: str = ""
    delivery_id: str = ""
    request_id: str = ""
    run: int | None = None
    at_from: datetime | None = None
    at_to: datetime | None = None

    @property
    def folds(self) -> bool:
        """Whether a run is one row with what it requested. Otherwise the filters ask for single entries."""
        return not (self.what or self.phase or self.delivery_id or self.request_id or self.run)


@dataclass(frozen=True, slots=True)
class Folded:
    """How many operations a run requested, and how many of them OpenTrain did not confirm, or did not answer.

    Both are counted up to COUNTED, which means as many or more.
    """

    count: int
    unconfirmed: int


def page(
    *, user: User, criteria: AuditCriteria, limit: int, cursor: Cursor | None = None, whole: bool = False
) -> list[AuditEntry]:
    """Return up to `limit` entries that the user may see, next to the cursor or the newest, newest first.

    Each operation has one entry: its answer, or its request while it has none. What a run requested is left out,
    unless a filter asks for single entries: `folded` counts it. With `whole`, all entries are returned.
    """
    newer = cursor is not None and cursor.newer
    order = ("at", "id") if newer else ("-at", "-id")
    few = criteria.phase == AuditEntry.Phase.REQUESTED and not whole
    rows = AuditEntry.objects.all() if whole else AuditEntry.objects.operations()
    if criteria.folds and not whole:
        rows = rows.rows(since=criteria.at_from, until=criteria.at_to, who=criteria.who)
    rows = _beside(rows, cursor).order_by(*order)
    if few:
        ranged = rows.visible_to(user).filter(_matching(criteria), pk__in=Unanswered.objects.values("pk"))
    elif Scope.of(user).is_all:
        ranged = rows.filter(_matching(criteria))
    else:
        ids = _own_and_granted(rows, criteria, user=user, limit=limit)
        ranged = AuditEntry.objects.filter(pk__in=ids).order_by(*order)
    found = list(ranged.with_links()[:limit])
    return found[::-1] if newer else found


def newest(
    *, endpoint: Endpoint | None = None, install: Install | None = None, without: Collection[str], limit: int
) -> list[AuditEntry]:
    """Return the newest operations on the endpoint or the install, without those of some actions.

    The caller must check that the user may see it.
    """
    rows = AuditEntry.objects.filter(endpoint=endpoint) if endpoint else AuditEntry.objects.filter(install=install)
    return list(rows.operations().exclude(action__in=without).with_links().newest_first()[:limit])


def folded(runs: Collection[int], *, now: datetime) -> dict[int, Folded]:
    """Return what each of the runs requested. The caller must check that the user may see them.

    An operation that may still be answered at `now` is not counted as unconfirmed.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FOLDED, [COUNTED, now - GIVEN_UP, COUNTED, list(runs)])
        return {run: Folded(count, unconfirmed) for run, count, unconfirmed in cursor.fetchall() if count}


def actions() -> list[str]:
    """Return every action in the audit, up to SUGGESTED, by stepping through an index from each to the next."""
    return _names("action")


def actors() -> list[str]:
    """Return the names of all actors, up to SUGGESTED, in the same way."""
    return _names("actor_name")


def _names(column: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT.format(column=column), [SUGGESTED])
        return [name for (name,) in cursor.fetchall()]


def _own_and_granted(
    rows: AuditQuerySet, criteria: AuditCriteria, *, user: User, limit: int
) -> "models.QuerySet[AuditEntry, int]":
    """Return IDs that include those of the page."""
    own = rows.filter(_matching(criteria), actor=user).values_list("pk", flat=True)[:limit]
    of_install = rows.filter(_matching(criteria, by_index=False), install=OuterRef("pk"))
    ids = ArraySubquery(of_install.values("pk")[:limit])
    granted = Install.objects.visible_to(user).order_by().annotate(ids=ids)
    each = granted.values_list(Func(F("ids"), function="unnest", output_field=models.BigIntegerField()), flat=True)
    return own.union(each)


def _matching(criteria: AuditCriteria, *, by_index: bool = True) -> Q:
    """Return the condition of the filters.

    Without `by_index`, the common columns are compared such that PostgreSQL uses the install's index, which includes
    them. Otherwise it would also read the whole index of the column, once per install.
    """
    common = {"actor_name": criteria.who, "action": criteria.what, "phase": criteria.phase}
    seldom = {"delivery_id": criteria.delivery_id, "request_id": criteria.request_id}
    exact: dict[str, Any] = {"at__gte": criteria.at_from, "at__lt": criteria.at_to, "run": criteria.run}
    found = Q(**{column: value for column, value in exact.items() if value})
    found &= Q(**{f"{column}__in": spellings(value) for column, value in seldom.items() if value})
    for column, value in common.items():
        if value:
            found &= Q(**{column: value}) if by_index else Q(Exact(Coalesce(column, Value("")), value))
    if criteria.install:
        found &= _of_install(criteria.install)
    if criteria.endpoint:
        found &= _of_endpoint(criteria.endpoint)
    return found


def _of_install(text: str) -> Q:
    if text.isdecimal():
        return Q(install=int(text))
    there = list(Install.objects.named(text).order_by("pk").values_list("pk", flat=True)[:SAME_NAME])
    return Q(install__in=there) if there else Q(install_opentrain_id=text) | Q(install_name__iexact=text)


def _of_endpoint(text: str) -> Q:
    if text.isdecimal():
        return Q(endpoint=int(text))
    named = Endpoint.objects.filter(Q(opentrain_id__in=searched_ids(text)) | Q(name__iexact=text)).order_by("pk")
    there = list(named.values_list("pk", flat=True)[:SAME_NAME])
    return Q(endpoint__in=there) if there else Q(endpoint_opentrain_id__in=searched_ids(text))


def _beside(rows: AuditQuerySet, cursor: Cursor | None) -> AuditQuerySet:
    if cursor is None:
        return rows
    at, pk = cursor.received_at, cursor.pk
    if cursor.newer:
        return rows.filter(Q(at__gt=at) | Q(at=at, pk__gt=pk), at__gte=at)
    return rows.filter(Q(at__lt=at) | Q(at=at, pk__lt=pk), at__lte=at)
