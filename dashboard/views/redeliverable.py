"""The link above a list of deliveries to what of it can be redelivered.

The list does not wait for it: telling takes about as long as the list itself.
"""

from datetime import datetime

from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import delivery_filters
from dashboard.forms.delivery_filters import Filter
from dashboard.models import Endpoint, Install
from dashboard.presenters.delivery_list_page import again, redeliver_address
from dashboard.presenters.live import live
from dashboard.presenters.redeliverable import NOT_COUNTED, Redeliverable, can_send_again, not_counted, redeliverable
from dashboard.queries.delivery_lists import page as newest
from dashboard.views import delivery_lists
from dashboard.views.delivery_lists import PAGE, Place, everything, of_endpoint, of_install

MOST = 500
"""Most deliveries of which the link tells how many can be redelivered: later events of each are read for it."""


@require_safe
@allowed(Permission.OPERATE)
def index(request: MemberRequest) -> HttpResponseBase:
    return _link(request, everything(request))


@require_safe
@allowed(Permission.OPERATE, of=Install)
def install(request: MemberRequest, pk: int) -> HttpResponseBase:
    return _link(request, of_install(request.user, pk))


@require_safe
@allowed(Permission.OPERATE, of=Endpoint)
def endpoint(request: MemberRequest, pk: int) -> HttpResponseBase:
    return _link(request, of_endpoint(request.user, pk))


def _link(request: MemberRequest, place: Place) -> HttpResponseBase:
    now = timezone.now()
    filters = delivery_filters.parse(params=request.GET.dict(), now=now)
    url = redeliver_address(place.url("-redeliver"), filters)
    link = None
    if url:
        link = again(_redeliverable(place, filters, now), url=url, names_endpoint=place.endpoint is None)
    return live(request, template="deliveries/_redeliverable.html", context={"again": link})


def _redeliverable(place: Place, filters: Filter, now: datetime) -> Redeliverable:
    try:
        with at_most(ms=delivery_lists.COUNT_MS):
            found = redeliverable(scope=place.scope, criteria=filters.criteria, most=MOST, now=now)
            if found == Redeliverable() and filters.used:
                page = newest(scope=place.scope, criteria=filters.criteria, now=now, limit=PAGE)
                return Redeliverable(delivered=can_send_again(page.only("endpoint", "last_ok", "requested_at")))
    except TooSlow:
        found = NOT_COUNTED
    return not_counted(place.endpoint) if found == NOT_COUNTED else found
