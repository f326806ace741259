"""The buttons of a delivery's page."""

from typing import Any

import pytest

from dashboard.models import Attempt, Delivery
from dashboard.presenters.delivery_page import Offer, handler_words, offer
from dashboard.rules.deliveries import DeliveryState, StateKind
from tests.presenters.rows import NOW, OPERATION, SUPPORT, VIEWER, endpoint, labels

AGAIN = "Redeliver this delivery"


def offered(kind: StateKind, *, user: Any = SUPPORT, **fields: Any) -> Offer:
    delivery = Delivery(pk=3, endpoint=endpoint(**fields))
    return offer(delivery, state=DeliveryState(kind, ""), operation=OPERATION, user=user)


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        (StateKind.FAILED, "btn-primary"),
        (StateKind.OVERDUE, "btn-primary"),
        (StateKind.DELIVERED, ""),
        (StateKind.RETRYING, ""),
        (StateKind.REQUESTED_AGAIN, ""),
    ],
)
def test_sending_again_stands_out_where_it_is_what_helps(kind: StateKind, look: str) -> None:
    assert offered(kind) == Offer(offered(kind).controls)
    assert labels(offered(kind).controls) == [(AGAIN, look)]


def test_recovery_comes_first_where_nothing_is_attempted() -> None:
    found = offered(StateKind.FAILED, status="DISABLED")
    assert (labels(found.controls), found.is_stopped) == ([("Recover…", "btn-primary"), (AGAIN, "")], True)


def test_delivered_one_needs_no_recovery() -> None:
    assert not offered(StateKind.DELIVERED, status="DISABLED").is_stopped


@pytest.mark.parametrize(
    ("kind", "fields", "asks"),
    [
        (StateKind.FAILED, {}, True),
        (StateKind.FAILED, {"deleted_at": NOW}, False),
        (StateKind.RETRYING, {}, False),
    ],
)
def test_viewer_is_told_whom_to_ask_where_it_failed(kind: StateKind, fields: dict[str, Any], asks: bool) -> None:
    assert offered(kind, user=VIEWER, **fields) == Offer(asks=asks)


@pytest.mark.parametrize("fields", [{"deleted_at": NOW}, {"opentrain_id": None}])
def test_nothing_is_sent_again_to_an_endpoint_that_is_not_there(fields: dict[str, Any]) -> None:
    assert offered(StateKind.FAILED, **fields) == Offer()


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (200, "returned 200; OpenTrain got the same."),
        (500, "returned 500; OpenTrain got 200."),
        (None, "gave no response; OpenTrain got 200."),
    ],
)
def test_handler_and_what_opentrain_was_told(handler: int | None, words: str) -> None:
    assert handler_words(Attempt(handler_status=handler, answered_status=200)) == words
