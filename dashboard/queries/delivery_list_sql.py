"""The SQL of the lists of deliveries: a page is merged from short index ranges.

A branch is one range of one index, in the order of the lists. All of its rows match, except those that a filter on the
index's own columns excludes. Columns without a filter (event type, status) are enumerated by stepping through the index
from each existing value to the next. `way` chooses the index from which the fewest rows are read.

The merge reads each branch twice: first a few rows, which show how far back the page can reach, then only the rows
within that reach. So a page reads about as many rows as it shows, regardless of the number of branches.
"""

from datetime import datetime
from enum import Enum, auto
from typing import Any

from dashboard.models.deliveries import MANY_ATTEMPTS
from dashboard.models.endpoints import DISABLED
from dashboard.models.installs import Install
from dashboard.queries.delivery_criteria import Cursor, DeliveryCriteria, Scope
from dashboard.rules.deliveries import Standing, StateKind
from dashboard.rules.pasted import spellings
from dashboard.signatures import UNCHECKED, Verdict

WAITING = {
    StateKind.RETRYING: [Standing.RETRYING],
    StateKind.REQUESTED_AGAIN: [Standing.REQUESTED_AGAIN],
    StateKind.OVERDUE: [Standing.RETRYING, Standing.REQUESTED_AGAIN],
}
UNUSUAL = frozenset({*Verdict, UNCHECKED}) - {Verdict.VERIFIED}
"""Signature verdicts that few deliveries have. A filter for one uses its index, regardless of other filters."""
FEW = 8
"""Up to this number of branches, all are read at once: finding the reach first would cost more than it saves."""


class Sql:
    """A statement's text and its parameters, in the order of the text."""

    def __init__(self, text: str = "", *params: Any) -> None:  # noqa: ANN401 - anything that psycopg accepts
        self.text = text
        self.params = list(params)

    def __add__(self, other: "Sql") -> "Sql":
        return Sql(f"{self.text} {other.text}", *self.params, *other.params)


class Way(Enum):
    """The kind of index of `Delivery.Meta` that finds the rows."""

    BY_ID = auto()
    WAITING = auto()
    REPORTS = auto()
    CAUSES = auto()
    KINDS = auto()
    PLAIN = auto()


def way(criteria: DeliveryCriteria) -> Way:
    if criteria.delivery_id or criteria.event_id or criteria.resource_id:
        return Way.BY_ID  # an ID matches so few rows that no other filter finds them faster
    if criteria.state in WAITING:
        return Way.WAITING
    if criteria.signature in UNUSUAL:
        return Way.REPORTS
    if criteria.cause is not None:
        return Way.CAUSES
    if criteria.state or criteria.event_type or criteria.attempts_min is not None or criteria.attempts_max is not None:
        return Way.KINDS
    return Way.PLAIN if criteria.signature != "" else Way.REPORTS


def is_impossible(criteria: DeliveryCriteria) -> bool:
    """Return whether no delivery can match: a search without matches would be the slowest."""
    least, most = criteria.attempts_min or 0, criteria.attempts_max
    no_attempts = most is not None and (most < 1 or most < least)
    return no_attempts or (criteria.state is StateKind.DELIVERED and criteria.cause is not None)


def newest(*, scope: Scope, criteria: DeliveryCriteria, now: datetime, limit: int, cursor: Cursor | None) -> Sql:
    """Return the statement that finds the IDs of up to `limit` deliveries next to the cursor, or of the newest."""
    order = "" if cursor is not None and cursor.newer else "DESC"
    beside = _beside(cursor)
    if way(criteria) is Way.BY_ID:
        sql = _branches(scope=scope, criteria=criteria)
        sql += Sql("SELECT f.id FROM unnest(%s::text[]) s(id) CROSS JOIN LATERAL (", _spellings(criteria))
        sql += Sql("SELECT d.id, d.first_received_at FROM dashboard_delivery d WHERE")
        sql += _with_id(scope=scope, criteria=criteria, now=now) + beside
        sql += Sql(f"ORDER BY d.first_received_at {order}, d.id {order} LIMIT %s) f", limit)
        return sql + Sql(f"ORDER BY f.first_received_at {order}, f.id {order} LIMIT %s", limit)
    branch = _branch(scope=scope, criteria=criteria, now=now) + beside
    ordered = Sql(f"ORDER BY d.first_received_at {order}, d.id {order} LIMIT")
    sql = _branches(scope=scope, criteria=criteria)
    sql += Sql(",sample AS (SELECT s.first_received_at FROM branches b CROSS JOIN LATERAL (SELECT d.first_received_at")
    sql += branch + ordered
    sql += Sql("(SELECT CASE WHEN count(*) > %s THEN 1 + 2 * %s / count(*) ELSE 0 END FROM branches)) s", FEW, limit)
    sql += Sql(f"ORDER BY s.first_received_at {order} OFFSET %s LIMIT 1)", limit - 1)
    sql += Sql("SELECT f.id FROM branches b CROSS JOIN LATERAL (SELECT d.id, d.first_received_at") + branch
    sql += Sql(_WITHIN_REACH if order else _WITHIN_REACH_NEWER) + ordered + Sql("%s) f", limit)
    return sql + Sql(f"ORDER BY f.first_received_at {order}, f.id {order} LIMIT %s", limit)


