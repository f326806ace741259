"""The endpoints of installs, counted by health."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.db import connection

from dashboard.models import Install
from dashboard.queries.install_endpoints import InstallEndpoint, are_few
from dashboard.rules.endpoints import EndpointHealth, endpoint_health

# Endpoints of one status and severity have one health: severity follows from the status and the failures.
_SQL = """
    SELECT install_id, status, max(consecutive_failures), count(*) FROM dashboard_endpoint
    WHERE install_id = ANY(%(installs)s) AND opentrain_id IS NOT NULL AND deleted_at IS NULL
    GROUP BY install_id, status, severity
"""


def health_counts(
    *, installs: Sequence[Install], endpoints: Sequence[InstallEndpoint]
) -> Mapping[int, list[tuple[EndpointHealth, int]]]:
    """Return the numbers of each install's registered endpoints by health, worst first, by primary key.

    `endpoints` are from `install_endpoints`: of installs with few. The database counts those of the others.
    """
    wanted = {one.pk for one in installs}
    each = [(one.install_id, one.status, one.consecutive_failures, 1) for one in endpoints if one.install_id in wanted]
    groups: dict[tuple[int, int, str], tuple[int, int]] = {}
    for install_id, status, failures, count in [*_counted(installs), *each]:
        key = (install_id, endpoint_health(status=status, consecutive_failures=failures).severity, status)
        most, total = groups.get(key, (0, 0))
        groups[key] = (max(most, failures), total + count)
    found: dict[int, list[tuple[EndpointHealth, int]]] = defaultdict(list)
    for (install_id, _severity, status), (failures, count) in sorted(groups.items()):
        found[install_id].append((endpoint_health(status=status, consecutive_failures=failures), count))
    return found


def _counted(installs: Sequence[Install]) -> list[tuple[int, str, int, int]]:
    many = [one.pk for one in installs if not are_few(one)]
    if not many:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"installs": many})
        return list(cursor.fetchall())
