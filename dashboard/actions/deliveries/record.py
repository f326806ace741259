"""Writes to the delivery log: attempts, refused requests, auto-disables, and redelivery requests."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from dashboard.actions.deliveries import attempts
from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery, Endpoint, RefusedAttempt
from dashboard.rules.answers import are_requeued
from dashboard.rules.attempts import RecordedAttempt, Refusal
from dashboard.rules.deliveries import Standing, overdue_after
from dashboard.rules.schedule import OPENTRAIN_WAITS

REFUSED_KEPT = 200
"""Newest refused attempts kept per endpoint, so people who know its URL cannot fill the disk."""
UNDER_WAY = OPENTRAIN_WAITS + timedelta(seconds=20)
"""How long after we learned of an auto-disable an attempt begun before it may still arrive: OpenTrain's response
timeout, plus the time of the call that told us, which counts from when the call began."""

_ABANDON = """
    UPDATE dashboard_delivery AS delivery SET
        abandoned_at = CASE WHEN last_ok THEN abandoned_at ELSE coalesce(abandoned_at, disable.at) END,
        standing = CASE WHEN last_ok THEN %(delivered)s ELSE %(failed)s END, requested_at = NULL, due_by = NULL
    FROM unnest(
        %(endpoints)s::bigint[], %(disabled)s::timestamptz[], %(learned)s::timestamptz[], %(attempted)s::timestamptz[]
    ) AS disable (endpoint_id, at, learned_at, attempted_by)
    WHERE delivery.endpoint_id = disable.endpoint_id AND standing = ANY(%(waiting)s::smallint[])
        AND (requested_at IS NULL OR requested_at < disable.learned_at)
        AND (disable.attempted_by IS NULL OR last_attempt_at <= disable.attempted_by)
    RETURNING NOT last_ok AND abandoned_at = disable.at