def counted(*, scope: Scope, criteria: DeliveryCriteria, now: datetime, most: int) -> Sql:
    """Return the statement that counts the deliveries up to `most`."""
    some = _branches(scope=scope, criteria=criteria)
    if way(criteria) is Way.BY_ID:
        some += Sql("SELECT 1 FROM unnest(%s::text[]) s(id) JOIN dashboard_delivery d ON", _spellings(criteria))
        some += _with_id(scope=scope, criteria=criteria, now=now)
    else:
        some += Sql("SELECT 1 FROM branches b CROSS JOIN LATERAL (SELECT 1")
        some += _branch(scope=scope, criteria=criteria, now=now)
        some += Sql("ORDER BY d.first_received_at DESC, d.id DESC LIMIT %s) f", most)
    return Sql("SELECT count(*) FROM (") + some + Sql("LIMIT %s) counted", most)


def failed_by_cause(*, scope: Scope, criteria: DeliveryCriteria, most: int) -> Sql:
    """Return the statement that groups failed deliveries by cause and status, and refused requests by reason.

    Of the filters only the times apply. Few refused requests are kept per endpoint, so they are simply counted.
    """
    here = _here(scope, criteria)
    same = Sql(_FAILED_OF_CAUSE.format(c=here.format("c")), int(Standing.FAILED)) + _times(criteria)
    sql = _places(scope, criteria) + Sql(_EVERY_CAUSE.format(p=here.format("p"), c=here.format("c")))
    sql += Sql("SELECT false, c.last_cause, c.last_status, sum(n.deliveries), min(n.first_at), max(n.last_at)")
    sql += Sql("FROM causes c CROSS JOIN LATERAL (SELECT (SELECT count(*) FROM (SELECT 1") + same
    sql += Sql("LIMIT %s) of_one) AS deliveries,", most)
    sql += Sql("(SELECT min(d.first_received_at)") + same + Sql(") AS first_at,")
    sql += Sql("(SELECT max(d.first_received_at)") + same + Sql(") AS last_at OFFSET 0) n")
    sql += Sql("WHERE n.deliveries > 0 GROUP BY c.last_cause, c.last_status")
    sql += Sql("UNION ALL SELECT true, d.reason, 0, count(*), min(d.received_at), max(d.received_at)")
    sql += Sql("FROM dashboard_refusedattempt d WHERE")
    sql += Sql("true" if _is_everywhere(scope, criteria) else "d.endpoint_id IN (SELECT endpoint_id FROM places)")
    return sql + _times(criteria, column="received_at") + Sql("GROUP BY d.reason")


_WITHIN_REACH = "AND d.first_received_at >= (SELECT coalesce(min(first_received_at), '-infinity') FROM sample)"
_WITHIN_REACH_NEWER = "AND d.first_received_at <= (SELECT coalesce(max(first_received_at), 'infinity') FROM sample)"
# The existing event types and attempt classes of each standing, found by stepping through the index.
_EVERY_KIND = """
kinds AS (
    SELECT p.endpoint_id, s.standing, g.event_type, g.attempts_class
    FROM places p CROSS JOIN unnest(%s::smallint[]) s(standing) CROSS JOIN LATERAL (
        SELECT d.event_type, d.attempts_class FROM dashboard_delivery d WHERE {p} d.standing = s.standing
        ORDER BY d.event_type, d.attempts_class LIMIT 1) g
    UNION ALL
    SELECT k.endpoint_id, k.standing, g.event_type, g.attempts_class
    FROM kinds k CROSS JOIN LATERAL (
        SELECT d.event_type, d.attempts_class FROM dashboard_delivery d
        WHERE {k} d.standing = k.standing AND (d.event_type, d.attempts_class) > (k.event_type, k.attempts_class)
        ORDER BY d.event_type, d.attempts_class LIMIT 1) g),
branches AS (SELECT * FROM kinds WHERE attempts_class = ANY(%s::smallint[]))"""
# For a given event type there are few enough combinations to try them all.
_KINDS_OF_EVENT = """
branches AS (
    SELECT p.endpoint_id, s.standing, %s::text AS event_type, a.attempts_class
    FROM places p CROSS JOIN unnest(%s::smallint[]) s(standing) CROSS JOIN unnest(%s::smallint[]) a(attempts_class))"""
