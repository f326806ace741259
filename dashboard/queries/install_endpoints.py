"""The registered endpoints of a page of installs, with their last attempts, in one query.

The table of installs counts them by health and sums up their figures, and the inbox sums up their figures.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from dashboard.models import Install

FEW = 25
"""Most endpoints that an install may have to be read: a page has up to fifty installs. An install's page has all."""
LAST_ATTEMPT = """
    SELECT last_attempt_at AS at, last_ok AS ok FROM dashboard_delivery
    WHERE endpoint_id = {endpoint} ORDER BY last_attempt_at DESC LIMIT 1
"""
_SQL = f"""
    SELECT endpoint.id, install_id, status, consecutive_failures, url, receiver_key,
        observation_key_sha256 IS NOT NULL, routed_at, created_at, observation_key_at, last.at, last.ok
    FROM dashboard_endpoint AS endpoint
    LEFT JOIN LATERAL ({LAST_ATTEMPT.format(endpoint="endpoint.id")}) AS last ON true
    WHERE install_id = ANY(%(installs)s) AND opentrain_id IS NOT NULL AND deleted_at IS NULL
"""  # noqa: S608 - only constants


class InstallEndpoint(NamedTuple):
    """What the table of installs needs of an endpoint. `last_at` and `last_ok` are its last attempt in the log."""

    pk: int
    install_id: int
    status: str
    consecutive_failures: int
    url: str
    receiver_key: str | None
    is_observed: bool
    routed_at: datetime | None
    created_at: datetime | None
    observed_at: datetime | None
    last_at: datetime | None
    last_ok: bool | None


def are_few(install: Install) -> bool:
    """Return whether the install has so few endpoints that they are read for the table of installs."""
    return install.endpoint_count <= FEW


def of_installs(installs: Iterable[Install]) -> list[InstallEndpoint]:
    """Return the registered endpoints of those of the installs that have few."""
    few = [one.pk for one in installs if are_few(one)]
    if not few:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"installs": few})
        return [InstallEndpoint(*row) for row in cursor.fetchall()]
