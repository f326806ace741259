"""How the lists of deliveries are read: pages, bounded counts and causes, each from a few short index ranges.

A list is asked for by a scope (an endpoint, an install, what somebody may see, all) and by what is wanted of it.
Whatever a filter leaves open (every event type there is, every state) is gone through value by value: one range of an
index for each combination, newest first, of which no more is read than one page can show. So the work of a page does
not grow with the table. `Meta.indexes` of Delivery has an index for each of the three ways: plain, kinds, causes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from dashboard.health import Standing, StateKind
from dashboard.models.deliveries import MANY_ATTEMPTS, Delivery, DeliveryQuerySet, RefusedAttempt
from dashboard.models.endpoints import DISABLED
from dashboard.models.members import User

COUNTED = 1000
"""So many rows are counted; of more it is only known that there are more."""
LARGEST_STATUS = 32_767


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose deliveries: of one endpoint, of one install, of what a member may see, or (all None) all there are.

    Whether somebody may see an endpoint or an install is for the caller to know.
    """

    endpoint: int | None = None
    install: int | None = None
    member: int | None = None

    @classmethod
    def of(cls, user: User) -> Self:
        """Return everything that the user may see; a test holds it against `visible_to`."""
        return cls() if user.sees_every_install else cls(member=user.pk)

    @property
    def is_all(self) -> bool:
        return self == Scope()


@dataclass(frozen=True, slots=True)
class CauseWanted:
    """A cause as stored, and the statuses it ended with, both ends included."""

    cause: str
    first_status: int = 0
    last_status: int = LARGEST_STATUS


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a list is wanted; None and "" mean that it does not matter. Times: from ≤ first receipt < to."""

    state: StateKind | None = None
    event_type: str = ""
    cause: CauseWanted | None = None
    attempts_min: int | None = None
    attempts_max: int | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    delivery_id: str = ""
    event_id: str = ""
    resource_id: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the order of the lists: the row that a page begins or ends beside."""

    received_at: datetime
    pk: int
    newer: bool = False
    """Whether what is newer is wanted, not what is older."""


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """Deliveries that failed for the same reason; `deliveries` is COUNTED + 1 where there are more than COUNTED."""

    cause: str
    status: int
    deliveries: int
    first_received_at: datetime
    last_received_at: datetime


class _Sql:
    """A statement's text and its parameters, which are added in the order in which the text has them."""

    def __init__(self, text: str = "", *params: Any) -> None:  # noqa: ANN401 - whatever psycopg takes
        self.text = text
        self.params = list(params)

    def __add__(self, other: "_Sql") -> "_Sql":
        return _Sql(f"{self.text} {other.text}", *self.params, *other.params)


def page(*, scope: Scope, wanted: Wanted, now: datetime, limit: int, cursor: Cursor | None = None) -> DeliveryQuerySet:
    """Return up to `limit` deliveries beside the cursor, or the newest, in the order of the lists: newest first."""
    order = "" if cursor is not None and cursor.newer else "DESC"
    found = _found(scope=scope, wanted=wanted, now=now, limit=limit, cursor=cursor)
    sql = _with(scope=scope, wanted=wanted) + _Sql("SELECT found.id FROM") + found
    sql += _Sql(f"ORDER BY found.first_received_at {order}, found.id {order} LIMIT %s", limit)
    return Delivery.objects.filter(pk__in=RawSQL(sql.text, sql.params)).newest_first()  # noqa: S611 - constants and %s


def count(*, scope: Scope, wanted: Wanted, now: datetime) -> int:
    """Count the deliveries up to COUNTED; COUNTED + 1 stands for more.

    Raises: django.db.OperationalError, where a statement_timeout is set and reached.
    """
    most = COUNTED + 1
    found = _found(scope=scope, wanted=wanted, now=now, limit=most, cursor=None)
    some = _with(scope=scope, wanted=wanted) + _Sql("SELECT 1 FROM") + found + _Sql("LIMIT %s", most)
    rows = _rows(_Sql("SELECT count(*) FROM (") + some + _Sql(") counted"))
    return int(rows[0][0])