# The existing statuses of a cause, found in the same way.
_EVERY_STATUS = """
statuses AS (
    SELECT p.endpoint_id, (SELECT min(d.last_status) FROM dashboard_delivery d
        WHERE {p} d.last_cause <> '' AND d.last_cause = %s AND d.last_status BETWEEN %s AND %s) AS last_status
    FROM places p
    UNION ALL
    SELECT s.endpoint_id, (SELECT min(d.last_status) FROM dashboard_delivery d
        WHERE {s} d.last_cause <> '' AND d.last_cause = %s AND d.last_status > s.last_status AND d.last_status <= %s)
    FROM statuses s WHERE s.last_status IS NOT NULL),
branches AS (
    SELECT s.endpoint_id, s.last_status, t.standing FROM statuses s CROSS JOIN unnest(%s::smallint[]) t(standing)
    WHERE s.last_status IS NOT NULL)"""
_EVERY_CAUSE = """,
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
        ORDER BY d.last_cause, d.last_status LIMIT 1) g)"""
_FAILED_OF_CAUSE = """FROM dashboard_delivery d WHERE {c} d.last_cause <> '' AND d.last_cause = c.last_cause
    AND d.last_status = c.last_status AND d.standing = %s"""
_STOPPED = "d.endpoint_id IN (SELECT e.id FROM dashboard_endpoint e WHERE e.status = %s)"


def _is_everywhere(scope: Scope, criteria: DeliveryCriteria) -> bool:
    return scope.is_all and not criteria.install


def _here(scope: Scope, criteria: DeliveryCriteria) -> str:
    """Return the condition that limits a range to the endpoint of row `{}`; empty if all endpoints are searched."""
    return "" if _is_everywhere(scope, criteria) else "d.endpoint_id = {}.endpoint_id AND"


def _places(scope: Scope, criteria: DeliveryCriteria) -> Sql:
    """Begin the statement with the endpoints to search one by one. All endpoints together count as a single one."""
    sql = "WITH RECURSIVE places AS ("
    if scope.endpoint is not None and not criteria.install:
        return Sql(f"{sql} SELECT %s::bigint AS endpoint_id)", scope.endpoint)
    if _is_everywhere(scope, criteria):
        return Sql(f"{sql} SELECT 0::bigint AS endpoint_id)")
    found = Sql(sql) + Sql("SELECT e.id AS endpoint_id FROM dashboard_endpoint e")
    if scope.member is not None:
        found += Sql("JOIN dashboard_grant g ON g.install_id = e.install_id AND g.user_id = %s", scope.member)
    found += Sql("WHERE true")
    if scope.endpoint is not None:
        found += Sql("AND e.id = %s", scope.endpoint)
    if scope.install is not None:
        found += Sql("AND e.install_id = %s", scope.install)
    if criteria.install:
        text, params = Install.objects.named(criteria.install).order_by().values("pk").query.sql_with_params()
        found += Sql(f"AND e.install_id IN ({text})", *params)
    return found + Sql(")")


def _branches(*, scope: Scope, criteria: DeliveryCriteria) -> Sql:
    """Begin the statement with `branches`: a row with the leading index values of each range."""
    here, standings, sql = _here(scope, criteria), _standings(criteria), _places(scope, criteria) + Sql(",")
    match way(criteria):
        case Way.BY_ID:
            return _places(scope, criteria)
        case Way.WAITING:
            every = "SELECT p.endpoint_id, s.standing FROM places p CROSS JOIN unnest(%s::smallint[]) s(standing)"
            return sql + Sql(f"branches AS ({every})", standings)
        case Way.CAUSES if criteria.cause is not None:
            one = criteria.cause
            params = (one.cause, one.first_status, one.last_status, one.cause, one.last_status, standings)
            return sql + Sql(_EVERY_STATUS.format(p=here.format("p"), s=here.format("s")), *params)
        case Way.KINDS if criteria.event_type:
            return sql + Sql(_KINDS_OF_EVENT, criteria.event_type, standings, _classes(criteria))
        case Way.KINDS:
            every = _EVERY_KIND.format(p=here.format("p"), k=here.format("k"))
            return sql + Sql(every, standings, _classes(criteria))
    return sql + Sql("branches AS (SELECT endpoint_id FROM places)")


