"""The answers that operations have had, from the audit."""

from datetime import datetime, timedelta

from django.db.models import OuterRef, Q, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from dashboard.models import AuditEntry, Endpoint
from dashboard.models.audit import NEWEST_FIRST

GIVEN_UP = timedelta(minutes=1)
"""An operation without an answer for so long has none to come; OpenTrain is given 15 s."""


def last_answers(*, endpoint_ids: list[int], now: datetime) -> dict[int, int]:
    """Return each endpoint's newest audit row that is an answer, or a request that will have none any more; or 0."""
    endpoints = Endpoint.objects.filter(pk__in=endpoint_ids).order_by()
    return dict(endpoints.annotate(last=last_answer_of(OuterRef("pk"), now=now)).values_list("pk", "last"))


def last_answer_of(endpoint_id: OuterRef, *, now: datetime) -> Combinable:
    """Return the same of one endpoint as a part of another query.

    One read of an index, however long the audit is.
    """
    settled = ~Q(phase=AuditEntry.Phase.REQUESTED) | Q(at__lt=now - GIVEN_UP)
    newest_first = AuditEntry.objects.filter(settled, endpoint=endpoint_id).order_by(NEWEST_FIRST)
    return Coalesce(Subquery(newest_first.values("id")[:1]), 0)
