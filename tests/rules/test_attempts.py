"""The recorded facts of an attempt."""

import uuid

import pytest

from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt, Source
from dashboard.signatures import Verdict
from tests.factories import NOON

SECRET_BODY = b'{"data":"of a customer"}'


def result(*, status: int) -> AttemptResult:
    return AttemptResult(
        received_at=NOON,
        request_headers=[],
        answered_status=status,
        cause="",
        handler_url="",
        handler_status=None,
        latency_ms=1,
        response_headers=[],
        response_head=SECRET_BODY,
    )


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (299, True), (300, False), (503, False)])
def test_attempt_succeeded_if_opentrain_was_answered_any_2xx(status: int, ok: bool) -> None:
    assert result(status=status).ok is ok


def test_attempt_is_the_receivers_and_verified_unless_it_says_otherwise() -> None:
    assert (result(status=200).source, result(status=200).signature) == (Source.RECEIVER, Verdict.VERIFIED)


def test_stored_sources_keep_their_values() -> None:
    assert {source.name: source.value for source in Source} == {"RECEIVER": "receiver", "OBSERVED": "observed"}


def test_no_repr_shows_what_was_sent_or_answered() -> None:
    event = Event(delivery_id="dlv_1", event_id="", event_type="", resource_id="", body=SECRET_BODY)
    recorded = RecordedAttempt(id=uuid.uuid4(), endpoint_id=1, event=event, result=result(status=200))
    assert "customer" not in repr(event) + repr(result(status=200)) + repr(recorded)
