"""Routes: what the receiver needs of endpoints to take their deliveries. It holds all of them in memory.

The statements run on a connection of their own, which also listens: triggers notify CHANNEL with the ID of an endpoint
whose route changed. `digest` finds every change, also where no notification gets through, as behind a proxy that
shares connections. It includes what the triggers leave out: deleted endpoints, and URLs at the receiver of endpoints
that were created outside Redeliver.

Raises: psycopg.Error (all of them).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from django.conf import settings

from dashboard.rules.receiver_urls import HOOKS
from dashboard.vault import Sealed

CHANNEL = "dashboard_routes"
"""The channel of the triggers' notifications (migration 0025_route_changes)."""

# An endpoint without a key concerns the receiver if its secret may have signed what comes to another's address, or if
# its URL is an address of the receiver.
_READ = """
    SELECT id, install_id, receiver_key, handler_url, secret, registering_since, proof,
           deleted_at IS NOT NULL AS is_deleted,
           CASE WHEN receiver_key IS NULL AND opentrain_id IS NOT NULL AND deleted_at IS NULL
                     AND starts_with(url, %(hooks)s) THEN url ELSE '' END AS taken_url
    FROM dashboard_endpoint
"""
_CONCERNS = "receiver_key IS NOT NULL OR secret IS NOT NULL OR taken_url <> ''"
_WITH_HASH = f"SELECT *, hash_record_extended(route, 0) FROM ({_READ}) AS route WHERE ({_CONCERNS})"  # noqa: S608 - constants
_DIGEST = f"SELECT coalesce(sum(hash_record_extended(route, 0)), 0) FROM ({_READ}) AS route WHERE {_CONCERNS}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class RouteRow:
    """What is stored of an endpoint's route. `taken_url` is its URL if that is an address of the receiver by chance."""

    endpoint_id: int
    install_id: int
    key: str | None = field(repr=False)
    handler_url: str = field(repr=False)
    secret: Sealed | None
    registering_since: datetime | None
    proof: str
    is_deleted: bool
    taken_url: str = field(repr=False)
    hash: int | None = field(default=None, compare=False)
    """The database's hash of the row; None if it did not come from there."""


def every(connection: psycopg.Connection[Any]) -> list[RouteRow]:
    """Return all routes."""
    return _rows(connection, "true", {})


def of_endpoints(connection: psycopg.Connection[Any], ids: Collection[int]) -> list[RouteRow]:
    """Return the routes of endpoints; none of those that concern the receiver no longer."""
    return _rows(connection, "id = ANY(%(ids)s)", {"ids": list(ids)})


def of_keys(connection: psycopg.Connection[Any], keys: Collection[str]) -> list[RouteRow]:
    """Return the routes with these receiver keys."""
    return _rows(connection, "receiver_key = ANY(%(keys)s)", {"keys": list(keys)})


def digest(connection: psycopg.Connection[Any]) -> int:
    """Return the sum of the hashes of all routes. It costs one read of the endpoints and returns one number."""
    row = connection.execute(_DIGEST, {"hooks": _hooks()}).fetchone()
    return 0 if row is None else int(row[0])


def _rows(connection: psycopg.Connection[Any], condition: str, values: dict[str, Any]) -> list[RouteRow]:
    found = connection.execute(f"{_WITH_HASH} AND {condition}", {"hooks": _hooks(), **values})
    return [
        RouteRow(
            pk, install, key, handler, None if secret is None else Sealed.of(secret), since, proof, gone, url, number
        )
        for pk, install, key, handler, secret, since, proof, gone, url, number in found
    ]


def _hooks() -> str:
    """Return how the addresses of the receiver begin."""
    return f"{settings.RECEIVER_URL}{HOOKS}"
