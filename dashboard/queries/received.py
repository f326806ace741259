"""Which endpoints of an install Redeliver's receiver takes deliveries of, or may soon."""

from django.db.models import Q

from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install
from dashboard.rules.receiver_urls import HOOKS


def received(*, install: Install) -> list[Endpoint]:
    """Return the install's endpoints that deliver to an address of the receiver, oldest first.

    Also those that are being registered there, and those that OpenTrain was asked to deliver there without a clear
    answer: their deliveries may arrive.
    """
    rows = Endpoint.objects.filter(install=install, deleted_at=None).defer("secret").order_by("pk")
    maybe = rows.filter(Q(url__contains=HOOKS) | Q(routing_since__isnull=False))
    return [one for one in maybe if one.reaches_receiver or one.is_routing]