def causes(*, scope: Scope, wanted: Wanted) -> list[CauseGroup]:
    """Group what failed for good by its cause, the most frequent first. Of what is wanted only the times matter.

    Raises: django.db.OperationalError, where a statement_timeout is set and reached.
    """
    here = _here(scope)
    kinds = _with(scope=scope, wanted=Wanted(state=StateKind.FAILED))
    times = _times(wanted)
    group = _Sql(_GROUP.format(b=here.format("b"))) + times
    sql = kinds + _Sql(_CAUSES.format(p=here.format("p"), c=here.format("c")))
    sql += _Sql("(SELECT count(*) FROM (SELECT 1") + group + _Sql("LIMIT %s) counted) AS deliveries,", COUNTED + 1)
    sql += _Sql("(SELECT min(d.first_received_at)") + group + _Sql(") AS first_at,")
    sql += _Sql("(SELECT max(d.first_received_at)") + group + _Sql(") AS last_at") + _Sql(_GROUPED)
    groups = [
        CauseGroup(cause, status, min(int(number), COUNTED + 1), *at) for cause, status, number, *at in _rows(sql)
    ]
    return sorted(groups, key=lambda group: (-group.deliveries, group.first_received_at))


def refused_page(*, scope: Scope, wanted: Wanted, limit: int, cursor: Cursor | None = None) -> list[RefusedAttempt]:
    """Return up to `limit` refused requests beside the cursor, or the newest, newest first.

    Of what is wanted, only the times, the event type and the delivery ID are told of a refused request.
    """
    rows = _refused(scope=scope, wanted=wanted).select_related("endpoint__install")
    rows = rows.defer("request_headers", "endpoint__secret", "endpoint__install__token")
    if cursor is None:
        return list(rows.order_by("-received_at", "-id")[:limit])
    at, pk = cursor.received_at, cursor.pk
    if cursor.newer:
        newer = rows.filter(Q(received_at__gt=at) | Q(received_at=at, pk__gt=pk), received_at__gte=at)
        return list(newer.order_by("received_at", "id")[:limit])[::-1]
    older = rows.filter(Q(received_at__lt=at) | Q(received_at=at, pk__lt=pk), received_at__lte=at)
    return list(older.order_by("-received_at", "-id")[:limit])


def refused_count(*, scope: Scope, wanted: Wanted) -> int:
    """Count refused requests as `count` does deliveries."""
    return _refused(scope=scope, wanted=wanted).order_by()[: COUNTED + 1].count()


def _refused(*, scope: Scope, wanted: Wanted) -> QuerySet[RefusedAttempt]:
    columns = {
        "endpoint": scope.endpoint,
        "endpoint__install": scope.install,
        "endpoint__install__grants__user": scope.member,
        "received_at__gte": wanted.received_from,
        "received_at__lt": wanted.received_to,
        "claimed_event_type": wanted.event_type or None,
        "claimed_delivery_id": wanted.delivery_id or None,
    }
    return RefusedAttempt.objects.filter(**{name: value for name, value in columns.items() if value is not None})


_KNOWN_KINDS = """
kinds AS (
    SELECT p.endpoint_id, s.standing, %s::text AS event_type
    FROM places p CROSS JOIN unnest(%s::smallint[]) s(standing))"""
# Every event type there is, found by going from each to the next in the index.
_EVERY_KIND = """
kinds AS (
    SELECT p.endpoint_id, s.standing,
        (SELECT min(d.event_type) FROM dashboard_delivery d WHERE {p} d.standing = s.standing) AS event_type
    FROM places p CROSS JOIN unnest(%s::smallint[]) s(standing)
    UNION ALL
    SELECT k.endpoint_id, k.standing,
        (SELECT min(d.event_type) FROM dashboard_delivery d
            WHERE {k} d.standing = k.standing AND d.event_type > k.event_type)
    FROM kinds k WHERE k.event_type IS NOT NULL)"""
# The same for every status that a cause ended with.
_STATUSES = """
statuses AS (
    SELECT p.endpoint_id, (SELECT min(d.last_status) FROM dashboard_delivery d
        WHERE {p} d.last_cause <> '' AND d.last_cause = %s AND d.last_status BETWEEN %s AND %s) AS last_status
    FROM places p
    UNION ALL
    SELECT s.endpoint_id, (SELECT min(d.last_status) FROM dashboard_delivery d
        WHERE {s} d.last_cause <> '' AND d.last_cause = %s AND d.last_status > s.last_status AND d.last_status <= %s)
    FROM statuses s WHERE s.last_status IS NOT NULL)"""
