"""What the receiver decides about a request; with real requests in tests/receiver/test_delivery.py."""

import re
from datetime import UTC, datetime

import pytest

from dashboard.rules import receipts
from dashboard.rules.attempts import BODY_LIMIT
from dashboard.rules.causes import Cause
from dashboard.rules.receipts import REGISTERED_WITHIN, Arrival, Refused

NOW = datetime(2026, 6, 12, 12, tzinfo=UTC)


def arrival(*headers: tuple[str, str], body: bytes = b"{}", whole: bool = True) -> Arrival:
    return Arrival(NOW, [("Content-Type", "Application/JSON; charset=utf-8"), *headers], body, whole)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Arrival(NOW, [], b"{}", whole=True), "content_type"),
        (Arrival(NOW, [("content-type", "text/json")], b"{}", whole=True), "content_type"),
        (arrival(body=b"x" * (BODY_LIMIT + 1)), "too_large"),
        (arrival(whole=False), "cut_off"),
    ],
)
def test_request_of_another_form_is_refused(given: Arrival, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        receipts.check_form(given)
    assert refused.value.reason == reason


def test_request_of_the_right_form_is_accepted() -> None:
    receipts.check_form(arrival(body=b"x" * BODY_LIMIT))


@pytest.mark.parametrize("delivery_id", ["", " ", "d" * 201, "a\x00b", "a\x1bb", "a\x85b"])
def test_delivery_without_a_usable_id_is_refused(delivery_id: str) -> None:
    with pytest.raises(Refused, match=re.escape("X-OpenTrain-Delivery")):
        receipts.event_of(arrival(("X-OpenTrain-Delivery", delivery_id)))


@pytest.mark.parametrize(
    ("since", "reason"),
    [(None, "registering"), (NOW, "registering"), (NOW - REGISTERED_WITHIN, "no_secret")],
)
def test_endpoint_without_a_secret_is_being_registered_for_a_minute(since: datetime | None, reason: str) -> None:
    refused = receipts.without_a_secret(arrival(), registering_since=since)
    assert (refused.status, refused.reason) == (503, reason)


@pytest.mark.parametrize(
    ("cause", "status"), [(Cause.TIMEOUT, 504), (Cause.LATE, 504), (Cause.BUSY, 503), (Cause.DNS, 502)]
)
def test_failure_has_a_status_of_its_own(cause: Cause, status: int) -> None:
    assert receipts.failed(cause=cause, words="No.").status == status


def test_stranger_is_told_the_status_and_nothing_of_the_handlers() -> None:
    reply = receipts.passed_back(status=500, answered=(("Content-Type", "text/x-inner"),), body=b"inner")
    told = receipts.told_to_strangers(reply)
    assert (told.status, told.content_type, told.body) == (500, "application/json", b'{"signature": "not verified"}')


@pytest.mark.parametrize(("status", "cause", "is_ok"), [(200, "gone", False), (503, "status", False)])
def test_sender_that_has_gone_makes_no_success(status: int, cause: str, is_ok: bool) -> None:
    result = receipts.result_of(
        arrival(),
        receipts.passed_back(status=status, answered=(), body=b""),
        handler_url="http://handler.example.com",
        latency_ms=1,
        signature="verified",
        is_gone=True,
    )
    assert (result.cause, result.ok, result.answered_in_time) == (cause, is_ok, False)
