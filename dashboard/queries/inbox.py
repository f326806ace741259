"""Queries of the inbox: the endpoints that need attention, and the delivery log of those that are shown.

Partial indexes over problems find the endpoints, so the cost grows with the number of problems and not of endpoints.
The cost of reading the log is bounded per endpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import (
    BooleanField,
    Case,
    Count,
    F,
    IntegerField,
    JSONField,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models.expressions import RawSQL

from dashboard.models.deliveries import Delivery
from dashboard.models.endpoints import DISABLED, Endpoint, EndpointQuerySet
from dashboard.models.members import User
from dashboard.rules.alerts import AlertKind
from dashboard.rules.deliveries import Standing
from dashboard.rules.endpoints import Severity
from dashboard.rules.failing import Failing, failing_words

FAILING_COUNT_LIMIT = 1000
"""Maximum number of failing deliveries to count per endpoint; beyond that, only "more than" is known."""
LEFT_OVER_FOR = timedelta(days=7)
"""Failed deliveries older than this do not need attention: anyone who needs them has redelivered them."""
WINDOW = 100
"""Number of an endpoint's newest deliveries in which consecutive failures are counted."""

# The second part steps through an index of failed deliveries from one endpoint to the next.
_NEEDING_ATTENTION = """
    SELECT id FROM dashboard_endpoint
    WHERE opentrain_id IS NOT NULL AND deleted_at IS NULL AND severity < %s
    UNION
    SELECT endpoint_id FROM (
        WITH RECURSIVE step (endpoint_id) AS (
            (SELECT endpoint_id FROM dashboard_delivery WHERE standing = %s ORDER BY endpoint_id LIMIT 1)
            UNION ALL
            SELECT (SELECT endpoint_id FROM dashboard_delivery
                    WHERE standing = %s AND endpoint_id > step.endpoint_id ORDER BY endpoint_id LIMIT 1)
            FROM step WHERE step.endpoint_id IS NOT NULL
        )
        SELECT endpoint_id FROM step WHERE EXISTS (
            SELECT FROM dashboard_delivery
            WHERE standing = %s AND endpoint_id = step.endpoint_id AND first_received_at > %s
        )
    ) AS left_over
    UNION
    SELECT endpoint_id FROM dashboard_silence AS silence
    WHERE NOT EXISTS (
        SELECT FROM dashboard_delivery
        WHERE endpoint_id = silence.endpoint_id AND first_received_at > silence.last_at
    )
    UNION
    SELECT endpoint_id FROM dashboard_alert
    WHERE cleared_at IS NULL AND endpoint_id IS NOT NULL AND kind <> ALL(%s)
"""
# Of each endpoint. The inbox is read all the time, and putting these together with the ORM takes longer than the query.
_HAS_FAILED = """EXISTS (
    SELECT FROM dashboard_delivery WHERE endpoint_id = dashboard_endpoint.id AND standing = %s
)"""
_NEWEST_RUN = """
    SELECT jsonb_build_object(
        'pk', id, 'kind', kind, 'state', state, 'step', step, 'actor_name', actor_name, 'counts', counts, 'why', why,
        'by_person', by_person, 'ended_at', ended_at
    )
    FROM dashboard_run WHERE endpoint_id = dashboard_endpoint.id ORDER BY created_at DESC, id DESC LIMIT 1
"""
_OPEN_ALERTS = """
    SELECT coalesce(
        jsonb_agg(jsonb_build_object('kind', kind, 'words', words, 'opened_at', opened_at) ORDER BY id), '[]'
    )
    FROM dashboard_alert
    WHERE endpoint_id = dashboard_endpoint.id AND cleared_at IS NULL AND kind <> ALL(%s)
"""
SHOWN_BY_STATE = (AlertKind.DISABLED, AlertKind.AT_RISK, AlertKind.NO_ACCESS)
"""Kinds of alerts whose problem the rows of the endpoint and the install show themselves, and sooner than the alert."""