_CAUSES = """,
causes AS (
    SELECT p.endpoint_id, g.last_cause, g.last_status
    FROM places p CROSS JOIN LATERAL (
        SELECT d.last_cause, d.last_status FROM dashboard_delivery d WHERE {p} d.last_cause <> ''
        ORDER BY d.last_cause, d.last_status LIMIT 1) g
    UNION ALL
    SELECT c.endpoint_id, g.last_cause, g.last_status
    FROM causes c CROSS JOIN LATERAL (
        SELECT d.last_cause, d.last_status FROM dashboard_delivery d
        WHERE {c} d.last_cause <> '' AND (d.last_cause, d.last_status) > (c.last_cause, c.last_status)
        ORDER BY d.last_cause, d.last_status LIMIT 1) g),
branches AS (
    SELECT c.*, k.standing, k.event_type FROM causes c JOIN kinds k USING (endpoint_id) WHERE k.event_type IS NOT NULL)
SELECT last_cause, last_status, sum(deliveries), min(first_at), max(last_at)
FROM (SELECT b.last_cause, b.last_status,"""
_GROUP = """ FROM dashboard_delivery d WHERE {b} d.last_cause <> '' AND d.last_cause = b.last_cause
    AND d.last_status = b.last_status AND d.standing = b.standing AND d.event_type = b.event_type"""
_GROUPED = """
    FROM branches b) groups
WHERE deliveries > 0 GROUP BY last_cause, last_status"""


def _rows(sql: _Sql) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.text, sql.params)
        return list(cursor.fetchall())


def _here(scope: Scope) -> str:
    """Return the condition that keeps a range to one endpoint, `{}` names which; none for all there are."""
    return "" if scope.is_all else "d.endpoint_id = {}.endpoint_id AND"


def _places(scope: Scope) -> _Sql:
    """The endpoints that are gone through one by one; all there are count as a single one."""
    if scope.endpoint is not None:
        return _Sql("SELECT %s::bigint AS endpoint_id", scope.endpoint)
    if scope.install is not None:
        return _Sql("SELECT e.id AS endpoint_id FROM dashboard_endpoint e WHERE e.install_id = %s", scope.install)
    if scope.member is not None:
        return _Sql(
            "SELECT e.id AS endpoint_id FROM dashboard_endpoint e"
            " JOIN dashboard_grant g USING (install_id) WHERE g.user_id = %s",
            scope.member,
        )
    return _Sql("SELECT 0::bigint AS endpoint_id")


def _by_id(wanted: Wanted) -> bool:
    """Whether so few rows can be meant that an ID finds them, whatever else is wanted."""
    return bool(wanted.delivery_id or wanted.event_id or wanted.resource_id)


def _by_kind(wanted: Wanted) -> bool:
    attempts = wanted.attempts_min is not None or wanted.attempts_max is not None
    return bool(wanted.state or wanted.event_type or attempts)


def _standings(wanted: Wanted) -> list[int]:
    if wanted.state is None:
        return [*Standing]
    if wanted.state is StateKind.OVERDUE:
        return [Standing.RETRYING, Standing.REQUESTED_AGAIN]
    return [Standing[wanted.state.name]]


def _with(*, scope: Scope, wanted: Wanted) -> _Sql:
    """Begin the statement: the values that its branches go through."""
    here, standings = _here(scope), [int(one) for one in _standings(wanted)]
    sql = _Sql("WITH RECURSIVE places AS (") + _places(scope) + _Sql(")")
    if _by_id(wanted) or not (_by_kind(wanted) or wanted.cause):
        return sql
    if wanted.event_type:
        sql += _Sql(f",{_KNOWN_KINDS}", wanted.event_type, standings)
    else:
        sql += _Sql("," + _EVERY_KIND.format(p=here.format("p"), k=here.format("k")), standings)
    if wanted.cause is not None:
        one = wanted.cause
        params = (one.cause, one.first_status, one.last_status, one.cause, one.last_status)
        sql += _Sql("," + _STATUSES.format(p=here.format("p"), s=here.format("s")), *params)
    return sql


