"""The API's changes of endpoints, each in one transaction.

The endpoint's row is locked before its deliveries' rows, here and in `record_outcomes`, so that two writers never
deadlock. The lock allows key-share locks, so inserting rows that refer to the endpoint does not wait for it.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, QuerySet

from dashboard.partner_api import policy, vault
from dashboard.partner_api.errors import NotFound
from dashboard.partner_api.models import Attempt, Delivery, Endpoint

_ENDPOINT_ID = re.compile(r"whe_[0-9a-f]{32}")
_DELIVERY_ID = re.compile(r"dlv_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A new endpoint and its secret, which is shown only once."""

    endpoint: Endpoint
    secret: str

    def __repr__(self) -> str:
        return f"Registered(endpoint={self.endpoint.pk!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The changes of a PATCH; None leaves a field unchanged."""

    url: str | None = None
    event_types: Sequence[str] | None = None
    status: str | None = None


def register(*, install_id: str, url: str, event_types: Sequence[str], now: datetime) -> Registered:
    """Register an endpoint. It gets events from now on; earlier ones are not backfilled."""
    secret = f"whsec_{secrets.token_urlsafe(32)}"
    endpoint = Endpoint.objects.create(
        install_id=install_id,
        url=url,
        event_types=list(event_types),
        secret_sealed=vault.seal(secret),
        created_at=now,
    )
    return Registered(endpoint=endpoint, secret=secret)


def newest_first(*, install_id: str) -> list[Endpoint]:
    return list(Endpoint.objects.filter(install_id=install_id).order_by("-created_at", "-id"))


def get(*, install_id: str, endpoint_id: str) -> Endpoint:
    """Return an endpoint of the install.

    Raises: NotFound if the ID does not exist or belongs to another install.
    """
    return _find(Endpoint.objects.all(), install_id=install_id, endpoint_id=endpoint_id)


@transaction.atomic
def change(*, install_id: str, endpoint_id: str, changes: Changes, now: datetime) -> Endpoint:
    """Apply a PATCH.

    ACTIVE resets consecutive failures to 0 even if the endpoint was already ACTIVE: the caller has fixed something.
    DISABLED on a disabled endpoint keeps its time and reason, which say more than "paused" would.

    Raises: NotFound.
    """
    endpoint = _lock(install_id=install_id, endpoint_id=endpoint_id)
    if changes.url is not None:
        endpoint.url = changes.url
    if changes.event_types is not None:
        endpoint.event_types = list(changes.event_types)
    if changes.status == Endpoint.Status.ACTIVE:
        endpoint.status, endpoint.consecutive_failures = Endpoint.Status.ACTIVE, 0
        endpoint.disabled_at = endpoint.disabled_reason = None
    elif changes.status == Endpoint.Status.DISABLED and endpoint.active:
        endpoint.status, endpoint.disabled_at = Endpoint.Status.DISABLED, now
        endpoint.disabled_reason = policy.PAUSED_REASON
    endpoint.save()
    return endpoint


@transaction.atomic
def delete(*, install_id: str, endpoint_id: str) -> Endpoint:
    """Delete the endpoint with its deliveries, even one in flight: its response then changes nothing.

    Returns the endpoint in its last state.

    Raises: NotFound.
    """
    endpoint = _lock(install_id=install_id, endpoint_id=endpoint_id)
    Attempt.objects.filter(delivery__endpoint=endpoint).delete()
    Endpoint.objects.filter(pk=endpoint.pk).delete()
    return endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """The number of requeued deliveries, and their endpoint."""

    endpoint: Endpoint
    count: int


@transaction.atomic
def redeliver(*, install_id: str, endpoint_id: str, delivery_id: str | None, now: datetime) -> Requeued:
    """Requeue one delivery in any status, or (None) every FAILED one. They are due at once, with all attempts again.

    Deliveries of a disabled endpoint are requeued too, and wait. A delivery in flight keeps its claim, so that it is
    not posted twice at the same time; its new round begins after its current attempt.

    Raises: NotFound if the endpoint or the delivery does not exist.
    """
    endpoint = _lock(install_id=install_id, endpoint_id=endpoint_id)
    deliveries = Delivery.objects.filter(endpoint=endpoint)
    if delivery_id is None:
        count = _requeue(deliveries.filter(status=Delivery.Status.FAILED), now=now)
    else:
        known = _DELIVERY_ID.fullmatch(delivery_id) is not None
        count = _requeue(deliveries.filter(pk=delivery_id), now=now) if known else 0
        if count == 0:
            raise NotFound("There is no such delivery on this endpoint.", details={"fields": {"deliveryId": "unknown"}})
    return Requeued(endpoint=endpoint, count=count)


def _requeue(deliveries: QuerySet[Delivery], *, now: datetime) -> int:
    return deliveries.update(status=Delivery.Status.PENDING, round=F("round") + 1, tries=0, next_attempt_at=now)


def _lock(*, install_id: str, endpoint_id: str) -> Endpoint:
    rows = Endpoint.objects.select_for_update(no_key=True)
    return _find(rows, install_id=install_id, endpoint_id=endpoint_id)


def _find(rows: QuerySet[Endpoint], *, install_id: str, endpoint_id: str) -> Endpoint:
    found = None
    if _ENDPOINT_ID.fullmatch(endpoint_id):  # malformed IDs (with a NUL byte, for example) never reach PostgreSQL
        found = rows.filter(pk=endpoint_id, install_id=install_id).first()
    if found is None:
        raise NotFound("There is no such webhook endpoint on this install.")
    return found
