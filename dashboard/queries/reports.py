"""What reports need of the audit and the log: who did what, and why deliveries had failed before a run."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from dashboard.models import Attempt, AuditEntry, Delivery, Endpoint, Run, RunItem

MOST_ENTRIES = 20
"""Most operations in a report, the newest ones."""
LOOKED_AT = 1000
"""Most deliveries of a run whose failure before it is looked at."""


def entries_of_run(run: Run, *, actions: Collection[str], until: datetime) -> list[AuditEntry]:
    """Return what people did to the run until then, oldest first.

    An endpoint has at most one active run, so what was done to a run of the endpoint between this one's start and the
    next one's was done to this run.
    """
    next_start = Run.objects.filter(endpoint=run.endpoint_id, pk__gt=run.pk).order_by("pk").values_list("created_at")
    bound = next_start.first()
    entries = AuditEntry.objects.filter(endpoint=run.endpoint_id, action__in=actions, at__gte=run.created_at)
    return list(entries.filter(at__lt=until if bound is None else bound[0]).order_by("-at", "-id")[:MOST_ENTRIES])[::-1]


def entries_of_delivery(delivery: Delivery) -> list[AuditEntry]:
    """Return the newest operations on the delivery, oldest first."""
    of_it = AuditEntry.objects.filter(delivery_id=delivery.opentrain_id, endpoint=delivery.endpoint_id)
    return list(of_it.operations().newest_first()[:MOST_ENTRIES])[::-1]


def entries_of_endpoint(endpoint: Endpoint, *, without: Collection[str]) -> list[AuditEntry]:
    """Return the newest operations on the endpoint, oldest first; `without` are actions that are left out."""
    of_it = AuditEntry.objects.filter(endpoint=endpoint.pk).operations().exclude(action__in=without)
    return list(of_it.newest_first()[:MOST_ENTRIES])[::-1]


def failed_before(run: Run) -> tuple[Counter[tuple[str, int]], int, bool]:
    """Return how the last attempt before the run ended, with the number of its deliveries, and how many have none.

    An ending is a cause and the status of the handler, or the receiver's if the handler returned none. Of a run with
    more than LOOKED_AT deliveries, the first ones are looked at; the last value says whether it has more.
    """
    chosen = run.items.exclude(state=RunItem.State.LEFT_OUT).filter(delivery__isnull=False)
    ids = list(chosen.order_by("position").values_list("delivery", flat=True)[: LOOKED_AT + 1])
    has_more, ids = len(ids) > LOOKED_AT, ids[:LOOKED_AT]
    before = Attempt.objects.filter(delivery__in=ids, received_at__lt=run.created_at)
    newest = before.order_by("delivery", "-received_at", "-number").distinct("delivery")
    endings = newest.values_list("cause", "handler_status", "answered_status")
    found = Counter((cause, handler or answered) for cause, handler, answered in endings)
    return found, len(ids) - found.total(), has_more
