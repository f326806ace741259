"""Changes to a webhook endpoint: its address, its event types, pausing and deleting it.

`clock` is read after OpenTrain responds, because a call takes a while.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from dashboard.actions import audit
from dashboard.actions.deliveries.record import abandon_undelivered
from dashboard.actions.endpoints import ENABLE, PAUSE
from dashboard.actions.installs.moves import EDIT, POINT_BACK
from dashboard.actions.installs.snapshots import hold, record_change, record_endpoint, remember, tally
from dashboard.actions.installs.titles import tell_apart
from dashboard.actions.operation import Once, Operation, last_done, perform
from dashboard.actions.outcome import Outcome, OutcomeKind, outcome_as_read
from dashboard.config.masking import masking
from dashboard.models import Endpoint, User
from dashboard.models.endpoints import DISABLED, receiver_url
from dashboard.rules.answers import Reading, Shape, Taken, read_changed, read_paused
from dashboard.rules.durations import clock as clock_words
from dashboard.services import opentrain

DELETE, KEEP_URL = "delete endpoint", "keep URL changed elsewhere"
"""Names of these actions in the audit."""


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
    `address` is the endpoint's own URL. If OpenTrain rejects the change, nothing changes. If its answer has another
    address or other event types than requested, the outcome says which.
    """

    def changes() -> str:
        return _changes(endpoint=endpoint, address=address, event_types=event_types)

    def asked() -> Shape:
        """Return what OpenTrain is asked to change."""
        url = None if endpoint.is_received or address == endpoint.url else address
        return Shape(url, None if set(event_types) == set(endpoint.event_types) else event_types)

    def already() -> str:
        endpoint.refresh_from_db(fields=["url", "handler_url", "event_types"])
        return "" if changes() else "Nothing changed."

    def call() -> opentrain.WebhookEndpoint | None:
        wanted = asked()
        if wanted == Shape(None, None):
            return None
        return opentrain.update_endpoint(
            token=endpoint.install.token,
            endpoint_id=endpoint.opentrain_id or "",
            url=wanted.url,
            event_types=None if wanted.event_types is None else list(wanted.event_types),
        )

    def record(answer: opentrain.WebhookEndpoint | None) -> Outcome:
        words, reading = changes(), _read(endpoint, asked(), answer)
        ours = _changes(endpoint=endpoint, address=address, event_types=endpoint.event_types)
        if answer is not None:
            record_change(endpoint=endpoint, answer=answer, at=clock())
        _set_handler(endpoint, address if answer is None or endpoint.is_received else answer.url)
        endpoint.refresh_from_db()
        if reading.taken is Taken.YES:
            return Outcome(kind=OutcomeKind.DONE, words=words)
        said = f"{ours} {reading.words}".strip() if endpoint.is_received else reading.words
        return outcome_as_read(replace(reading, words=said))

    once = Once(clock(), already=already)
    return perform(operation=_on(endpoint, actor, EDIT, operation), call=call, record=record, once=once)


def pause(*, actor: User, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Set the endpoint to DISABLED: OpenTrain attempts no deliveries until it is re-enabled.

    Source: partner-api, "Operations".
    """
    now = clock()

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        record_change(endpoint=endpoint, answer=answer, at=clock())
        endpoint.refresh_from_db()
        reading = read_paused(status=answer.status, consecutive_failures=answer.consecutive_failures)
        return outcome_as_read(reading, offer_enable=answer.status == DISABLED)

    return perform(
        operation=_on(endpoint, actor, PAUSE, operation),
        call=lambda: opentrain.update_endpoint(
            token=endpoint.install.token, endpoint_id=endpoint.opentrain_id or "", status=DISABLED
        ),
        record=record,
        once=Once(now, already=lambda: _already_paused(endpoint, now)),
    )


def delete(*, actor: User, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Delete the endpoint at OpenTrain. Its row and its log stay, so people can still read them.

    An endpoint that OpenTrain no longer has counts as deleted; the outcome says so.
    """
    now = clock()

    def call() -> opentrain.DeletedEndpoint | None:
        try:
            return opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id or "")
        except opentrain.NotFound:
            return None

    def record(answer: opentrain.DeletedEndpoint | None) -> Outcome:
        at = clock()
        hold(install_id=endpoint.install_id)
        remember(endpoint=endpoint, at=at)
        if answer is not None:
            record_endpoint(install=endpoint.install, remote=answer.endpoint, at=at)
        # Set snapshot_at too: a list requested before the deletion must not restore the endpoint.
        Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=at, snapshot_at=at)
        abandon_undelivered(endpoint=endpoint, at=at, learned_at=at)
        tally(install_id=endpoint.install_id)
        tell_apart(install_id=endpoint.install_id)
        endpoint.refresh_from_db()
        words = "Deleted. OpenTrain no longer sends to this endpoint. Its delivery log stays available."
        if answer is None:
            words = "OpenTrain no longer had this endpoint: it was deleted elsewhere. Its delivery log stays available."
        return Outcome(kind=OutcomeKind.DONE, words=words)

    once = Once(now, already=lambda: _already_deleted(endpoint, now))
    return perform(operation=_on(endpoint, actor, DELETE, operation), call=call, record=record, once=once)


