"""Recording an event and fanning it out into deliveries: one transaction, one INSERT … SELECT.

The body is built once and stored as bytes; every attempt of every delivery sends exactly these bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from dashboard.partner_api.models import Event, EventType, Install, event_wire_id, wire_time

_FAN_OUT = """
INSERT INTO partner_api_delivery
       (id, event_id, endpoint_id, status, round, tries, attempts, next_attempt_at, created_at)
SELECT 'dlv_' || lpad(to_hex((extract(epoch FROM %(now)s::timestamptz) * 1000)::bigint), 12, '0')
              || right(replace(gen_random_uuid()::text, '-', ''), 20),
       %(event)s, endpoint.id, 'PENDING', 1, 0, 0, %(now)s, %(now)s
  FROM partner_api_endpoint AS endpoint
 WHERE endpoint.install_id = %(install)s
   AND endpoint.status = 'ACTIVE'
   AND %(type)s = ANY (endpoint.event_types)
 ORDER BY endpoint.id
   FOR SHARE OF endpoint
"""
# The ID begins with the time in milliseconds, as in UUID version 7, so deliveries of the same time share index pages
# instead of each touching its own. The rest is random.
# No time is compared: an endpoint that this transaction sees existed, even if the clocks of two hosts differ.
# FOR SHARE waits for an endpoint that is being disabled and then reads its new status, so that no PENDING delivery is
# inserted behind the UPDATE that fails them all. Rows are locked in the order of their IDs, as everywhere.


class NotEmitted(Exception):
    """Nothing was recorded; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """A recorded event and the number of its deliveries."""

    event_id: str
    type: str
    deliveries: int


@transaction.atomic
def emit(
    *,
    install_id: str,
    event_type: str,
    resource_id: str,
    job_id: str | None,
    data: Mapping[str, Any],
    now: datetime,
) -> Emitted:
    """Record an event of an ACTIVE install, with a delivery for each endpoint that is ACTIVE and subscribed to it.

    Emit `install.revoked` while the install is still ACTIVE. Existing deliveries are attempted even after the
    revocation, or its endpoints would never receive it.

    Raises: NotEmitted.
    """
    if event_type not in EventType.values:
        raise NotEmitted(f"There is no event type {event_type}. The types are {', '.join(EventType.values)}.")
    if not Install.objects.filter(pk=install_id, status=Install.Status.ACTIVE).exists():
        raise NotEmitted("Events are emitted for ACTIVE installs only; this one is unknown or not ACTIVE.")
    number = _next_number()
    payload = {
        "id": event_wire_id(number),
        "type": event_type,
        "apiVersion": "v1",
        "createdAt": wire_time(now),
        "resourceId": resource_id,
        "jobId": job_id,
        "data": dict(data),
    }
    Event.objects.create(
        id=number,
        install_id=install_id,
        type=event_type,
        resource_id=resource_id,
        job_id=job_id,
        body=json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(),
        created_at=now,
    )
    deliveries = _fan_out(event=number, install_id=install_id, event_type=event_type, now=now)
    return Emitted(event_id=event_wire_id(number), type=event_type, deliveries=deliveries)


def _next_number() -> int:
    """Return the next event ID. It is needed before the INSERT because the stored body contains it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('partner_api_event', 'id'))")
        return int(cursor.fetchone()[0])


def _fan_out(*, event: int, install_id: str, event_type: str, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_FAN_OUT, {"event": event, "install": install_id, "type": event_type, "now": now})
        return int(cursor.rowcount)
