"""What changes a webhook endpoint or ends it: other address, other event types, pause, delete.

`clock` is read when OpenTrain has answered, which takes a while.
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
"""The audit's name for it."""


def change(
    *,
    actor: User,
    endpoint: Endpoint,
    address: str,
    event_types: list[str],
    clock: Callable[[], datetime],
    operation: uuid.UUID,
) -> Outcome:
    """Have it deliver to another address or other event types. OpenTrain is told what differs, and only that.

    `address` is the handler's URL where our receiver stands before it: that is ours alone, and may be empty. Otherwise
    it is the endpoint's own URL. When OpenTrain refuses, nothing is changed.
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
    """Set the endpoint DISABLED: nothing is attempted until it is re-enabled. Source: partner-api, "Operations"."""

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        record_endpoint(install=endpoint.install, remote=answer, at=clock())
        endpoint.refresh_from_db()
        words = "Paused: OpenTrain attempts nothing on this endpoint until somebody re-enables it."
        return Outcome(kind=OutcomeKind.DONE, words=words, offer_enable=endpoint.status == DISABLED)

    return perform(
        operation=_on(endpoint, actor, "pause endpoint", operation),
        call=lambda: opentrain.update_endpoint(
            token=endpoint.install.token, endpoint_id=endpoint.opentrain_id or "", status=DISABLED
        ),
        record=record,
    )


def delete(*, actor: User, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Have OpenTrain delete the endpoint. Its row and its log stay, so that they can still be read.

    One that OpenTrain no longer has is what was wanted: that is no failure, and said.
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
        # The time of the snapshot too: a list that was asked for before must not bring the endpoint back.
        Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=at, snapshot_at=at)
        abandon_undelivered(endpoint=endpoint, at=at)
        tally(install_id=endpoint.install_id)
        endpoint.refresh_from_db()
        words = "Deleted: OpenTrain sends nothing to this endpoint any more. What reached it stays readable here."
        if answer is None:
            words = (
                "OpenTrain did not have this endpoint any more: it was deleted elsewhere. Its log stays readable here."
            )
        return Outcome(kind=OutcomeKind.DONE, words=words)

    return perform(operation=_on(endpoint, actor, DELETE, operation), call=call, record=record)


def _changes(*, endpoint: Endpoint, address: str, event_types: list[str]) -> str:
    """Say what becomes different, for whoever asked and for whoever reads the activity later."""
    said = []
    before = endpoint.handler_url if endpoint.is_received else endpoint.url
    if address != before:
        what = "the handler" if endpoint.is_received else "the address"
        said.append(f"{what} is now {address or 'not set'} (it was {before or 'not set'})")
    added = sorted(set(event_types) - set(endpoint.event_types))
    removed = sorted(set(endpoint.event_types) - set(event_types))
    said += [f"added {', '.join(added)}"] if added else []
    said += [f"removed {', '.join(removed)}"] if removed else []
    return f"Changed: {'; '.join(said)}." if said else "Nothing was different, so nothing was changed."


def _on(endpoint: Endpoint, actor: User, action: str, operation: uuid.UUID) -> Operation:
    return Operation(actor=actor, action=action, install=endpoint.install, endpoint=endpoint, id=operation)
