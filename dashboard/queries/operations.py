"""The latest answers of operations, from the audit."""

from datetime import datetime, timedelta

from django.db.models import OuterRef, Q, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from dashboard.models import AuditEntry, Endpoint
from dashboard.models.audit import NEWEST_FIRST

GIVEN_UP = timedelta(minutes=1)
"""After this time an operation without an answer will get none: a call to OpenTrain takes 15 s at most."""


def last_answers(*, endpoint_ids: list[int], now: datetime) -> dict[int, int]:
    """Return the ID of each endpoint's newest audit entry that is an answer or a given-up request; 0 without one."""
    endpoints = Endpoint.objects.filter(pk__in=endpoint_ids).order_by()
    return dict(endpoints.annotate(last=last_answer_of(OuterRef("pk"), now=now)).values_list("pk", "last"))


def last_answer_of(endpoint_id: OuterRef, *, now: datetime) -> Combinable:
    """Return the same for one endpoint, as an expression for another query.

    It costs one index look-up, regardless of the audit's length.
    """
    settled = ~Q(phase=AuditEntry.Phase.REQUESTED) | Q(at__lt=now - GIVEN_UP)
    newest_first = AuditEntry.objects.filter(settled, endpoint=endpoint_id).order_by(NEWEST_FIRST)
    return Coalesce(Subquery(newest_first.values("id")[:1]), 0)
