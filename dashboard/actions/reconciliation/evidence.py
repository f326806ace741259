"""Takes from the delivery log what is known of contracts' events, so that it outlives the deliveries.

Two statements take everything that is new or has changed; what has not is not written. Bodies are read once, and only
for the project link that they name: several links to one job make one event each.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from django.db import connection

from dashboard.rules import json_limits
from dashboard.rules.outside_texts import storable
from dashboard.rules.reconciliation import Event

BODY_BYTES = 64 * 1024
"""Largest body that is read. OpenTrain's own have a few KiB."""
BODIES_AT_ONCE = 200
LINK_CHARS = 200
_NO_LINK = ""
"""The body names no link."""

# `resource_id <> ''` is the condition of the index. The contracts' IDs are an array, so that each is looked up in it
# whatever PostgreSQL believes of the tables' sizes.
_HARVEST = """
    INSERT INTO dashboard_evidence AS known (
        contract_id, endpoint_id, event_type, opentrain_id, event_id, event_created_at, first_received_at,
        last_attempt_at, attempt_count, taken_at, standing, due_by, last_cause, last_status
    )
    SELECT contract.id, delivery.endpoint_id, delivery.event_type, delivery.opentrain_id, delivery.event_id,
        delivery.event_created_at, delivery.first_received_at, delivery.last_attempt_at,
        delivery.attempt_count,
        CASE WHEN delivery.last_ok AND delivery.attempt_count <= 1 THEN delivery.last_attempt_at ELSE coalesce(
            (SELECT min(received_at) FROM dashboard_attempt WHERE delivery_id = delivery.id AND ok),
            CASE WHEN delivery.last_ok THEN delivery.last_attempt_at END
        ) END,
        delivery.standing, delivery.due_by, delivery.last_cause, delivery.last_status
    FROM dashboard_delivery AS delivery
    JOIN dashboard_endpoint AS endpoint ON endpoint.id = delivery.endpoint_id AND endpoint.install_id = %(install)s
    JOIN dashboard_contract AS contract
        ON contract.install_id = %(install)s AND contract.opentrain_id = delivery.resource_id
    LEFT JOIN dashboard_evidence AS old
        ON old.endpoint_id = delivery.endpoint_id AND old.opentrain_id = delivery.opentrain_id
    WHERE delivery.resource_id <> '' AND delivery.event_type = ANY(%(events)s)
        AND delivery.resource_id = ANY(
            ARRAY(SELECT opentrain_id FROM dashboard_contract WHERE install_id = %(install)s)::varchar[]
        )
        AND (old.id IS NULL OR old.first_received_at > delivery.first_received_at OR
            (old.attempt_count, old.last_attempt_at, old.standing, old.due_by) IS DISTINCT FROM
            (delivery.attempt_count, delivery.last_attempt_at, delivery.standing, delivery.due_by))
    ON CONFLICT (endpoint_id, opentrain_id) DO UPDATE SET
        event_id = excluded.event_id, event_created_at = excluded.event_created_at,
        first_received_at = least(known.first_received_at, excluded.first_received_at),
        last_attempt_at = excluded.last_attempt_at, attempt_count = excluded.attempt_count,
        taken_at = least(known.taken_at, excluded.taken_at),
        standing = excluded.standing, due_by = excluded.due_by, last_cause = excluded.last_cause,
        last_status = excluded.last_status
    RETURNING id, contract_id, link_id IS NULL
"""

_BODIES = """
    SELECT evidence.id, CASE WHEN octet_length(delivery.body) <= %s THEN delivery.body END
    FROM dashboard_evidence AS evidence JOIN dashboard_delivery AS delivery USING (opentrain_id, endpoint_id)
    WHERE evidence.id = ANY(%s) AND delivery.body IS NOT NULL
"""
_NAME_LINKS = """
    UPDATE dashboard_evidence AS known SET link_id = named.link_id
    FROM unnest(%s::bigint[], %s::text[]) AS named (id, link_id) WHERE known.id = named.id
"""


def harvest(*, install_id: int) -> set[int]:
    """Take what is new or changed of the install's contracts; return the primary keys of those contracts.

    When the handler took a delivery first stays known, whatever comes of it later. Call it in a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HARVEST, {"install": install_id, "events": [event.value for event in Event]})
        changed = cursor.fetchall()
    _name_links([pk for pk, _contract, is_unread in changed if is_unread])
    return {contract for _pk, contract, _is_unread in changed}


def link_of(body: bytes) -> str:
    """Return the ID of the project link that an event's body names; empty if it names none that makes sense."""
    try:
        found = json_limits.loads(body)
    except ValueError:
        return _NO_LINK
    for name in ("data", "projectLink", "id"):
        found = found.get(name) if isinstance(found, dict) else None
    is_id = isinstance(found, str) and 0 < len(found) <= LINK_CHARS
    return storable(found, most=LINK_CHARS) if is_id else _NO_LINK


def _name_links(ids: Sequence[int]) -> None:
    """Read the link from each delivery's body, a few bodies at a time."""
    for some in _portions(ids):
        with connection.cursor() as cursor:
            cursor.execute(_BODIES, [BODY_BYTES, some])
            named = [(pk, _NO_LINK if body is None else link_of(bytes(body))) for pk, body in cursor.fetchall()]
            if named:
                cursor.execute(_NAME_LINKS, [[pk for pk, _link in named], [link for _pk, link in named]])


def _portions(ids: Sequence[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while some := list(islice(rest, BODIES_AT_ONCE)):
        yield some
