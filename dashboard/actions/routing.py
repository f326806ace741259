"""Putting an endpoint that exists behind the receiver, and taking it out of the path again: a change of its URL.

The signing secret stays the same through every change. The receiver must know the key, the handler and the secret
before OpenTrain delivers there, so they are committed before the call. If OpenTrain refuses, they are taken back. If
its answer is lost, OpenTrain is asked what the URL is, and nothing is requested again. What is prepared then stays, and
OpenTrain's next list decides (`installs/snapshots.py`).
"""

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from django.db import transaction

from dashboard.actions import handler_checks
from dashboard.actions.installs.moves import BYPASS, ROUTE
from dashboard.actions.installs.snapshots import hold, record_change
from dashboard.actions.operation import Once, Operation, perform
from dashboard.actions.outcome import Outcome, OutcomeKind, outcome_as_read
from dashboard.models import Endpoint, User
from dashboard.models.endpoints import leads_to_a_receiver, new_receiver_key, receiver_url
from dashboard.rules.answers import Shape, Taken, read_changed
from dashboard.rules.opentrain_urls import HTTPS_ONLY, is_delivered_to
from dashboard.rules.preflight import Preflight, from_console, of_answer, of_failure
from dashboard.services import handler, opentrain
from dashboard.signatures import Verdict
from dashboard.vault import Secret

CHECKED_AT_ONCE = 8
"""Handlers that the console checks at the same time, where no receiver does."""
_PREPARED = ("receiver_key", "handler_url", "secret", "proof", "routing_since", "registering_since")
"""Columns that are set before OpenTrain is asked to deliver through Redeliver."""
UNSETTLED = (
    "OpenTrain still shows the earlier URL. It may carry the request out later: this page shows it then. Redeliver is "
    "prepared for both."
)


def route(
    *, actor: User, endpoint: Endpoint, secret: Secret | None, clock: Callable[[], datetime], operation: uuid.UUID
) -> Outcome:
    """Have OpenTrain deliver to the receiver, which forwards to the URL of today.

    `secret` is the endpoint's signing secret. Without one, and without a stored one, deliveries are passed on
    unverified. With a new one, they are too until the first one verifies. A stored one that a delivery has proven is
    kept: an endpoint's secret never changes.
    """
    why_not = why_not_routed(endpoint)
    if why_not:
        return Outcome(kind=OutcomeKind.REFUSED, words=f"Nothing changed. {why_not}", unrequested=True)
    prepared: list[dict[str, Any]] = []

    def call() -> opentrain.WebhookEndpoint:
        prepared.append(_prepare(endpoint, secret=secret, at=clock()))
        try:
            return _ask_for_url(endpoint, url=_receiver_url(endpoint))
        except opentrain.OutcomeUnknown:
            raise
        except Exception:
            _take_back(endpoint, prepared[-1])
            raise

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        at, before, ours = clock(), endpoint.url, _receiver_url(endpoint)
        reading = read_changed(asked=Shape(ours, None), before=Shape(before, None), answered=Shape(answer.url, None))
        record_change(endpoint=endpoint, answer=answer, at=at)
        if reading.taken is not Taken.YES:
            if answer.url == before:
                _take_back(endpoint, prepared[-1])
            endpoint.refresh_from_db()
            return outcome_as_read(reading)
        _in_path(endpoint, routed_at=at, routing_since=None, bypassed_at=None)
        return Outcome(kind=OutcomeKind.DONE, words=_routed_words(endpoint))

    return perform(
        operation=_on(endpoint, actor, ROUTE, operation),
        call=call,
        record=record,
        once=Once(clock(), already=lambda: _already_routed(endpoint)),
    )