def _reached(endpoint: str, retried_since: str) -> str:
    """Return the query of the consecutive failures that reached the log of an endpoint, in its column `failures`."""
    waiting = f"({Standing.RETRYING.value}, {Standing.REQUESTED_AGAIN.value})"
    return f"""
        WITH newest_first AS (
            SELECT id, first_received_at, last_attempt_at, last_ok FROM dashboard_delivery
            WHERE endpoint_id = {endpoint} ORDER BY first_received_at DESC, id DESC LIMIT {WINDOW}
        ), waiting AS (
            SELECT id FROM dashboard_delivery
            WHERE endpoint_id = {endpoint} AND standing IN {waiting} LIMIT {WINDOW}
        ), succeeded AS (
            SELECT coalesce(max(last_attempt_at), '-infinity') AS at FROM newest_first WHERE last_ok
        )
        SELECT CASE WHEN count(*) = {WINDOW} AND min(first_received_at) > {retried_since} THEN NULL ELSE (
            SELECT count(*) FROM dashboard_attempt AS attempt
            WHERE NOT attempt.ok AND attempt.received_at > (SELECT at FROM succeeded)
                AND attempt.delivery_id IN (SELECT id FROM newest_first UNION SELECT id FROM waiting)
        ) END AS failures FROM newest_first
    """  # noqa: S608 - only our own column names and numbers


_LOGGED = f"""
    SELECT shown.id, newest.at, reached.failures, next.due_by,
        cause.standing, cause.last_cause, cause.last_status, cause.deliveries, cause.first_at
    FROM unnest(%(ids)s::bigint[]) AS shown (id)
    LEFT JOIN LATERAL (
        SELECT first_received_at AS at FROM dashboard_delivery
        WHERE endpoint_id = shown.id ORDER BY first_received_at DESC LIMIT 1
    ) AS newest ON true
    LEFT JOIN LATERAL (
        {_reached("shown.id", "%(retried_since)s")}
    ) AS reached ON true
    LEFT JOIN LATERAL (
        SELECT CASE WHEN count(*) <= %(counted)s THEN min(due_by) END AS due_by FROM (
            SELECT due_by FROM dashboard_delivery
            WHERE endpoint_id = shown.id AND standing IN (%(retrying)s, %(requested)s) LIMIT %(counted)s + 1
        ) AS awaited
    ) AS next ON true
    LEFT JOIN LATERAL (
        SELECT standing, last_cause, last_status, count(*) AS deliveries, min(first_received_at) AS first_at
        FROM (
            SELECT standing, last_cause, last_status, first_received_at FROM dashboard_delivery
            WHERE endpoint_id = shown.id AND standing IN (%(failed)s, %(retrying)s) LIMIT %(counted)s + 1
        ) AS counted
        GROUP BY standing, last_cause, last_status
    ) AS cause ON true
"""  # noqa: S608 - the same


@dataclass(frozen=True, slots=True)
class Logged:
    """An endpoint's log: failing deliveries, most frequent cause first, and the consecutive failures that reached us.

    `reached` is None if the newest WINDOW deliveries do not go back far enough to tell. `next_due_by` is None if no
    attempts are to come, or too many to search.
    """

    newest_at: datetime | None
    reached: int | None
    failing: tuple[Failing, ...]
    next_due_by: datetime | None = None

    @property
    def more(self) -> bool:
        """Whether there are more failing deliveries than counted."""
        return sum(one.deliveries for one in self.failing) > FAILING_COUNT_LIMIT

    def words(self, *, now: datetime) -> list[str]:
        """Say how many deliveries fail, and why: those that failed finally first, then those that will be retried."""
        return failing_words(failing=self.failing, more_than=FAILING_COUNT_LIMIT if self.more else None, now=now)

    def count(self, standing: Standing) -> int:
        return sum(one.deliveries for one in self.failing if one.standing == standing)