def _found(*, scope: Scope, wanted: Wanted, now: datetime, limit: int, cursor: Cursor | None) -> _Sql:
    """Return the FROM of `found`: of each branch, the first rows beside the cursor."""
    order = "" if cursor is not None and cursor.newer else "DESC"
    select = _Sql("(SELECT d.id, d.first_received_at FROM dashboard_delivery d WHERE")
    rest = _conditions(wanted=wanted, now=now) + _times(wanted) + _beside(cursor)
    rest += _Sql(f"ORDER BY d.first_received_at {order}, d.id {order} LIMIT %s) found", limit)
    if _by_id(wanted):
        mine = _Sql("true" if scope.is_all else "d.endpoint_id IN (SELECT endpoint_id FROM places)")
        return select + mine + _every(wanted) + rest
    here = _here(scope).format("b")
    if wanted.cause is not None:
        same = f"{here} d.last_cause <> '' AND d.last_cause = %s AND d.last_status = b.last_status"
        branch = _Sql("(SELECT k.*, s.last_status FROM kinds k JOIN statuses s USING (endpoint_id)")
        branch += _Sql("WHERE k.event_type IS NOT NULL AND s.last_status IS NOT NULL) b CROSS JOIN LATERAL") + select
        return branch + _Sql(f"{same} AND {_SAME_KIND}", wanted.cause.cause) + rest
    if _by_kind(wanted):
        branch = _Sql(
            "(SELECT k.*, a.attempts FROM kinds k CROSS JOIN unnest(%s::smallint[]) a(attempts)", _classes(wanted)
        )
        branch += _Sql("WHERE k.event_type IS NOT NULL) b CROSS JOIN LATERAL") + select
        return branch + _Sql(f"{here} {_SAME_KIND} AND d.attempts_class = b.attempts") + rest
    return _Sql("places b CROSS JOIN LATERAL") + select + _Sql(f"{here} true") + rest


_SAME_KIND = "d.standing = b.standing AND d.event_type = b.event_type"
_OVERDUE = """(d.due_by < %s AND
    (SELECT e.status FROM dashboard_endpoint e WHERE e.id = d.endpoint_id) <> %s)"""


def _conditions(*, wanted: Wanted, now: datetime) -> _Sql:
    """Return what no branch sees to, whatever the way."""
    sql = _Sql()
    if wanted.state is StateKind.OVERDUE:
        sql += _Sql(f"AND {_OVERDUE}", now, DISABLED)
    elif wanted.state in {StateKind.RETRYING, StateKind.REQUESTED_AGAIN}:
        sql += _Sql(f"AND NOT {_OVERDUE}", now, DISABLED)
    if wanted.attempts_min is not None:
        sql += _Sql("AND d.attempt_count >= %s", wanted.attempts_min)
    if wanted.attempts_max is not None:
        sql += _Sql("AND d.attempt_count <= %s", wanted.attempts_max)
    return sql


def _every(wanted: Wanted) -> _Sql:
    """Return what branches would see to, for the rows that an ID finds."""
    sql = _Sql()
    # The empty ID is in no index, and saying so is what lets the index be used.
    for column, value in (("resource_id", wanted.resource_id), ("event_id", wanted.event_id)):
        if value:
            sql += _Sql(f"AND d.{column} <> '' AND d.{column} = %s", value)
    if wanted.delivery_id:
        sql += _Sql("AND d.opentrain_id = %s", wanted.delivery_id)
    if wanted.state is not None:
        sql += _Sql("AND d.standing = ANY(%s::smallint[])", [int(one) for one in _standings(wanted)])
    if wanted.event_type:
        sql += _Sql("AND d.event_type = %s", wanted.event_type)
    if wanted.cause is not None:
        one = wanted.cause
        ended = "AND d.last_cause = %s AND d.last_status BETWEEN %s AND %s"
        sql += _Sql(ended, one.cause, one.first_status, one.last_status)
    return sql


def _times(wanted: Wanted) -> _Sql:
    sql = _Sql()
    if wanted.received_from is not None:
        sql += _Sql("AND d.first_received_at >= %s", wanted.received_from)
    if wanted.received_to is not None:
        sql += _Sql("AND d.first_received_at < %s", wanted.received_to)
    return sql


def _beside(cursor: Cursor | None) -> _Sql:
    if cursor is None:
        return _Sql()
    beyond = ">" if cursor.newer else "<"
    return _Sql(f"AND (d.first_received_at, d.id) {beyond} (%s, %s)", cursor.received_at, cursor.pk)


def _classes(wanted: Wanted) -> list[int]:
    """Return the classes of attempts that may hold what is wanted; the exact numbers are a condition beside."""
    least, most = wanted.attempts_min or 0, wanted.attempts_max
    top = MANY_ATTEMPTS if most is None else min(most, MANY_ATTEMPTS)
    return [number for number in range(1, MANY_ATTEMPTS + 1) if min(least, MANY_ATTEMPTS) <= number <= max(top, 1)]
