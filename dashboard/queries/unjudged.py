"""The installs whose findings may be other ones by now, found without reading what has not changed.

The cost grows with the findings that may change and with the deliveries that have come since the last time, not with
contracts, with deliveries, or with what is missing for good.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max

from dashboard.models import Delivery
from dashboard.rules.reconciliation import Event, Kind, Reason

MOST_DELIVERIES = 100_000
"""New deliveries to look through. Those beyond it are seen when the install's contracts are read next."""
HANDED_OVER_WITHIN = timedelta(hours=1)

# `kind <> 'missing'` is the condition of the index finding_that_may_change. What is missing changes only with a new
# delivery, or when it is handed over.
_INSTALLS = """
    SELECT found.install_id FROM (
        SELECT finding.install_id FROM dashboard_finding AS finding
        WHERE finding.closed_at IS NULL AND finding.kind <> %(missing)s AND (
            finding.until <= %(now)s OR finding.reason = %(waits)s OR EXISTS (
                SELECT FROM dashboard_evidence AS evidence
                JOIN dashboard_delivery AS delivery USING (opentrain_id, endpoint_id)
                WHERE evidence.contract_id = finding.contract_id AND evidence.endpoint_id = finding.endpoint_id
                    AND (evidence.attempt_count, evidence.last_attempt_at, evidence.standing, evidence.due_by)
                        IS DISTINCT FROM
                        (delivery.attempt_count, delivery.last_attempt_at, delivery.standing, delivery.due_by)
            )
        )
        UNION
        SELECT contract.install_id FROM dashboard_delivery AS delivery
        JOIN dashboard_contract AS contract ON contract.opentrain_id = delivery.resource_id
        JOIN dashboard_endpoint AS endpoint
            ON endpoint.id = delivery.endpoint_id AND endpoint.install_id = contract.install_id
        WHERE delivery.id > %(after)s AND delivery.event_type = ANY(%(events)s) AND NOT EXISTS (
            SELECT FROM dashboard_evidence AS evidence
            WHERE evidence.endpoint_id = delivery.endpoint_id AND evidence.opentrain_id = delivery.opentrain_id
        )
        UNION
        SELECT finding.install_id FROM dashboard_handover AS handover
        JOIN dashboard_finding AS finding USING (contract_id, endpoint_id, event_type)
        WHERE handover.ok AND handover.ended_at > %(handed_since)s AND finding.closed_at IS NULL
    ) AS found
    LEFT JOIN dashboard_reconciliation AS reconciliation ON reconciliation.install_id = found.install_id
    ORDER BY reconciliation.judged_at NULLS FIRST, found.install_id
"""


def newest_delivery() -> int:
    """Return the primary key of the newest delivery in the log; 0 without any."""
    newest: int | None = Delivery.objects.aggregate(newest=Max("pk"))["newest"]
    return newest or 0


def installs_to_judge(*, after: int, newest: int, now: datetime) -> list[int]:
    """Return the installs, longest not judged first. `after` is the last delivery that needs no look."""
    values: dict[str, Any] = {
        "missing": Kind.MISSING.value,
        "waits": Reason.NOT_IN_LOG_YET.value,
        "events": [event.value for event in Event],
        "after": max(after, newest - MOST_DELIVERIES),
        "handed_since": now - HANDED_OVER_WITHIN,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSTALLS, values)
        return [pk for (pk,) in cursor.fetchall()]
