"""The buttons of a delivery's page, and its attempts in words."""

from typing import Any

import pytest

from dashboard.models import Attempt, Delivery
from dashboard.presenters.controls import redeliver_anyway
from dashboard.presenters.delivery_page import Offer, cause_words, handler_words, offer
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


UNKNOWN = "Whether OpenTrain got that in time is not known."


@pytest.mark.parametrize(
    ("handler", "in_time", "fault", "words"),
    [
        (200, True, "", "returned 200; OpenTrain got the same in time."),
        (200, False, "", "returned 200; Redeliver answered the same, but that did not reach OpenTrain in time."),
        (200, None, "", f"returned 200; Redeliver answered the same. {UNKNOWN}"),
        (500, True, "", "returned 500; OpenTrain got 200 in time."),
        (None, None, "", f"gave no response; Redeliver answered 200. {UNKNOWN}"),
        (200, True, "cut_off", "returned 200, but its body was cut off; OpenTrain got 200 in time."),
        (200, True, "timeout", "returned 200, but its body did not end in time; OpenTrain got 200 in time."),
        (200, True, "of a newer version", "returned 200; OpenTrain got 200 in time."),
    ],
)
def test_handler_and_what_opentrain_was_told(handler: int | None, in_time: bool | None, fault: str, words: str) -> None:
    attempt = Attempt(handler_status=handler, answered_status=200, answered_in_time=in_time, body_fault=fault)
    assert handler_words(attempt) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ok": True}, "delivered (200)"),
        ({"ok": True, "answered_in_time": True}, "delivered (200)"),
        ({"ok": False, "cause": "gone"}, "the answer did not reach OpenTrain in time"),
        ({"ok": False, "cause": "unkept"}, "Redeliver could not record it in time, and answered 503"),
        ({"ok": False, "cause": "status", "handler_status": 503}, "handler returned 503"),
    ],
)
def test_attempt_that_opentrain_got_no_answer_to_says_so_whatever_the_handler_returned(
    fields: dict[str, Any], words: str
) -> None:
    attempt = Attempt(**{"handler_status": 200, "answered_status": 200, **fields})
    assert cause_words(attempt) == words


@pytest.mark.parametrize(("status", "count"), [("ACTIVE", 1), ("DISABLED", 2)])
def test_overtaken_one_is_redelivered_only_after_a_question(status: str, count: int) -> None:
    delivery = Delivery(pk=3, endpoint=endpoint(status=status))
    state, why = DeliveryState(StateKind.FAILED, ""), "contract.ended of this contract was taken."
    found = offer(delivery, state=state, operation=OPERATION, user=SUPPORT, overtaken=why)
    assert (len(found.controls), found.overtaken) == (count, why)
    assert found.controls[-1] == redeliver_anyway(3)
    assert offer(delivery, state=state, operation=OPERATION, user=VIEWER, overtaken=why).overtaken == why
