"""An endpoint's situation beyond its status."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.models import Endpoint, Silence
from dashboard.presenters.endpoints import (
    silence_of,
    silence_reason,
    told_words,
    waiting_of,
)
from dashboard.rules.deliveries import StateKind
from dashboard.rules.silence import RHYTHMS, silence_words
from tests.factories import NOON

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("newest_at", "silent"), [(None, False), (NOON, True), (NOON - HOUR, True), (NOON + HOUR, False)]
)
def test_silence_ends_with_the_next_delivery(newest_at: Any, silent: bool) -> None:
    endpoint = Endpoint()
    endpoint.silence = Silence(last_at=NOON, rhythm="hours")
    assert silence_of(endpoint, newest_at=newest_at) == (endpoint.silence if silent else None)


def test_endpoint_without_a_silence_has_none() -> None:
    assert silence_of(SimpleNamespace(), newest_at=NOON) is None


def test_reason_of_a_silence_is_the_rules() -> None:
    for rhythm in RHYTHMS:
        silence = Silence(last_at=NOON - 48 * HOUR, rhythm=rhythm.name)
        expected = silence_words(rhythm=rhythm, last_at=NOON - 48 * HOUR, now=NOON)
        assert silence_reason(silence, now=NOON) == expected != ""
    assert silence_reason(Silence(last_at=NOON, rhythm="of a later version"), now=NOON) == ""
    assert silence_reason(None, now=NOON) == ""


@pytest.mark.parametrize(
    ("columns", "reached", "told"),
    [
        ({"receiver_key": "k", "url": "https://a.test/hooks/k/"}, 3, True),
        ({"receiver_key": "k", "url": "https://a.test/hooks/k/"}, 9, False),
        ({"receiver_key": "k", "url": "https://a.test/hooks/k/"}, None, False),
        ({"observation_key_sha256": "x"}, 3, True),
        ({}, 3, False),
    ],
)
def test_failures_that_opentrain_counted_and_the_log_lacks_are_told(
    columns: dict[str, str], reached: int | None, told: bool
) -> None:
    assert bool(told_words(Endpoint(consecutive_failures=9, **columns), reached=reached)) is told


def test_failures_of_an_endpoint_that_was_routed_may_be_from_before() -> None:
    columns = {"receiver_key": "k", "url": "https://a.test/hooks/k/", "consecutive_failures": 9}
    assert "before" not in told_words(Endpoint(**columns), reached=3)
    assert "before it was routed" in told_words(Endpoint(**columns, routed_at=NOON), reached=3)


def rows(*kinds: tuple[StateKind, str]) -> list[Any]:
    return [SimpleNamespace(state=SimpleNamespace(kind=kind), last_answer=answer) for kind, answer in kinds]


def test_waiting_ones_are_counted_by_state_and_answer_the_requested_last() -> None:
    deliveries = rows(
        *[(StateKind.REQUESTED_AGAIN, "503")] * 3,
        (StateKind.RETRYING, "503"),
        *[(StateKind.RETRYING, "timeout")] * 2,
        (StateKind.OVERDUE, "503"),
        (StateKind.DELIVERED, "200"),
        (StateKind.FAILED, "503"),
    )
    found = waiting_of(deliveries, stopped=False, more=False)
    assert [(one.count, one.state) for one in found] == [
        (2, StateKind.RETRYING),
        (1, StateKind.RETRYING),
        (1, StateKind.OVERDUE),
        (3, StateKind.REQUESTED_AGAIN),
    ]
    assert ["timeout" in one.words for one in found] == [True, False, False, False]


def test_waiting_words_say_whether_there_are_more_and_whether_nothing_is_attempted() -> None:
    deliveries = rows((StateKind.REQUESTED_AGAIN, "503"))
    words = {
        waiting_of(deliveries, stopped=stopped, more=more)[0].words
        for stopped in (True, False)
        for more in (True, False)
    }
    assert len(words) == 4
    assert waiting_of(rows((StateKind.DELIVERED, "200")), stopped=True, more=True) == []


def test_retry_of_a_stopped_endpoint_is_not_called_pending() -> None:
    retrying = rows((StateKind.RETRYING, "handler returned 503"))
    stopped, going = (waiting_of(retrying, stopped=one, more=False)[0].words for one in (True, False))
    assert stopped == " delivery waiting until it is re-enabled: handler returned 503"
    assert going == " delivery retrying: handler returned 503"