"""


@dataclass(frozen=True, slots=True)
class AutoDisable:
    """An auto-disable of an endpoint.

    `at` is its `disabledAt`, by OpenTrain's clock; it is stored, and compared with nothing. `learned_at` is when we
    first learned of it, by our own clock.
    """

    endpoint: Endpoint
    at: datetime
    learned_at: datetime


def record_of_one(given: Sequence[RecordedAttempt]) -> list[Attempt]:
    """Record attempts of one delivery, in the order given, and return those that were not in the log.

    A new delivery with one attempt is the most frequent case and takes one statement. Concurrent attempts of a delivery
    wait for each other and are numbered 1 to n, and none is lost.

    Raises: django.db.Error. The first of several attempts may then be recorded.
    """
    endpoint_id, name = given[0].endpoint_id, given[0].event.delivery_id
    while True:
        first = attempts.insert_first(given=given[0])
        if first is not None and len(given) == 1:
            return [first]
        # Of several concurrent first attempts one inserts; the others wait for its commit and then find its row.
        with transaction.atomic():
            there = attempts.locked(endpoint_id=endpoint_id, ids=[name])
            if there:  # retention may have deleted it meanwhile
                more = attempts.record_next(given=given, deliveries=there.values())
                return more if first is None else [first, *more]


def record_refusals(given: Sequence[tuple[int, Refusal]]) -> None:
    """Record refused requests with the IDs of their endpoints, and keep the newest REFUSED_KEPT of each endpoint.

    Those of an endpoint that does not exist any more are left out.

    Raises: django.db.Error, with nothing recorded.
    """
    ids = {endpoint_id for endpoint_id, _refusal in given}
    with transaction.atomic():
        found = set(Endpoint.objects.filter(pk__in=ids).values_list("pk", flat=True))
        RefusedAttempt.objects.bulk_create(
            [_refused(endpoint_id, refusal) for endpoint_id, refusal in given if endpoint_id in found]
        )
        for endpoint_id in sorted(found):
            rows = RefusedAttempt.objects.filter(endpoint=endpoint_id)
            rows.filter(pk__in=rows.order_by("-received_at", "-id").values("pk")[REFUSED_KEPT:]).delete()


def _refused(endpoint_id: int, refusal: Refusal) -> RefusedAttempt:
    return RefusedAttempt(
        endpoint_id=endpoint_id,
        received_at=refusal.received_at,
        reason=refusal.reason,
        explanation=refusal.explanation,
        answered_status=refusal.answered_status,
        claimed_delivery_id=refusal.claimed_delivery_id,
        claimed_event_type=refusal.claimed_event_type,
        request_headers=refusal.request_headers,
        body_size=refusal.body_size,
        body_sha256=refusal.body_sha256,
    )


def abandon_undelivered(*, endpoint: Endpoint, at: datetime, learned_at: datetime) -> int:
    """Mark the deliveries that OpenTrain gave up when it auto-disabled the endpoint, and return their number."""
    return abandon_undelivered_of([AutoDisable(endpoint, at, learned_at)])


def abandon_undelivered_of(disables: Sequence[AutoDisable]) -> int:
    """Do the same for any number of endpoints in one statement: one broken host may have thousands.

    What was requested or attempted since we learned of the disable stays unchanged, so a second call for the same
    disable only gives up attempts that were under way. A redelivery that was pending then is given up too.
    Source: partner-api, "Deliveries": all its PENDING deliveries become FAILED.
    """
    values: dict[str, Any] = {
        "endpoints": [one.endpoint.pk for one in disables],
        "disabled": [one.at for one in disables],
        "learned": [one.learned_at for one in disables],
        # Without the receiver, the handler's clock told when it was attempted, so that counts for nothing.
        "attempted": [one.learned_at + UNDER_WAY if one.endpoint.is_received else None for one in disables],
        "waiting": [Standing.RETRYING.value, Standing.REQUESTED_AGAIN.value],
        "delivered": Standing.DELIVERED.value,
        "failed": Standing.FAILED.value,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ABANDON, values)
        return sum(is_given_up for (is_given_up,) in cursor.fetchall())


def failed_now(*, endpoint: Endpoint) -> frozenset[int]:
    """Return the deliveries that are failed now. Call this just before OpenTrain is called."""
    return frozenset(endpoint.deliveries.failed().values_list("pk", flat=True))


def mark_requeued(*, endpoint: Endpoint, failed_then: Collection[int], requeued: int, at: datetime) -> int:
    """Mark the failed deliveries as requested again if OpenTrain requeued each of them, else none.

    `failed_then` is what `failed_now` returned before the call at `at`, and `requeued` is OpenTrain's number. Returns
    the number of deliveries that were failed here at the request. It includes those that have been attempted since,
    because that attempt may be the redelivery, and those whose failure was reported late. It excludes those that
    someone else requested since.
    """
    with transaction.atomic():
        hold(endpoint_id=endpoint.pk)
        before = transaction.savepoint()
        marked = _mark_failed(endpoint=endpoint, at=at)
        gone_on = frozenset(failed_then).difference(marked)
        of_others = Delivery.objects.filter(pk__in=gone_on, requested_at__isnull=False).count() if gone_on else 0
        known = len(marked) + len(gone_on) - of_others
        if are_requeued(requeued=requeued, known=known):
            transaction.savepoint_commit(before)
        else:
            transaction.savepoint_rollback(before)
    return known


def hold(*, endpoint_id: int) -> None:
    """Lock the endpoint's row. Call this before changing several of its deliveries, as the sync does.

    One of them at a time waits for deliveries, so no two can wait for each other's. New deliveries do not wait.
    """
    Endpoint.objects.select_for_update(no_key=True).filter(pk=endpoint_id).values_list("pk").first()


def mark_requested(*, delivery: Delivery, at: datetime) -> bool:
    """Mark a delivery, in any state, as requested again from OpenTrain, and return whether it was marked.

    `at` is a time before the call: an attempt since then may already be the redelivery, so it is not marked then.
    """
    asked = Delivery.objects.filter(pk=delivery.pk, last_attempt_at__lt=at)
    expected = overdue_after(due=at, schedule=schedule())
    return bool(asked.update(requested_at=at, standing=Standing.REQUESTED_AGAIN, due_by=expected))


def _mark_failed(*, endpoint: Endpoint, at: datetime) -> list[int]:
    """Mark the failed deliveries without an attempt since `at` as requested again, and return them.

    One statement marks and counts, so that an attempt that arrives meanwhile is either seen or waits.
    """
    expected = overdue_after(due=at, schedule=schedule())
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dashboard_delivery SET requested_at = %s, standing = %s, due_by = %s"
            " WHERE endpoint_id = %s AND standing = %s AND last_attempt_at < %s RETURNING id",
            [at, int(Standing.REQUESTED_AGAIN), expected, endpoint.pk, int(Standing.FAILED), at],
        )
        return [pk for (pk,) in cursor.fetchall()]
