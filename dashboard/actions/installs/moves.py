"""Moves of endpoints: changes of their URL, requested by Redeliver or made elsewhere, and what is noted of them."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from dashboard.actions import audit
from dashboard.config.masking import masking
from dashboard.models import AuditEntry, Endpoint
from dashboard.rules.outside_texts import cut
from dashboard.rules.receiver_urls import leads_to
from dashboard.services import opentrain

EDIT, POINT_BACK = "edit endpoint", "deliver through the receiver again"
ROUTE, BYPASS = "route through Redeliver", "take Redeliver out of the path"
MOVES = (EDIT, POINT_BACK, ROUTE, BYPASS)
"""Names in the audit of the actions that change an endpoint's URL."""
CHANGED_ELSEWHERE = "URL changed elsewhere"
"""Name in the audit of such a change that Redeliver did not request."""
ELSEWHERE = "outside Redeliver"
UNSETTLED = timedelta(days=1)
"""How long a change of ours without a clear answer may explain another URL."""


def learn_of_url(endpoint: Endpoint, remote: opentrain.WebhookEndpoint, *, at: datetime) -> None:
    """Note how the endpoint's path changes with its URL. Whether the change was made elsewhere is found out later."""
    endpoint.url_changed_at, endpoint.url_before = None, cut(masking().url(endpoint.url), most=audit.URL_CHARS)
    if endpoint.receiver_key is None or not leads_to(url=remote.url, key=endpoint.receiver_key):
        return
    if endpoint.routing_since is not None:
        endpoint.routed_at = at
    endpoint.routing_since = endpoint.bypassed_at = None


def tell_of_moves(moved: Sequence[Endpoint], *, at: datetime) -> None:
    """Note the endpoints whose URL no change of ours explains, and write each into the audit.

    A change of ours whose outcome is unknown may have been carried out later: it explains any URL.
    """
    ours = AuditEntry.objects.filter(endpoint__in=moved, action__in=MOVES, at__gt=at - UNSETTLED).operations()
    ours = ours.filter(phase__in=[AuditEntry.Phase.REQUESTED, AuditEntry.Phase.UNKNOWN])
    explained = set(ours.values_list("endpoint_id", flat=True))
    entries = []
    for endpoint in moved:
        if endpoint.pk in explained:
            continue
        endpoint.url_changed_at = at
        row = audit.entry(
            operation=uuid.uuid4(),
            phase=audit.DONE,
            action=CHANGED_ELSEWHERE,
            actor=None,
            actor_name=ELSEWHERE,
            install=endpoint.install,
            endpoint=endpoint,
        )
        row.words = (
            f"OpenTrain delivers this endpoint to {endpoint.shown_url} now. It delivered to {endpoint.url_before} "
            "before. Redeliver did not request this change."
        )
        entries.append(row)
    AuditEntry.objects.bulk_create(entries)
