"""What a delivery's page offers, and what its attempts' answers mean for OpenTrain."""

import uuid
from dataclasses import dataclass

from dashboard.auth.permissions import Permission, may
from dashboard.models import Attempt, Delivery, User
from dashboard.models.endpoints import DISABLED
from dashboard.presenters import controls
from dashboard.presenters.controls import Control
from dashboard.rules.deliveries import DeliveryState, StateKind

_GOES_ON = {StateKind.DELIVERED, StateKind.REQUESTED_AGAIN, StateKind.RETRYING}
"""States in which sending it again is not what helps first."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The buttons. `is_stopped` says that nothing is attempted before the endpoint is re-enabled, and `asks` that the
    reader is told whom to ask."""

    controls: tuple[Control, ...] = ()
    is_stopped: bool = False
    asks: bool = False


def offer(delivery: Delivery, *, state: DeliveryState, operation: uuid.UUID, user: User) -> Offer:
    """Decide what this person may do with the delivery; `operation` is the name of sending it again."""
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
    """Say what the handler answered, after its name, and what OpenTrain was told."""
    if attempt.handler_status is None:
        return f"gave no answer; OpenTrain was answered {attempt.answered_status}."
    if attempt.handler_status == attempt.answered_status:
        return f"answered {attempt.handler_status}, and OpenTrain got the same."
    return f"answered {attempt.handler_status}; OpenTrain was answered {attempt.answered_status}."
