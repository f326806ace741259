"""Notes whether OpenTrain got our answer in time. That is known only after the attempt is in the log.

OpenTrain counts an attempt whose answer it did not get as failed, and tries again. So the log counts it as failed too,
whatever the handler returned, and so does its delivery if no later attempt has come.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection, transaction

from dashboard.actions.deliveries.attempts import save_advanced
from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery
from dashboard.rules.attempts import missed
from dashboard.rules.causes import Cause

_IN_TIME = """
    UPDATE dashboard_attempt SET answered_in_time = true WHERE uuid = ANY(%s::uuid[]) AND answered_in_time IS NULL
"""
_CHANGED = ("ok", "cause", "answered_status", "answered_in_time")


@dataclass(frozen=True, slots=True)
class Unnoted:
    """Names of attempts that OpenTrain got no answer to, and of which that is not noted: note it again later.

    The deliveries of the `locked` ones are locked by another transaction. The log lacks the `missing` ones.
    """

    locked: frozenset[uuid.UUID] = frozenset()
    missing: frozenset[uuid.UUID] = frozenset()


def note_answered(told: Mapping[uuid.UUID, Cause]) -> Unnoted:
    """Note, by the attempts' names, whether OpenTrain got the answer in time (NONE), or why it did not (GONE, UNKEPT).

    Names of answered attempts that the log lacks are ignored. It waits for no lock that others hold for long. Call this
    outside of transactions.

    Raises: django.db.Error.
    """
    why = {name: cause for name, cause in told.items() if cause}
    with transaction.atomic(), connection.cursor() as cursor:
        if not why:
            # A crash of the database may undo it: then it is unknown, as before. So the commit waits for no disk.
            cursor.execute("SET LOCAL synchronous_commit TO off")
        cursor.execute(_IN_TIME, [[name for name in told if name not in why]])
        return _note_missed(why) if why else Unnoted()


def _note_missed(why: Mapping[uuid.UUID, Cause]) -> Unnoted:
    found = Attempt.objects.filter(uuid__in=why).order_by().values_list("uuid", "delivery_id")
    there = {name: delivery_id for name, delivery_id in found if name is not None}
    free = Delivery.objects.filter(pk__in=there.values()).defer("body").select_for_update(skip_locked=True)
    deliveries = {one.pk: one for one in free}
    attempts = Attempt.objects.filter(uuid__in=why, delivery__in=deliveries, answered_in_time=None).order_by()
    rows = list(attempts.only("delivery_id", "uuid", "received_at", *_CHANGED))
    for row in rows:
        if row.uuid is not None:
            _miss(row, deliveries[row.delivery_id], why=why[row.uuid])
    Attempt.objects.bulk_update(rows, _CHANGED)
    save_advanced(deliveries=list({row.delivery_id: deliveries[row.delivery_id] for row in rows}.values()))
    locked = frozenset(name for name, delivery_id in there.items() if delivery_id not in deliveries)
    return Unnoted(locked, frozenset(why.keys() - there.keys()))


def _miss(attempt: Attempt, delivery: Delivery, *, why: Cause) -> None:
    """Change an attempt, and its delivery if that was thought to be delivered by this attempt. Nothing is saved."""
    if attempt.ok and delivery.last_ok and attempt.received_at >= delivery.last_attempt_at:
        delivery.last_ok, delivery.last_cause = False, why
        delivery.last_status = missed(why=why, cause="", answered_status=attempt.answered_status)["answered_status"]
        delivery.settle(schedule=schedule())
    for name, value in missed(why=why, cause=attempt.cause, answered_status=attempt.answered_status).items():
        setattr(attempt, name, value)
    attempt.ok = False
