"""The list of an install's endpoints: a page of it, worst first. Its cost is one pass over the install's rows."""

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Exists, OuterRef, Q

from dashboard.models.deliveries import Delivery
from dashboard.models.endpoints import EndpointQuerySet, without_secrets
from dashboard.models.installs import Install
from dashboard.rules.endpoints import Severity
from dashboard.rules.pasted import searched_ids
from dashboard.rules.receiver_urls import whole_key


class Show(StrEnum):
    """The endpoints to list. A value is part of addresses, so never rename one."""

    ALL = ""
    NEED = "need"
    FAILED = "failed"
    PAUSED = "paused"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class EndpointCriteria:
    """`text` is a part of the name, of the URL or of the handler's, or a complete ID; empty means any."""

    text: str = ""
    show: Show = Show.ALL


@dataclass(frozen=True, slots=True)
class EndpointPage:
    """A page of endpoints by primary key, its number, from 1, and the number of all endpoints that match."""

    ids: tuple[int, ...]
    number: int
    matching: int


_HAS_FAILED = Exists(Delivery.objects.filter(endpoint=OuterRef("pk")).failed())
_SHOWN = {
    Show.NEED: Q(severity__lt=Severity.PAUSED),
    Show.FAILED: Q(_HAS_FAILED),
    Show.PAUSED: Q(severity=Severity.PAUSED),
    Show.ACTIVE: Q(severity=Severity.ACTIVE),
}


def page(*, install: Install, criteria: EndpointCriteria, number: int, size: int) -> EndpointPage:
    """Return the requested page of the install's registered endpoints, or the last one if it is beyond the end.

    Of equally bad endpoints, those with failed deliveries come first, then the newest.
    """
    rows = _matching(install, criteria)
    # The install's own total is stored with it.
    matching = install.endpoint_count if criteria == EndpointCriteria() else rows.count()
    number = min(number, max(-(-matching // size), 1))
    ordered = rows.order_by("severity", _HAS_FAILED.desc(), "-created_at", "-pk").values_list("pk", flat=True)
    return EndpointPage(tuple(ordered[(number - 1) * size : number * size]), number, matching)


def _matching(install: Install, criteria: EndpointCriteria) -> EndpointQuerySet:
    rows: EndpointQuerySet = install.endpoints.registered()
    if criteria.show is not Show.ALL:
        rows = rows.filter(_SHOWN[criteria.show])
    if criteria.text:
        text = criteria.text
        rows = rows.alias(address=without_secrets("url"), handler=without_secrets("handler_url"))
        named = Q(name__icontains=text) | Q(url=text) | Q(handler_url=text)
        # The URL as it is comes first: taking the secrets out takes far longer, and few have the text at all.
        named |= Q(url__icontains=text) & Q(address__icontains=text)
        named |= Q(handler_url__icontains=text) & Q(handler__icontains=text)
        if key := whole_key(text):
            named |= Q(url__contains=key)
        rows = rows.filter(named | Q(opentrain_id__in=searched_ids(text)))
    return rows
