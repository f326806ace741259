"""How an attempt updates its delivery, and when both are written to the log (rows.py writes them).

- A new round begins with an attempt that follows a redelivery request, and with an attempt that OpenTrain had no reason
  to make automatically (delivered, given up, or all attempts used): then it was requested, perhaps elsewhere.
- An attempt that is reported late, after a newer one, is numbered in the order of reports and leaves the delivery's
  last attempt unchanged. It counts in the round only if there has been one round: with several, its round is unknown.
- Event data from the first attempt is kept. Later attempts only fill in what is missing.
- The receiver's attempts have names (UUIDs). One that is in the log already changes nothing.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from django.db import connection
from django.db.models import Q, QuerySet

from dashboard.actions.deliveries import matching
from dashboard.actions.deliveries.rows import FirstRows, insert_many, insert_one, rows_of, update_many
from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery
from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt

ADVANCED = (
    "event_id",
    "resource_id",
    "event_created_at",
    "first_received_at",
    "last_attempt_at",
    "attempt_count",
    "attempts_in_round",
    "last_ok",
    "last_status",
    "last_cause",
    "last_latency_ms",
    "last_signature",
    "requested_at",
    "abandoned_at",
    "body_gone_at",
    "standing",
    "due_by",
)
"""Columns of a delivery that `advance` changes, except the body."""

_LOCK = """
    SELECT delivery.id FROM dashboard_delivery AS delivery
    JOIN (SELECT DISTINCT * FROM unnest(%s::text[], %s::bigint[]) AS given (opentrain_id, endpoint_id)) AS given
        USING (opentrain_id, endpoint_id)
    FOR UPDATE OF delivery SKIP LOCKED
"""


def insert_first(*, given: RecordedAttempt) -> Attempt | None:
    """Insert a delivery with its first attempt in one statement; return None and do nothing if the delivery exists.

    Raises: django.db.Error.
    """
    attempt = _first_attempt(given)
    return attempt if insert_one(attempt) else None


def first_rows(given: RecordedAttempt) -> FirstRows:
    """Return the rows of an attempt as `insert_firsts` sends them. It needs no database, and is most of the work.

    Raises: OverflowError, TypeError or ValueError for what no column can hold.
    """
    return rows_of(_first_attempt(given))


def insert_firsts(
    *, given: Sequence[RecordedAttempt], rows: Mapping[uuid.UUID, FirstRows] = MappingProxyType({})
) -> frozenset[uuid.UUID]:
    """Do the same for many deliveries, each given once; return the names of the attempts that are inserted.

    Give them `in_order`: two writers that wait for each other's new deliveries are a deadlock. `rows` are those that
    are ready, by the attempts' names.

    Raises: django.db.Error, and OverflowError, TypeError or ValueError for what no column can hold.
    """
    return insert_many([rows.get(one.id) or first_rows(one) for one in given])


def in_order(given: Iterable[RecordedAttempt]) -> list[RecordedAttempt]:
    """Return attempts by delivery, in the order in which every writer inserts deliveries, and then by arrival."""
    return sorted(given, key=lambda one: (*key_of(one), one.result.received_at))


def key_of(given: RecordedAttempt) -> tuple[int, str]:
    """Return what names the attempt's delivery: its endpoint and OpenTrain's ID."""
    return given.endpoint_id, given.event.delivery_id


def locked(*, endpoint_id: int, ids: Iterable[str]) -> dict[str, Delivery]:
    """Return the endpoint's existing deliveries by ID, locked until the transaction ends, without their bodies."""
    wanted = Delivery.objects.filter(endpoint=endpoint_id, opentrain_id__in=ids).order_by("opentrain_id")
    return {found.opentrain_id: found for found in _unread(wanted).select_for_update()}