def bypass(*, actor: User | None, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Have OpenTrain deliver to the handler itself. The log stays, and retries and redeliveries go to the handler.

    Without an actor, an operator does it from the command line.
    """
    why_not = why_not_bypassed(endpoint)
    if why_not:
        return Outcome(kind=OutcomeKind.REFUSED, words=f"Nothing changed. {why_not}", unrequested=True)
    asked_for = endpoint.handler_url

    def call() -> opentrain.WebhookEndpoint:
        Endpoint.objects.filter(pk=endpoint.pk).update(bypassed_at=clock())
        try:
            return _ask_for_url(endpoint, url=asked_for)
        except opentrain.OutcomeUnknown:
            raise
        except Exception:
            Endpoint.objects.filter(pk=endpoint.pk).update(bypassed_at=None)
            raise

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        at, before = clock(), endpoint.url
        asked = Shape(asked_for, None)
        reading = read_changed(asked=asked, before=Shape(before, None), answered=Shape(answer.url, None))
        record_change(endpoint=endpoint, answer=answer, at=at)
        if reading.taken is not Taken.YES:
            if answer.url == before:
                Endpoint.objects.filter(pk=endpoint.pk).update(bypassed_at=None)
            endpoint.refresh_from_db()
            return outcome_as_read(reading)
        _in_path(endpoint, bypassed_at=at, handler_url=answer.url)
        words = (
            f"OpenTrain delivers to {endpoint.shown_url} itself now. Retries and redeliveries go there too. "
            "The delivery log up to now stays."
        )
        return Outcome(kind=OutcomeKind.DONE, words=words)

    return perform(
        operation=_on(endpoint, actor, BYPASS, operation),
        call=call,
        record=record,
        once=Once(clock(), already=lambda: _already_bypassed(endpoint)),
    )


def why_not_routed(endpoint: Endpoint) -> str:
    """Return why the endpoint cannot be put behind the receiver; empty if it can."""
    if endpoint.deleted_at is not None or endpoint.opentrain_id is None:
        return "OpenTrain does not have this endpoint."
    if leads_to_a_receiver(url=endpoint.url):
        return "OpenTrain delivers this endpoint to an address of Redeliver's receiver already."
    if not endpoint.has_whole_url:
        return "Redeliver does not know the whole URL of this endpoint, so it could not forward its deliveries."
    return ""


def why_not_bypassed(endpoint: Endpoint) -> str:
    """Return why Redeliver cannot be taken out of the endpoint's path; empty if it can."""
    if endpoint.deleted_at is not None or endpoint.opentrain_id is None:
        return "OpenTrain does not have this endpoint."
    if not endpoint.is_received:
        return "OpenTrain does not deliver this endpoint to Redeliver's receiver."
    if not endpoint.handler_url:
        return "No handler is set, so OpenTrain would have no address to deliver to. Set the handler's URL first."
    if not is_delivered_to(endpoint.handler_url):
        return f"{HTTPS_ONLY} The handler's URL is {endpoint.shown_handler_url}."
    return ""


def preflights(endpoints: Sequence[Endpoint]) -> list[Preflight]:
    """Check the URLs of today by one HEAD request each: address, TLS, and whether the handler responds.

    A receiver makes it, or else the console, and the words say which.
    """
    found = handler_checks.ask(endpoints)
    left = [one for one in endpoints if one.pk not in found]
    with ThreadPoolExecutor(CHECKED_AT_ONCE) as pool:  # no check touches the database
        found |= zip([one.pk for one in left], pool.map(_check_from_console, left), strict=True)
    return [found[one.pk] for one in endpoints]


def _check_from_console(endpoint: Endpoint) -> Preflight:
    try:
        answer = handler.probe(url=endpoint.url, deadline_s=handler_checks.CHECK_S)
    except handler.HandlerFailed as failed:
        return from_console(of_failure(cause=failed.cause, words=failed.words))
    return from_console(of_answer(status=answer.status, latency_ms=answer.latency_ms))


def _ask_for_url(endpoint: Endpoint, *, url: str) -> opentrain.WebhookEndpoint:
    """Ask OpenTrain to change the URL. If its answer is lost, ask what the URL is instead of asking again.

    Raises: opentrain.OpenTrainError, opentrain.OutcomeUnknown if that does not show the new URL either.
    """
    token, endpoint_id = endpoint.install.token, endpoint.opentrain_id or ""
    try:
        return opentrain.update_endpoint(token=token, endpoint_id=endpoint_id, url=url)
    except opentrain.OutcomeUnknown as unknown:
        try:
            found = opentrain.get_endpoint(token=token, endpoint_id=endpoint_id)
        except opentrain.OpenTrainError:
            raise unknown from None
        if found.url == url:
            return found
        words = f"{unknown} {UNSETTLED}"
        raise opentrain.OutcomeUnknown(words, status=unknown.status, request_id=unknown.request_id) from None


def _prepare(endpoint: Endpoint, *, secret: Secret | None, at: datetime) -> dict[str, Any]:
    """Commit what the receiver needs before the first delivery; return the columns as they were."""
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        row = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        before = {column: getattr(row, column) for column in _PREPARED}
        if secret is not None and not _is_proven(row):
            row.secret, row.proof = secret, Endpoint.Proof.WAITING
        elif row.secret is None:
            row.proof = Endpoint.Proof.NONE
        row.receiver_key = row.receiver_key or new_receiver_key()
        row.handler_url, row.routing_since, row.registering_since = row.url, at, None
        row.save(update_fields=_PREPARED)
    for column in _PREPARED:
        setattr(endpoint, column, getattr(row, column))
    return before


def _is_proven(row: Endpoint) -> bool:
    """Return whether a delivery has verified with the stored secret, which then is the right one for good."""
    if row.secret is None or row.proof != Endpoint.Proof.PROVEN:
        return False
    return row.deliveries.filter(last_signature=Verdict.VERIFIED).exists()


def _take_back(endpoint: Endpoint, before: dict[str, Any]) -> None:
    """Undo what was prepared, unless OpenTrain delivers to the receiver by now."""
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        row = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if not row.is_received:
            Endpoint.objects.filter(pk=endpoint.pk).update(**before)
    endpoint.refresh_from_db()


def _in_path(endpoint: Endpoint, **columns: Any) -> None:  # noqa: ANN401 - values of columns
    """Store how the endpoint is delivered now. Someone in Redeliver decided it, so no change elsewhere is told."""
    Endpoint.objects.filter(pk=endpoint.pk).update(url_changed_at=None, url_before="", **columns)
    endpoint.refresh_from_db()


def _receiver_url(endpoint: Endpoint) -> str:
    return receiver_url(receiver_key=str(endpoint.receiver_key))


def _routed_words(endpoint: Endpoint) -> str:
    begins = f"OpenTrain delivers to Redeliver now, which forwards to {endpoint.shown_handler_url}."
    return f"{begins} {_SECRET_WORDS[Endpoint.Proof(endpoint.proof)]}"


_SECRET_WORDS = {
    Endpoint.Proof.PROVEN: "Redeliver knows its signing secret from before.",
    Endpoint.Proof.WAITING: "The first delivery shows whether the signing secret is right.",
    Endpoint.Proof.NONE: "Without its signing secret, Redeliver passes deliveries on unverified.",
}


def _already_routed(endpoint: Endpoint) -> str:
    endpoint.refresh_from_db()
    return "Nothing changed: OpenTrain delivers to Redeliver's receiver." if endpoint.is_received else ""


def _already_bypassed(endpoint: Endpoint) -> str:
    endpoint.refresh_from_db()
    if endpoint.is_received:
        return ""
    return f"Nothing changed: OpenTrain delivers to {endpoint.shown_url}, and not to Redeliver's receiver."


def _on(endpoint: Endpoint, actor: User | None, action: str, operation: uuid.UUID) -> Operation:
    return Operation(actor=actor, action=action, install=endpoint.install, endpoint=endpoint, id=operation)
