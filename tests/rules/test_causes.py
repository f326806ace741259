"""The causes of failed attempts, in words."""

from datetime import timedelta
from itertools import pairwise

import pytest

from dashboard.rules import causes
from dashboard.rules.causes import Cause
from dashboard.rules.schedule import HANDLER_DEADLINE, OPENTRAIN_WAITS, RECORD_DEADLINE


@pytest.mark.parametrize(
    ("cause", "status", "words"),
    [
        ("", 204, "delivered (204)"),
        ("", None, "delivered"),
        ("status", 503, "handler returned 503"),
        ("status", None, "handler returned an error"),
        ("timeout", 504, "no response from the handler within 9.85 s"),
        ("refused", 502, "connection refused by the handler"),
        ("tls", 502, "the TLS connection to the handler failed"),
        ("sunspots", 502, "sunspots"),
    ],
)
def test_describe_cause_says_it_in_plain_words(cause, status, words) -> None:
    assert causes.describe_cause(cause=cause, status=status) == words


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause])
def test_describe_cause_has_words_of_its_own_for_every_cause(cause) -> None:
    assert causes.describe_cause(cause=cause, status=502) != cause.value


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in {Cause.NONE, Cause.STATUS}])
def test_cause_has_words_for_any_server_too(cause) -> None:
    words = causes.no_answer_words(cause)
    assert words not in {"", cause.value}
    assert "handler" not in words


@pytest.mark.parametrize("status", [199, 200, 204, 299, 300, 304, 500])
def test_answer_is_a_success_for_any_2xx_alone(status) -> None:
    assert (causes.cause_of_answer(status=status) is Cause.NONE) == (status in {200, 204, 299})


def test_words_of_a_time_out_name_the_deadlines_that_hold() -> None:
    assert (timedelta(seconds=9.85), timedelta(seconds=10)) == (HANDLER_DEADLINE, OPENTRAIN_WAITS)
    assert causes.advise(cause="timeout", status=504) == (
        "Respond first and process the event afterwards: OpenTrain waits at most 10 s."
    )


def test_handler_may_take_9_8_s_and_each_step_after_it_has_some_time() -> None:
    least = timedelta(milliseconds=50)  # the way to the handler and back; the record; the way to OpenTrain
    steps = [timedelta(seconds=9.8), HANDLER_DEADLINE, RECORD_DEADLINE, OPENTRAIN_WAITS]
    assert all(later - earlier >= least for earlier, later in pairwise(steps))


def test_stored_values_of_causes_never_change() -> None:
    assert sorted(Cause) == [
        "", "address", "busy", "connection", "cut_off", "denied", "dns", "garbled", "gone", "late", "loop", "refused",
        "status", "timeout", "tls", "too_large", "unkept",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Cause.NONE, ""),
        (Cause.TIMEOUT, "its body did not end in time"),
        (Cause.CUT_OFF, "its body was cut off"),
        (Cause.TOO_LARGE, "its body was too large"),
        (Cause.GARBLED, "its body was not encoded as announced"),
        ("a fault of a later version", ""),
    ],
)
def test_body_fault_in_words(fault: str, words: str) -> None:
    assert causes.body_fault_words(fault) == words