def locked_now(*, given: Collection[RecordedAttempt]) -> list[Delivery]:
    """Return the existing deliveries of the attempts, locked, except those that another transaction has locked.

    It never waits, so it can be called in any order and beside other locks.
    """
    names, endpoints = [one.event.delivery_id for one in given], [one.endpoint_id for one in given]
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [names, endpoints])
        ids = [pk for (pk,) in cursor.fetchall()]
    return list(_unread(Delivery.objects.filter(pk__in=ids)))


def record_next(*, given: Iterable[RecordedAttempt], deliveries: Collection[Delivery]) -> list[Attempt]:
    """Record more attempts of locked deliveries, in the order given, and return those that are new.

    An attempt whose name is in the log changes nothing. One that a handler reported is confirmed (matching.py).
    """
    given = list(given)
    by_key = {(row.endpoint_id, row.opentrain_id): row for row in deliveries}
    known = set(Attempt.objects.filter(uuid__in=[one.id for one in given]).values_list("uuid", "delivery_id"))
    observed = matching.observed_of(deliveries)
    recorded = []
    for one in given:
        delivery = by_key[key_of(one)]
        if (one.id, delivery.pk) not in known:
            known.add((one.id, delivery.pk))
            recorded.append(_next_attempt(one, delivery=delivery, observed=observed[delivery.pk]))
    _save_next(recorded)
    return recorded


def first(*, endpoint_id: int, event: Event, result: AttemptResult) -> Delivery:
    """Return a new delivery without a counted attempt. It is not saved."""
    return Delivery(
        endpoint_id=endpoint_id,
        opentrain_id=event.delivery_id,
        event_id=event.event_id,
        event_type=event.event_type,
        resource_id=event.resource_id,
        event_created_at=event.created_at,
        body=event.body,
        first_received_at=result.received_at,
        last_attempt_at=result.received_at,
        last_ok=result.ok,
        last_status=result.answered_status,
        last_cause=result.cause,
        last_latency_ms=result.latency_ms,
        last_signature=result.signature,
    )


def advance(*, delivery: Delivery, event: Event, result: AttemptResult, name: uuid.UUID | None = None) -> Attempt:
    """Count one more attempt and return it. Neither delivery nor attempt is saved."""
    if result.received_at < delivery.last_attempt_at:
        delivery.attempts_in_round += int(delivery.attempts_in_round == delivery.attempt_count)
        delivery.first_received_at = min(delivery.first_received_at, result.received_at)
    else:
        _begin_round(delivery=delivery, at=result.received_at)
        delivery.attempts_in_round += 1
        _set_last(delivery=delivery, result=result)
    delivery.attempt_count += 1
    _fill_in(delivery=delivery, event=event)
    delivery.settle(schedule=schedule())
    return _attempt(delivery=delivery, result=result, name=name)


def confirm(*, delivery: Delivery, observed: Attempt, event: Event, result: AttemptResult, name: uuid.UUID) -> Attempt:
    """Replace an observed attempt with what the receiver saw. No attempt is added, and nothing is saved."""
    if observed.received_at >= delivery.last_attempt_at:
        # By the handler's clock, the attempt came before the request.
        if _answers_request(delivery=delivery, at=result.received_at):
            _begin_round(delivery=delivery, at=result.received_at)
            delivery.attempts_in_round = 1
        _set_last(delivery=delivery, result=result)
    delivery.first_received_at = min(delivery.first_received_at, result.received_at)
    _fill_in(delivery=delivery, event=event)
    delivery.settle(schedule=schedule())
    attempt = _attempt(delivery=delivery, result=result, name=name)
    attempt.pk, attempt.number = observed.pk, observed.number
    return attempt


def save_advanced(*, deliveries: Sequence[Delivery]) -> None:
    """Save what `advance` changed of existing deliveries in one statement, and the bodies that it filled in."""
    update_many(deliveries, columns=ADVANCED)
    Delivery.objects.bulk_update([row for row in deliveries if not _is_unread(row)], ["body"])


