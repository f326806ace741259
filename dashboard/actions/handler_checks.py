"""Checks of handlers that receivers make for the console, which may be on another network than they are.

The console inserts a row for each check, notifies CHANNEL, and waits. Exactly one receiver takes a row, checks the
handler, and writes what came of it. The console then deletes its rows, and those that a killed one left.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import psycopg
from django.db import connection
from django.db.models.functions import Now

from dashboard.models import Endpoint, HandlerCheck
from dashboard.rules.preflight import Preflight, from_receiver, of_answer, of_failure
from dashboard.services import handler

CHANNEL = "dashboard_handler_checks"
CHECK_S = 5.0
"""Seconds that the check of a handler may take: a person waits for it."""
TAKEN_WITHIN_S = 3.0
"""Seconds after which no receiver will take the checks. One takes them at once, or within the second if nothing gets
through that notifies it."""
ANSWERED_WITHIN_S = CHECK_S + 1.0
"""Seconds after which a receiver that has taken checks has stopped answering them."""
ALL_WITHIN_S = 20.0
LOOK_EVERY_S = 0.1
STALE = timedelta(minutes=1)

_TAKE = """
    WITH taken AS (
        UPDATE dashboard_handlercheck SET taken_by = %(name)s
        WHERE id IN (SELECT id FROM dashboard_handlercheck WHERE taken_by = '' AND asked_at > now() - %(stale)s
                     ORDER BY id FOR UPDATE SKIP LOCKED)
        RETURNING id, endpoint_id)
    SELECT taken.id, endpoint.url FROM taken JOIN dashboard_endpoint endpoint ON endpoint.id = taken.endpoint_id
    ORDER BY taken.id
"""


def ask(endpoints: Sequence[Endpoint], *, pause: Callable[[float], None] = time.sleep) -> dict[int, Preflight]:
    """Have receivers check the URLs of endpoints, and return what they found in time, by the endpoint's key.

    Call it outside a transaction: receivers must see the rows.
    """
    HandlerCheck.objects.filter(asked_at__lt=Now() - STALE).delete()
    asked = HandlerCheck.objects.bulk_create([HandlerCheck(endpoint=one) for one in endpoints])
    rows = HandlerCheck.objects.filter(pk__in=[one.pk for one in asked])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        last = time.monotonic() + ALL_WITHIN_S
        before, until = (0, 0), min(last, time.monotonic() + TAKEN_WITHIN_S)
        while True:
            found = list(rows.all())
            answered = [one for one in found if one.answered_at is not None]
            if len(answered) == len(asked):
                break
            now, so_far = time.monotonic(), (sum(1 for one in found if one.taken_by), len(answered))
            if so_far != before:
                before, until = so_far, min(last, now + ANSWERED_WITHIN_S)
            if now >= until:
                break
            pause(LOOK_EVERY_S)
        return {one.endpoint_id: from_receiver(_read(one)) for one in answered}
    finally:
        rows.delete()


def _read(row: HandlerCheck) -> Preflight:
    if row.status is None:
        return of_failure(cause=row.cause, words=row.words)
    return of_answer(status=row.status, latency_ms=row.latency_ms or 0)


def take(on: psycopg.Connection[Any], *, name: str) -> list[tuple[int, str]]:
    """Return checks that no receiver has taken, with the URL of each. They are `name`'s now. Raises: psycopg.Error."""
    return on.execute(_TAKE, {"name": name, "stale": STALE}).fetchall()


def carry_out(check_id: int, url: str) -> None:
    """Check a handler from this process, and write what came of it. Raises: django.db.Error."""
    outcome: dict[str, Any]
    try:
        answer = handler.probe(url=url, deadline_s=CHECK_S)
        outcome = {"status": answer.status, "latency_ms": answer.latency_ms}
    except handler.HandlerFailed as failed:
        outcome = {"cause": failed.cause, "words": failed.words}
    HandlerCheck.objects.filter(pk=check_id).update(answered_at=Now(), **outcome)