def point_back(*, actor: User, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Point an endpoint whose URL was changed outside Redeliver back at its receiver URL.

    The signing secret stays the same through every move, so the receiver can verify at once.
    """
    ours = receiver_url(receiver_key=str(endpoint.receiver_key))

    def already() -> str:
        endpoint.refresh_from_db(fields=["url"])
        return "" if endpoint.is_moved else "Nothing changed: OpenTrain delivers to Redeliver's receiver."

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        before, reading = endpoint.url, _read(endpoint, Shape(ours, None), answer)
        record_change(endpoint=endpoint, answer=answer, at=clock())
        endpoint.refresh_from_db()
        if reading.taken is not Taken.YES:
            return outcome_as_read(reading)
        forwards = f", which forwards to {endpoint.shown_handler_url}" if endpoint.handler_url else ""
        words = f"OpenTrain delivers to Redeliver's receiver again{forwards}. It delivered to {before} before."
        return Outcome(kind=OutcomeKind.DONE, words=words)

    return perform(
        operation=_on(endpoint, actor, POINT_BACK, operation),
        call=lambda: opentrain.update_endpoint(
            token=endpoint.install.token,
            endpoint_id=endpoint.opentrain_id or "",
            url=ours,
        ),
        record=record,
        once=Once(clock(), already=already),
    )


def keep_url(*, actor: User, endpoint: Endpoint, changed_at: str, operation: uuid.UUID) -> None:
    """Take note that the URL is intended that someone gave the endpoint outside Redeliver.

    `changed_at` is the ISO time of the change that the person has seen. Nothing happens if there was another one since.

    Raises: NotedBefore, with nothing changed.
    """
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        row = Endpoint.objects.select_for_update(no_key=True).defer("secret").get(pk=endpoint.pk)
        if row.url_changed_at is None or row.url_changed_at.isoformat() != changed_at:
            return
        words = f"The URL that was set outside Redeliver is kept: {row.shown_url}. It was {row.url_before} before."
        audit.note(actor=actor, action=KEEP_URL, words=words, endpoint=row, operation=operation)
        Endpoint.objects.filter(pk=row.pk).update(url_changed_at=None, url_before="")


def _set_handler(endpoint: Endpoint, url: str) -> None:
    """Store the handler of an endpoint that was received before the change, or whose URL was its handler's."""
    if endpoint.is_received or endpoint.is_bypassed or endpoint.is_routing:
        hold(install_id=endpoint.install_id)
        Endpoint.objects.filter(pk=endpoint.pk).update(handler_url=url)
        tell_apart(install_id=endpoint.install_id)


def _already_paused(endpoint: Endpoint, now: datetime) -> str:
    """Say who paused the endpoint, if it is still DISABLED and nobody re-enabled it since, as far as is known."""
    known = Endpoint.objects.filter(pk=endpoint.pk, status=DISABLED).exists()
    last = last_done(endpoint=endpoint, actions=(ENABLE, PAUSE)) if known else None
    if last is None or last.action != PAUSE:
        return ""
    return f"Nothing changed: {last.actor_name} paused this endpoint at {clock_words(then=last.at, now=now)}."


def _already_deleted(endpoint: Endpoint, now: datetime) -> str:
    """Say who deleted the endpoint; empty if it is still listed, or if someone deleted it elsewhere."""
    known = Endpoint.objects.filter(pk=endpoint.pk, deleted_at__isnull=False).exists()
    last = last_done(endpoint=endpoint, actions=(DELETE,)) if known else None
    return (
        ""
        if last is None
        else f"Nothing changed: {last.actor_name} deleted this endpoint at {clock_words(then=last.at, now=now)}."
    )


def _read(endpoint: Endpoint, asked: Shape, answer: opentrain.WebhookEndpoint | None) -> Reading:
    """Read the answer to a change, before it is recorded. Without a call, everything is as requested."""
    before = Shape(endpoint.url, list(endpoint.event_types))
    answered = asked if answer is None else Shape(answer.url, answer.event_types)
    return read_changed(asked=asked, before=before, answered=answered)


def _changes(*, endpoint: Endpoint, address: str, event_types: list[str]) -> str:
    """Return the differences as a sentence, for the outcome and for the audit; empty if there is none."""
    said = []
    before = endpoint.handler_url if endpoint.is_received else endpoint.url
    if address != before:
        what = "the handler" if endpoint.is_received else "the address"
        now, then = (masking().url(one) or "not set" for one in (address, before))
        secret = ", with another secret" if now == then else ""
        said.append(f"{what} is now {now}{secret} (it was {then})")
    added = sorted(set(event_types) - set(endpoint.event_types))
    removed = sorted(set(endpoint.event_types) - set(event_types))
    said += [f"added {', '.join(added)}"] if added else []
    said += [f"removed {', '.join(removed)}"] if removed else []
    return f"Changed: {'; '.join(said)}." if said else ""


def _on(endpoint: Endpoint, actor: User, action: str, operation: uuid.UUID) -> Operation:
    return Operation(actor=actor, action=action, install=endpoint.install, endpoint=endpoint, id=operation)
