"""An install's endpoints that OpenTrain delivers directly, and whose deliveries nobody reports to Redeliver."""

from django.db.models import F, Value
from django.db.models.functions import Concat

from dashboard.models import Endpoint, Install
from dashboard.models.endpoints import EndpointQuerySet
from dashboard.rules.receiver_urls import HOOKS


def unseen(*, install: Install) -> EndpointQuerySet:
    """Return endpoints of the install, oldest first, whose URL is no address of the receiver, as far as SQL can tell.

    It compares the end of the URL with the endpoint's own key. `Endpoint.reaches_receiver` is exact. Endpoints whose
    handlers report deliveries are not among them.
    """
    rows = Endpoint.objects.registered().filter(install=install, observation_key_sha256__isnull=True)
    rows = rows.defer("secret").order_by("pk")
    received = Concat(Value(HOOKS), F("receiver_key"))
    return rows.exclude(receiver_key__isnull=False, url__contains=received)
