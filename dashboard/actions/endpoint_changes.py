"""Changes to a webhook endpoint: its address, its event types, pausing and deleting it.

`clock` is read after OpenTrain responds, because a call takes a while.
"""

import uuid
from collections.abc import Callable
from datetime import datetime

from dashboard.actions.deliveries.record import abandon_undelivered
from dashboard.actions.installs.sync import hold, record_endpoint, tally
from dashboard.actions.operation import Operation, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Endpoint, User
from dashboard.models.endpoints import DISABLED
from dashboard.services import opentrain

DELETE = "delete endpoint"
"""Name of this action in the audit."""


def change(
    *,
    actor: User,
    endpoint: Endpoint,
    address: str,
    event_types: list[str],
    clock: Callable[[], datetime],
    operation: uuid.UUID,
) -> Outcome:
    """Change the address or the event types. Only what differs is sent to OpenTrain.

    `address` is the handler's URL if the endpoint uses our receiver; it is stored only here and may be empty. Otherwise
    `address` is the endpoint's own URL. If OpenTrain rejects the change, nothing changes.
    """
    words = _changes(endpoint=endpoint, address=address, event_types=event_types)
    url = None if endpoint.is_received or address == endpoint.url else address
    wanted = None if set(event_types) == set(endpoint.event_types) else event_types

    def call() -> opentrain.WebhookEndpoint | None:
        if url is None and wanted is None:
            return None
        return opentrain.update_endpoint(
            token=endpoint.install.token, endpoint_id=endpoint.opentrain_id or "", url=url, event_types=wanted
        )

    def record(answer: opentrain.WebhookEndpoint | None) -> Outcome:
        if answer is not None:
            record_endpoint(install=endpoint.install, remote=answer, at=clock())
        if endpoint.is_received:
            Endpoint.objects.filter(pk=endpoint.pk).update(handler_url=address)
        endpoint.refresh_from_db()
        return Outcome(kind=OutcomeKind.DONE, words=words)

    return perform(operation=_on(endpoint, actor, "edit endpoint", operation), call=call, record=record)


def pause(*, actor: User, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Set the endpoint to DISABLED: OpenTrain attempts no deliveries until it is re-enabled.

    Source: partner-api, "Operations".
    """

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        record_endpoint(install=endpoint.install, remote=answer, at=clock())
        endpoint.refresh_from_db()
        words = "Paused. OpenTrain attempts no deliveries until the endpoint is re-enabled."
        return Outcome(kind=OutcomeKind.DONE, words=words, offer_enable=endpoint.status == DISABLED)

    return perform(
        operation=_on(endpoint, actor, "pause endpoint", operation),
        call=lambda: opentrain.update_endpoint(
            token=endpoint.install.token, endpoint_id=endpoint.opentrain_id or "", status=DISABLED
        ),
        record=record,
    )


def delete(*, actor: User, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Delete the endpoint at OpenTrain. Its row and its log stay, so people can still read them.

    An endpoint that OpenTrain no longer has counts as deleted; the outcome says so.
    """

    def call() -> opentrain.DeletedEndpoint | None:
        try:
            return opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id or "")
        except opentrain.NotFound:
            return None

    def record(answer: opentrain.DeletedEndpoint | None) -> Outcome:
        at = clock()
        hold(install_id=endpoint.install_id)
        if answer is not None:
            record_endpoint(install=endpoint.install, remote=answer.endpoint, at=at)
        # Set snapshot_at too: a list requested before the deletion must not restore the endpoint.
        Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=at, snapshot_at=at)
        abandon_undelivered(endpoint=endpoint, at=at)
        tally(install_id=endpoint.install_id)
        endpoint.refresh_from_db()
        words = "Deleted. OpenTrain no longer sends to this endpoint. Its delivery log stays available."
        if answer is None:
            words = "OpenTrain no longer had this endpoint: it was deleted elsewhere. Its delivery log stays available."
        return Outcome(kind=OutcomeKind.DONE, words=words)

    return perform(operation=_on(endpoint, actor, DELETE, operation), call=call, record=record)


def _changes(*, endpoint: Endpoint, address: str, event_types: list[str]) -> str:
    """Return the differences as a sentence, for the outcome and for the audit."""
    said = []
    before = endpoint.handler_url if endpoint.is_received else endpoint.url
    if address != before:
        what = "the handler" if endpoint.is_received else "the address"
        said.append(f"{what} is now {address or 'not set'} (it was {before or 'not set'})")
    added = sorted(set(event_types) - set(endpoint.event_types))
    removed = sorted(set(endpoint.event_types) - set(event_types))
    said += [f"added {', '.join(added)}"] if added else []
    said += [f"removed {', '.join(removed)}"] if removed else []
    return f"Changed: {'; '.join(said)}." if said else "Nothing changed."


def _on(endpoint: Endpoint, actor: User, action: str, operation: uuid.UUID) -> Operation:
    return Operation(actor=actor, action=action, install=endpoint.install, endpoint=endpoint, id=operation)
