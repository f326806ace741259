"""Controls of a delivery's page, and the results of its attempts in words."""

import uuid
from dataclasses import dataclass

from dashboard.auth.permissions import Permission, may
from dashboard.models import Attempt, Delivery, User
from dashboard.models.endpoints import DISABLED
from dashboard.presenters import controls
from dashboard.presenters.controls import Control
from dashboard.rules.deliveries import DeliveryState, StateKind

_GOES_ON = {StateKind.DELIVERED, StateKind.REQUESTED_AGAIN, StateKind.RETRYING}
"""States in which redelivery is not the primary control."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The buttons. `is_stopped`: deliveries are stopped until the endpoint is re-enabled. `asks`: the page says whom to
    ask."""

    controls: tuple[Control, ...] = ()
    is_stopped: bool = False
    asks: bool = False


def offer(delivery: Delivery, *, state: DeliveryState, operation: uuid.UUID, user: User) -> Offer:
    """Decide what this user can do with the delivery; `operation` is the ID of a redelivery."""
    endpoint = delivery.endpoint
    if endpoint.deleted_at:
        return Offer()
    if not may(user, Permission.OPERATE):
        return Offer(asks=state.kind is StateKind.FAILED)
    if not endpoint.opentrain_id:
        return Offer()
    again = controls.redeliver_one(delivery.pk, operation)
    if endpoint.status == DISABLED and state.kind is not StateKind.DELIVERED:
        return Offer((controls.recover(endpoint.pk), again), is_stopped=True)
    return Offer((again.first(state.kind not in _GOES_ON),))


def handler_words(attempt: Attempt) -> str:
    """Return what the handler returned and what OpenTrain got, for use after the handler's name."""
    if attempt.handler_status is None:
        return f"gave no response; OpenTrain got {attempt.answered_status}."
    if attempt.handler_status == attempt.answered_status:
        return f"returned {attempt.handler_status}; OpenTrain got the same."
    return f"returned {attempt.handler_status}; OpenTrain got {attempt.answered_status}."