def _first_attempt(given: RecordedAttempt) -> Attempt:
    delivery = first(endpoint_id=given.endpoint_id, event=given.event, result=given.result)
    return advance(delivery=delivery, event=given.event, result=given.result, name=given.id)


def _next_attempt(given: RecordedAttempt, *, delivery: Delivery, observed: list[Attempt]) -> Attempt:
    """Return one more attempt of a delivery, or the observed one that it confirms, which is then observed no more."""
    told = matching.observed_already(observed=observed, at=given.result.received_at)
    if told is None:
        return advance(delivery=delivery, event=given.event, result=given.result, name=given.id)
    observed.remove(told)
    return confirm(delivery=delivery, observed=told, event=given.event, result=given.result, name=given.id)


def _save_next(recorded: Sequence[Attempt]) -> None:
    if recorded:
        save_advanced(deliveries=list({row.delivery_id: row.delivery for row in recorded}.values()))
    for confirmed in (row for row in recorded if row.pk is not None):
        confirmed.save(force_update=True)
    Attempt.objects.bulk_create([row for row in recorded if row.pk is None])


def _unread(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Leave out the bodies, and tell which deliveries have none."""
    return deliveries.annotate(body_missing=Q(body__isnull=True)).defer("body")


def _begin_round(*, delivery: Delivery, at: datetime) -> None:
    """Begin a new round if the attempt starts one."""
    answers_request = _answers_request(delivery=delivery, at=at)
    if answers_request or _round_is_over(delivery=delivery):
        delivery.attempts_in_round = 0
        delivery.abandoned_at = None
        # A request made after this attempt still waits for its own.
        delivery.requested_at = None if answers_request else delivery.requested_at


def _answers_request(*, delivery: Delivery, at: datetime) -> bool:
    return delivery.requested_at is not None and at >= delivery.requested_at


def _round_is_over(*, delivery: Delivery) -> bool:
    """Return whether OpenTrain had no reason to retry automatically: then it was asked to, perhaps elsewhere."""
    exhausted = delivery.attempts_in_round >= schedule().attempts
    return delivery.last_ok or delivery.abandoned_at is not None or exhausted


def _set_last(*, delivery: Delivery, result: AttemptResult) -> None:
    delivery.last_attempt_at = result.received_at
    delivery.last_ok = result.ok
    delivery.last_status = result.answered_status
    delivery.last_cause = result.cause
    delivery.last_latency_ms = result.latency_ms
    delivery.last_signature = result.signature


def _fill_in(*, delivery: Delivery, event: Event) -> None:
    delivery.event_id = delivery.event_id or event.event_id
    delivery.resource_id = delivery.resource_id or event.resource_id
    delivery.event_created_at = delivery.event_created_at or event.created_at
    if event.body is not None and _lacks_body(delivery):  # no attempt brought it yet, or retention removed it
        delivery.body, delivery.body_gone_at = event.body, None


def _lacks_body(delivery: Delivery) -> bool:
    return bool(getattr(delivery, "body_missing", False)) if _is_unread(delivery) else delivery.body is None


def _is_unread(delivery: Delivery) -> bool:
    """Return whether the body was not loaded. A body that was filled in since is loaded."""
    return "body" in delivery.get_deferred_fields()


def _attempt(*, delivery: Delivery, result: AttemptResult, name: uuid.UUID | None) -> Attempt:
    return Attempt(
        delivery=delivery,
        number=delivery.attempt_count,
        received_at=result.received_at,
        request_headers=result.request_headers,
        answered_status=result.answered_status,
        ok=result.ok,
        cause=result.cause,
        handler_url=result.handler_url,
        handler_status=result.handler_status,
        latency_ms=result.latency_ms,
        response_headers=result.response_headers,
        response_head=result.response_head,
        source=result.source,
        signature=result.signature,
        body_fault=result.body_fault,
        answered_in_time=result.answered_in_time,
        uuid=name,
    )