def endpoints_needing_attention(*, user: User, now: datetime) -> EndpointQuerySet:
    """Return the endpoints that need attention, worst first.

    Each is annotated with `total`, the number of all of them, and `seem_fine`, the number of those that are fine at
    OpenTrain. On DISABLED endpoints nothing is attempted, so their consecutive failures do not affect the order; there,
    and among those that are fine, endpoints with failed deliveries come first.
    """
    failed, shown = Standing.FAILED.value, [kind.value for kind in SHOWN_BY_STATE]
    streak = Case(When(status=DISABLED, then=Value(0)), default=F("consecutive_failures"), output_field=IntegerField())
    has_failed = RawSQL(_HAS_FAILED, (failed,), output_field=BooleanField())  # noqa: S611
    ids = RawSQL(_NEEDING_ATTENTION, (Severity.PAUSED.value, failed, failed, failed, now - LEFT_OVER_FOR, shown))  # noqa: S611
    rows = Endpoint.objects.visible_to(user).registered().connected().filter(pk__in=ids)
    return rows.annotate(
        total=Window(Count("pk")), seem_fine=Window(Count("pk", filter=Q(severity=Severity.ACTIVE)))
    ).order_by("severity", streak.desc(), has_failed.desc(), "disabled_at", "pk")


def with_newest_run(endpoints: EndpointQuerySet) -> EndpointQuerySet:
    """Annotate each endpoint with its newest run as `newest_run`, in the same query; None without one.

    If any run of the endpoint is active, it is the newest: no other can start before it ends.
    """
    return endpoints.annotate(newest_run=RawSQL(_NEWEST_RUN, (), output_field=JSONField()))  # noqa: S611


def with_open_alerts(endpoints: EndpointQuerySet) -> EndpointQuerySet:
    """Annotate each endpoint with its open alerts as `open_alerts`, oldest first, in the same query.

    Leaves out the kinds whose problem the endpoint's own state shows.
    """
    without = [kind.value for kind in SHOWN_BY_STATE]
    return endpoints.annotate(open_alerts=RawSQL(_OPEN_ALERTS, (without,), output_field=JSONField()))  # noqa: S611


def with_log(endpoints: EndpointQuerySet, *, retried_since: datetime) -> EndpointQuerySet:
    """Annotate each endpoint with `newest_at`, the time of its newest delivery, and `reached`, as in `Logged`.

    `reached` is computed only if OpenTrain counts consecutive failures. Both are part of the same query.
    """
    newest = Delivery.objects.filter(endpoint=OuterRef("pk")).order_by("-first_received_at")
    reached = RawSQL(_reached("dashboard_endpoint.id", "%s"), (retried_since,), output_field=IntegerField())  # noqa: S611
    return endpoints.annotate(
        newest_at=Subquery(newest.values("first_received_at")[:1]),
        reached=Case(When(consecutive_failures__gt=0, then=reached)),
    )


def logged(*, endpoint_ids: Sequence[int], retried_since: datetime) -> dict[int, Logged]:
    """Return the log of each endpoint. Deliveries that arrived before `retried_since` are no longer retried."""
    arguments: dict[str, Any] = {
        "ids": list(endpoint_ids),
        "counted": FAILING_COUNT_LIMIT,
        "retried_since": retried_since,
        "failed": Standing.FAILED.value,
        "retrying": Standing.RETRYING.value,
        "requested": Standing.REQUESTED_AGAIN.value,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LOGGED, arguments)
        rows = cursor.fetchall()
    found: dict[int, Logged] = {}
    for pk, newest_at, reached, next_due_by, *cause in rows:
        before = found[pk].failing if pk in found else ()
        failing = (*before, Failing(*cause)) if cause[0] is not None else before
        most_first = tuple(sorted(failing, key=lambda one: -one.deliveries))
        found[pk] = Logged(newest_at, reached, most_first, next_due_by)
    return found
