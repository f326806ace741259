"""Controls of a delivery's page, and the results of its attempts in words."""

import uuid
from dataclasses import dataclass

from dashboard.auth.permissions import Permission, may
from dashboard.models import Attempt, Delivery, User
from dashboard.models.endpoints import DISABLED
from dashboard.presenters import controls
from dashboard.presenters.controls import Control
from dashboard.rules.causes import body_fault_words, describe_cause
from dashboard.rules.deliveries import DeliveryState, StateKind

_GOES_ON = {StateKind.DELIVERED, StateKind.REQUESTED_AGAIN, StateKind.RETRYING}
"""States in which redelivery is not the primary control."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The buttons. `is_stopped`: deliveries are stopped until the endpoint is re-enabled. `asks`: the page says whom to
    ask. `overtaken`: why a redelivery may undo what a later event did."""

    controls: tuple[Control, ...] = ()
    is_stopped: bool = False
    asks: bool = False
    overtaken: str = ""


def offer(delivery: Delivery, *, state: DeliveryState, operation: uuid.UUID, user: User, overtaken: str = "") -> Offer:
    """Decide what this user can do with the delivery; `operation` is the ID of a redelivery.

    `overtaken` says what has overtaken the delivery; then a page asks before it is redelivered.
    """
    endpoint = delivery.endpoint
    if endpoint.deleted_at or endpoint.install.is_disconnected:
        return Offer()
    if not may(user, Permission.OPERATE):
        return Offer(asks=state.kind is StateKind.FAILED, overtaken=overtaken)
    if not endpoint.opentrain_id:
        return Offer()
    is_stopped = endpoint.status == DISABLED and state.kind is not StateKind.DELIVERED
    again = controls.redeliver_one(delivery.pk, operation).first(not is_stopped and state.kind not in _GOES_ON)
    one: Control = controls.redeliver_anyway(delivery.pk) if overtaken else again
    return Offer((controls.recover(endpoint.pk), one) if is_stopped else (one,), is_stopped, overtaken=overtaken)


def handler_words(attempt: Attempt) -> str:
    """Return what the handler returned and what OpenTrain got, for use after the handler's name."""
    said = "gave no response" if attempt.handler_status is None else f"returned {attempt.handler_status}"
    fault = body_fault_words(attempt.body_fault)
    if fault:
        said = f"{said}, but {fault}"
    return f"{said}; {answered_words(attempt)}"


def answered_words(attempt: Attempt) -> str:
    """Return what the receiver answered, and whether OpenTrain got that in time, as far as is known."""
    same = attempt.handler_status == attempt.answered_status and not attempt.body_fault
    answer = "the same" if same else str(attempt.answered_status)
    if attempt.answered_in_time is None:
        return f"Redeliver answered {answer}. Whether OpenTrain got that in time is not known."
    if attempt.answered_in_time:
        return f"OpenTrain got {answer} in time."
    return f"Redeliver answered {answer}, but that did not reach OpenTrain in time."


def cause_words(attempt: Attempt) -> str:
    """Return how the attempt ended. What the handler returned counts only if OpenTrain got it."""
    return describe_cause(cause=attempt.cause, status=attempt.handler_status or attempt.answered_status)
