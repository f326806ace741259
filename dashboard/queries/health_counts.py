"""The endpoints of installs, counted by health."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.db import connection

from dashboard.rules.endpoints import EndpointHealth, endpoint_health

# The table of installs is read all the time, and putting this together with the ORM takes longer than the query.
_SQL = """
    SELECT install_id, status, max(consecutive_failures), count(*) FROM dashboard_endpoint
    WHERE install_id = ANY(%(installs)s) AND opentrain_id IS NOT NULL AND deleted_at IS NULL
    GROUP BY install_id, status, severity ORDER BY severity, status
"""


def health_counts(*, install_ids: Sequence[int]) -> Mapping[int, list[tuple[EndpointHealth, int]]]:
    """Return the numbers of each install's registered endpoints by health, worst first, in one query."""
    found: dict[int, list[tuple[EndpointHealth, int]]] = defaultdict(list)
    if not install_ids:
        return found
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"installs": list(install_ids)})
        for install_id, status, failures, count in cursor.fetchall():
            found[install_id].append((endpoint_health(status=status, consecutive_failures=failures), count))
    return found
