"""Reading the lists of deliveries: pages, bounded counts and causes, each from a few short index ranges.

A list has a scope (an endpoint, an install, everything that a user may see, or all) and filters. `delivery_list_sql`
chooses the index ranges and merges them, so that the cost of a page does not grow with the table.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from dashboard.models.deliveries import Delivery, DeliveryQuerySet, RefusedAttempt
from dashboard.models.installs import Install
from dashboard.queries import delivery_list_sql
from dashboard.queries.delivery_criteria import CauseCriteria, Cursor, DeliveryCriteria, Scope
from dashboard.queries.delivery_list_sql import Sql
from dashboard.rules.deliveries import StateKind
from dashboard.rules.pasted import spellings

__all__ = [
    "LIST_COUNT_LIMIT",
    "UNDELIVERED",
    "CauseCriteria",
    "CauseGroup",
    "Cursor",
    "DeliveryCriteria",
    "Scope",
    "causes",
    "count",
    "page",
    "refused_count",
    "refused_page",
    "undelivered",
]  # fmt: skip

UNDELIVERED = (StateKind.FAILED, StateKind.RETRYING, StateKind.OVERDUE)
"""States of deliveries that a redelivery helps. Overdue ones may have been requested again."""
LIST_COUNT_LIMIT = 1000
"""Maximum number of rows to count; beyond that, only "more than" is known."""


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """Deliveries that failed for the same cause or, if `is_refused`, requests refused for the same reason.

    `count` is LIST_COUNT_LIMIT + 1 if there are more than LIST_COUNT_LIMIT.
    """

    is_refused: bool
    cause: str
    status: int
    count: int
    first_received_at: datetime
    last_received_at: datetime


def page(
    *, scope: Scope, criteria: DeliveryCriteria, now: datetime, limit: int, cursor: Cursor | None = None
) -> DeliveryQuerySet:
    """Return up to `limit` deliveries next to the cursor, or the newest, in the order of the lists: newest first."""
    if delivery_list_sql.is_impossible(criteria):
        return Delivery.objects.none()
    sql = delivery_list_sql.newest(scope=scope, criteria=criteria, now=now, limit=limit, cursor=cursor)
    return Delivery.objects.filter(pk__in=RawSQL(sql.text, sql.params)).newest_first()  # noqa: S611 - constants and %s


def count(*, scope: Scope, criteria: DeliveryCriteria, now: datetime) -> int:
    """Count the deliveries up to LIST_COUNT_LIMIT; LIST_COUNT_LIMIT + 1 means more.

    Raises: django.db.OperationalError if a statement_timeout is set and reached.
    """
    if delivery_list_sql.is_impossible(criteria):
        return 0
    rows = _rows(delivery_list_sql.counted(scope=scope, criteria=criteria, now=now, most=LIST_COUNT_LIMIT + 1))
    return int(rows[0][0])


def undelivered(*, scope: Scope, criteria: DeliveryCriteria, now: datetime, limit: int) -> DeliveryQuerySet:
    """Return up to `limit` of the newest matching deliveries of each state that is neither delivered nor requested."""
    states = [one for one in UNDELIVERED if criteria.state in {None, one}]
    narrowed = [replace(criteria, state=state) for state in states]
    possible = [one for one in narrowed if not delivery_list_sql.is_impossible(one)]
    if not possible:
        return Delivery.objects.none()
    texts, params = [], []
    for one in possible:
        sql = delivery_list_sql.newest(scope=scope, criteria=one, now=now, limit=limit, cursor=None)
        texts.append(f"({sql.text})")
        params += sql.params
    found = RawSQL(" UNION ALL ".join(texts), params)  # noqa: S611 - constants and %s
    return Delivery.objects.filter(pk__in=found).newest_first()


def causes(*, scope: Scope, criteria: DeliveryCriteria) -> list[CauseGroup]:
    """Group failed deliveries by cause, the most frequent first, then refused requests by reason.

    Of the filters only the times apply.

    Raises: django.db.OperationalError if a statement_timeout is set and reached.
    """
    rows = _rows(delivery_list_sql.failed_by_cause(scope=scope, criteria=criteria, most=LIST_COUNT_LIMIT + 1))
    groups = [
        CauseGroup(is_refused, cause, status, min(int(number), LIST_COUNT_LIMIT + 1), *at)
        for is_refused, cause, status, number, *at in rows
    ]
    return sorted(groups, key=lambda group: (group.is_refused, -group.count, group.first_received_at))


def refused_page(
    *, scope: Scope, criteria: DeliveryCriteria, limit: int, cursor: Cursor | None = None
) -> list[RefusedAttempt]:
    """Return up to `limit` refused requests next to the cursor, or the newest, newest first.

    Of the filters only the install, the times, the event type and the delivery ID apply to refused requests.
    """
    rows = _refused(scope=scope, criteria=criteria).select_related("endpoint__install")
    rows = rows.defer("request_headers", "endpoint__secret", "endpoint__install__token")
    if cursor is None:
        return list(rows.order_by("-received_at", "-id")[:limit])
    at, pk = cursor.received_at, cursor.pk
    if cursor.newer:
        newer = rows.filter(Q(received_at__gt=at) | Q(received_at=at, pk__gt=pk), received_at__gte=at)
        return list(newer.order_by("received_at", "id")[:limit])[::-1]
    older = rows.filter(Q(received_at__lt=at) | Q(received_at=at, pk__lt=pk), received_at__lte=at)
    return list(older.order_by("-received_at", "-id")[:limit])


def refused_count(*, scope: Scope, criteria: DeliveryCriteria) -> int:
    """Count refused requests in the same way as `count`."""
    return _refused(scope=scope, criteria=criteria).order_by()[: LIST_COUNT_LIMIT + 1].count()


def _refused(*, scope: Scope, criteria: DeliveryCriteria) -> QuerySet[RefusedAttempt]:
    columns = {
        "endpoint": scope.endpoint,
        "endpoint__install": scope.install,
        "endpoint__install__grants__user": scope.member,
        "endpoint__install__in": Install.objects.named(criteria.install) if criteria.install else None,
        "received_at__gte": criteria.received_from,
        "received_at__lt": criteria.received_to,
        "claimed_event_type": criteria.event_type or None,
        "claimed_delivery_id__in": spellings(criteria.delivery_id) if criteria.delivery_id else None,
    }
    return RefusedAttempt.objects.filter(**{name: value for name, value in columns.items() if value is not None})


def _rows(sql: Sql) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.text, sql.params)
        return list(cursor.fetchall())
