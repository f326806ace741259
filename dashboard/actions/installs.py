"""Connect an install by its token, and keep what OpenTrain says of it."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from dashboard.actions import deliveries
from dashboard.actions.operation import Operation, failed, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Endpoint, Grant, Install, Role, User
from dashboard.models.installs import MANAGE_SCOPE
from dashboard.services import opentrain
from dashboard.vault import Secret, Unreadable

AUTO_DISABLE_STREAK = 10
"""So many failures in a row disable an endpoint; with fewer it was paused. Source: partner-api, "Deliveries"."""


def connect(
    *, actor: User, token: Secret, name: str, now: datetime, operation: uuid.UUID
) -> tuple[Outcome, Install | None]:
    """Check a token against OpenTrain and keep it, encrypted, with what it opens.

    The token of an install that is already connected replaces the one we had. A partner admin who connects an
    install is granted it; one connected by somebody else stays out of their sight, but its new token is kept.
    """
    connected: list[Install] = []

    def record(remote: opentrain.Install) -> Outcome:
        install = _store(remote=remote, token=token, name=name, now=now)
        if actor.role == Role.PARTNER_ADMIN:
            Grant.objects.get_or_create(user=actor, install=install)
        connected.append(install)
        return Outcome(kind=OutcomeKind.DONE, words=_connected_words(install))

    outcome = perform(
        operation=Operation(actor=actor, action="connect install", id=operation),
        call=lambda: opentrain.get_install(token=token),
        record=record,
    )
    return outcome, (connected[0] if connected else None)


def refresh(*, install: Install, now: datetime) -> Outcome | None:
    """Ask OpenTrain for the install's endpoints and keep the snapshot.

    Returns None when the snapshot is fresh; otherwise why it is not, and everything recorded before stays as it was.
    """
    try:
        remote = opentrain.list_endpoints(token=install.token)
    except (opentrain.OpenTrainError, Unreadable) as error:
        outcome = failed(error)
        install.last_error, install.last_error_at = outcome.words, now
        install.save(update_fields=["last_error", "last_error_at"])
        return outcome
    with transaction.atomic():
        install.checked_at, install.last_error, install.last_error_at = now, "", None
        install.save(update_fields=["checked_at", "last_error", "last_error_at"])
        record_endpoints(install=install, remote=remote, at=now)
    return None


def record_endpoints(*, install: Install, remote: Sequence[opentrain.WebhookEndpoint], at: datetime) -> None:
    """Keep the whole list that OpenTrain gave: what is in it is a snapshot, what is no longer in it is deleted."""
    for snapshot in remote:
        record_endpoint(install=install, remote=snapshot, at=at)
    listed = [snapshot.id for snapshot in remote]
    gone = Endpoint.objects.filter(install=install).registered().exclude(opentrain_id__in=listed)
    # One that was registered or seen after the list was asked for is not missing from it.
    gone.filter(snapshot_at__lt=at).update(deleted_at=at)


def record_endpoint(*, install: Install, remote: opentrain.WebhookEndpoint, at: datetime) -> Endpoint:
    """Keep one snapshot, unless a newer one is there; an auto-disable also gives up what was still waiting.

    `at` is when a list was asked for, not when it came: a slow one must not undo what a call changed meanwhile. For the
    answer to such a call it is when it came.
    """
    with transaction.atomic():
        endpoint = _row(install=install, remote=remote)
        if endpoint.snapshot_at is not None and endpoint.snapshot_at > at:
            return endpoint
        endpoint.opentrain_id, endpoint.url = remote.id, remote.url
        endpoint.event_types = list(remote.event_types)
        endpoint.status = remote.status
        endpoint.created_at = remote.created_at
        endpoint.consecutive_failures = remote.consecutive_failures
        endpoint.disabled_at = remote.disabled_at
        endpoint.disabled_reason = remote.disabled_reason or ""
        endpoint.snapshot_at, endpoint.deleted_at = at, None
        endpoint.save()
        if remote.disabled_at is not None and remote.consecutive_failures >= AUTO_DISABLE_STREAK:
            deliveries.abandon_undelivered(endpoint=endpoint, at=remote.disabled_at)
    return endpoint


def _row(*, install: Install, remote: opentrain.WebhookEndpoint) -> Endpoint:
    """Return the endpoint's row, locked; not against its new deliveries, which only need it to be there.

    One that is still being registered is recognised by its URL, so that a list which is read between OpenTrain's
    making it and our hearing of it does not make a second row.
    """
    rows = Endpoint.objects.select_for_update(no_key=True).filter(install=install)
    known = rows.filter(opentrain_id=remote.id).first()
    if known is not None:
        return known
    pending = rows.filter(opentrain_id=None, url=remote.url).first()
    return pending or Endpoint(install=install, opentrain_id=remote.id)


def _store(*, remote: opentrain.Install, token: Secret, name: str, now: datetime) -> Install:
    known = {
        "organization_id": remote.organization_id,
        "app_id": remote.partner_app.id,
        "app_name": remote.partner_app.name,
        "status": remote.status,
        "scopes": list(remote.scopes),
        "pii_consent": remote.pii_consent,
        "created_at": remote.created_at,
        "token": token,
        "token_id": remote.token.id,
        "token_name": remote.token.name,
        "token_scopes": list(remote.token.scopes),
        "checked_at": now,
        "last_error": "",
        "last_error_at": None,
        **({"name": name} if name else {}),
    }
    first = {**known, "name": name or remote.organization_id}
    return Install.objects.update_or_create(opentrain_id=remote.id, defaults=known, create_defaults=first)[0]


def _connected_words(install: Install) -> str:
    words = f"{install.name} is connected."
    if not install.can_manage:
        words += (
            f" But this token lacks {MANAGE_SCOPE}, so its webhook endpoints can be neither seen nor repaired here. "
            "Ask the customer to reconnect with that scope, then paste the new token."
        )
    return words