def _branch(*, scope: Scope, criteria: DeliveryCriteria, now: datetime) -> Sql:
    """Return the FROM and WHERE of the range that belongs to the row `b` of `branches`."""
    sql = Sql(f"FROM dashboard_delivery d WHERE {_here(scope, criteria).format('b')}")
    match way(criteria):
        case Way.WAITING:
            sql += Sql("d.due_by IS NOT NULL AND d.standing = b.standing") + _of_event(criteria) + _of_cause(criteria)
        case Way.CAUSES if criteria.cause is not None:
            sql += Sql(
                "d.last_cause <> '' AND d.last_cause = %s AND d.last_status = b.last_status", criteria.cause.cause
            )
            sql += Sql("AND d.standing = b.standing") + _of_event(criteria)
        case Way.REPORTS:
            sql += Sql("d.last_signature <> 'verified'") + _of_event(criteria) + _of_cause(criteria)
            sql += Sql("AND d.standing = ANY(%s::smallint[])", _standings(criteria))
        case Way.KINDS:
            sql += Sql("d.standing = b.standing AND d.event_type = b.event_type")
            sql += Sql("AND d.attempts_class = b.attempts_class")
        case _:
            sql += Sql("true")
    return sql + _conditions(criteria=criteria, now=now)


def _with_id(*, scope: Scope, criteria: DeliveryCriteria, now: datetime) -> Sql:
    """Return the condition for the rows that an ID finds, which is spelled as row `s` says.

    Each spelling is a range of its own: so an index gives the order. Of several IDs, only the first is such a range.
    """
    sql = Sql(
        "true" if _is_everywhere(scope, criteria) else "d.endpoint_id = ANY(ARRAY(SELECT endpoint_id FROM places))"
    )
    for number, (column, value) in enumerate(_given(criteria)):
        # The indexes exclude empty IDs; PostgreSQL uses them only if the condition does too.
        sql += Sql(f"AND d.{column} <> ''")
        sql += Sql(f"AND d.{column} = ANY(%s)", list(spellings(value))) if number else Sql(f"AND d.{column} = s.id")
    if criteria.state is not None:
        sql += Sql("AND d.standing = ANY(%s::smallint[])", _standings(criteria))
    return sql + _of_event(criteria) + _of_cause(criteria) + _conditions(criteria=criteria, now=now)


def _given(criteria: DeliveryCriteria) -> list[tuple[str, str]]:
    """Return the columns that have to have an ID, with that ID: the one that fewest rows have comes first."""
    ids = {
        "opentrain_id": criteria.delivery_id,
        "event_id": criteria.event_id,
        "resource_id": criteria.resource_id,
    }
    return [(column, value) for column, value in ids.items() if value]


def _spellings(criteria: DeliveryCriteria) -> list[str]:
    """Return the spellings of the first ID that is given."""
    _column, value = _given(criteria)[0]
    return list(spellings(value))


def _of_event(criteria: DeliveryCriteria) -> Sql:
    return Sql("AND d.event_type = %s", criteria.event_type) if criteria.event_type else Sql()


def _of_cause(criteria: DeliveryCriteria) -> Sql:
    one = criteria.cause
    if one is None:
        return Sql()
    return Sql(
        "AND d.last_cause = %s AND d.last_status BETWEEN %s AND %s", one.cause, one.first_status, one.last_status
    )


def _conditions(*, criteria: DeliveryCriteria, now: datetime) -> Sql:
    """Return the conditions that no range covers, for every `Way`."""
    sql = Sql()
    if criteria.state is StateKind.OVERDUE:
        sql += Sql(f"AND d.due_by < %s AND NOT {_STOPPED}", now, DISABLED)
    elif criteria.state in WAITING:
        sql += Sql(f"AND (d.due_by >= %s OR {_STOPPED})", now, DISABLED)
    if criteria.signature is not None:
        sql += Sql("AND d.last_signature = %s", criteria.signature)
    if criteria.attempts_min is not None:
        sql += Sql("AND d.attempt_count >= %s", criteria.attempts_min)
    if criteria.attempts_max is not None:
        sql += Sql("AND d.attempt_count <= %s", criteria.attempts_max)
    return sql + _times(criteria)


def _times(criteria: DeliveryCriteria, *, column: str = "first_received_at") -> Sql:
    sql = Sql()
    if criteria.received_from is not None:
        sql += Sql(f"AND d.{column} >= %s", criteria.received_from)
    if criteria.received_to is not None:
        sql += Sql(f"AND d.{column} < %s", criteria.received_to)
    return sql


def _beside(cursor: Cursor | None) -> Sql:
    if cursor is None:
        return Sql()
    beyond = ">" if cursor.newer else "<"
    return Sql(f"AND (d.first_received_at, d.id) {beyond} (%s, %s)", cursor.received_at, cursor.pk)


def _standings(criteria: DeliveryCriteria) -> list[int]:
    if criteria.state is None:
        return [int(one) for one in Standing]
    waiting = WAITING.get(criteria.state)
    return [int(one) for one in waiting or [Standing[criteria.state.name]]]


def _classes(criteria: DeliveryCriteria) -> list[int]:
    """Return the attempt classes that may contain matches; a separate condition compares the exact numbers."""
    least, most = criteria.attempts_min or 1, criteria.attempts_max or MANY_ATTEMPTS
    return list(range(min(max(least, 1), MANY_ATTEMPTS), min(most, MANY_ATTEMPTS) + 1))
