"""What OpenTrain's answers say: never more than the answer proves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.answers import (
    Shape,
    Taken,
    are_requeued,
    is_unknown,
    read_changed,
    read_enabled,
    read_paused,
    read_registered,
    read_requeued,
    read_requeued_one,
    unknown_status,
)

URL = "https://acme.example.com/hook"
AGAIN = "Try again. If the answer stays the same, ask OpenTrain's support."


@pytest.mark.parametrize(
    ("requeued", "known", "taken", "words"),
    [
        (0, 0, Taken.YES, "OpenTrain requeued nothing: it has no failed deliveries on this endpoint."),
        (0, 1, Taken.NO, "OpenTrain requeued nothing; 1 is failed here, and stays failed."),
        (0, 3, Taken.NO, "OpenTrain requeued nothing; 3 are failed here, and stay failed."),
        (1, 3, Taken.UNCLEAR, "OpenTrain requeued 1; 3 are failed here, and it does not say which."),
        (1, 1, Taken.YES, "1 requeued."),
        (3, 3, Taken.YES, "3 requeued."),
        (1, 0, Taken.YES, "1 requeued, which is not failed here."),
        (2, 0, Taken.YES, "2 requeued, none of which is failed here."),
        (2, 1, Taken.YES, "2 requeued: the 1 that was failed here, and 1 that only OpenTrain had as failed."),
        (5, 3, Taken.YES, "5 requeued: the 3 that were failed here, and 2 that only OpenTrain had as failed."),
    ],
)
def test_number_of_requeued_deliveries_is_told_truly(requeued: int, known: int, taken: Taken, words: str) -> None:
    reading = read_requeued(requeued=requeued, known=known, is_logged=True)
    assert (reading.taken, reading.words[: len(words)]) == (taken, words)


def test_endpoint_without_a_log_only_repeats_the_number() -> None:
    assert read_requeued(requeued=7, known=0, is_logged=False).words == "7 requeued."


@given(requeued=st.integers(0, 2**31), known=st.integers(0, 10_000))
def test_deliveries_are_requeued_only_if_the_number_covers_all_of_them(requeued: int, known: int) -> None:
    reading = read_requeued(requeued=requeued, known=known, is_logged=True)
    assert str(requeued) in reading.words or not requeued
    if known:
        assert are_requeued(requeued=requeued, known=known) == (requeued >= known) == (reading.taken is Taken.YES)
    else:
        assert not are_requeued(requeued=requeued, known=known)


@pytest.mark.parametrize(
    ("requeued", "taken", "words"),
    [
        (0, Taken.NO, f"OpenTrain requeued nothing, so this delivery is not requested again. {AGAIN}"),
        (1, Taken.YES, "1 requeued."),
        (
            2,
            Taken.YES,
            "OpenTrain requeued 2, although only this delivery was requested. It does not say which others.",
        ),
    ],
)
def test_one_delivery_is_requeued_unless_the_number_is_0(requeued: int, taken: Taken, words: str) -> None:
    reading = read_requeued_one(requeued=requeued)
    assert (reading.taken, reading.words) == (taken, words)


@pytest.mark.parametrize(
    ("status", "failures", "taken", "begins"),
    [
        (
            "ACTIVE",
            0,
            Taken.YES,
            "Re-enabled. OpenTrain sends to this endpoint again, and its consecutive",
        ),
        ("ACTIVE", 1, Taken.YES, "Re-enabled. OpenTrain sends to this endpoint again, but still counts 1 consecutive"),
        ("DISABLED", 10, Taken.NO, "Not re-enabled: OpenTrain answered that the endpoint is DISABLED, with 10"),
        ("HIBERNATING", 0, Taken.UNCLEAR, "Not known whether it is re-enabled: OpenTrain gives its status as"),
        ("", 0, Taken.UNCLEAR, "Not known whether it is re-enabled"),
    ],
)
def test_endpoint_is_re_enabled_only_if_the_answer_says_active(
    status: str, failures: int, taken: Taken, begins: str
) -> None:
    reading = read_enabled(status=status, consecutive_failures=failures)
    assert (reading.taken, reading.words[: len(begins)]) == (taken, begins)


@pytest.mark.parametrize(
    ("status", "failures", "taken", "begins"),
    [
        ("DISABLED", 9, Taken.YES, "Paused. OpenTrain attempts no deliveries until the endpoint is re-enabled."),
        ("DISABLED", 10, Taken.YES, "Stopped. OpenTrain attempts no deliveries until the endpoint is re-enabled. It"),
        ("ACTIVE", 0, Taken.NO, "Not paused: OpenTrain answered that the endpoint is ACTIVE, so it keeps sending."),
        ("HIBERNATING", 0, Taken.UNCLEAR, "Not known whether it is paused: OpenTrain gives its status as HIBERNATING"),
    ],
)
def test_endpoint_is_paused_only_if_the_answer_says_disabled(
    status: str, failures: int, taken: Taken, begins: str
) -> None:
    reading = read_paused(status=status, consecutive_failures=failures)
    assert (reading.taken, reading.words[: len(begins)]) == (taken, begins)


@pytest.mark.parametrize(
    ("asked", "answered", "taken"),
    [
        (Shape("https://new.example.com/", None), Shape("https://new.example.com/", ["a"]), Taken.YES),
        (Shape("https://New.example.com", None), Shape("https://new.example.com/", ["a"]), Taken.YES),
        (Shape("https://new.example.com/", None), Shape(URL, ["a"]), Taken.NO),
        (Shape("https://new.example.com/", None), Shape("https://other.example.com/", ["a"]), Taken.UNCLEAR),
        (Shape("https://new.example.com/Hook", None), Shape("https://new.example.com/hook", ["a"]), Taken.UNCLEAR),
        (Shape(None, ["b", "a"]), Shape("https://moved.example.com/", ["a", "b"]), Taken.YES),
        (Shape(None, ["b"]), Shape(URL, ["a"]), Taken.NO),
        (Shape(None, ["b"]), Shape(URL, ["a", "b"]), Taken.UNCLEAR),
        (Shape(None, ["b"]), Shape(URL, []), Taken.UNCLEAR),
        (Shape("https://new.example.com/", ["b"]), Shape("https://new.example.com/", ["a"]), Taken.UNCLEAR),
        (Shape("https://[", None), Shape(URL, ["a"]), Taken.NO),
    ],
)
def test_change_is_made_only_if_the_answer_shows_it(asked: Shape, answered: Shape, taken: Taken) -> None:
    reading = read_changed(asked=asked, before=Shape(URL, ["a"]), answered=answered)
    assert reading.taken is taken
    assert bool(reading.words) is (taken is not Taken.YES)


def test_change_that_was_not_made_names_what_the_answer_has() -> None:
    reading = read_changed(asked=Shape(None, ["b"]), before=Shape(URL, ["a"]), answered=Shape(URL, []))
    assert reading.words == (
        "OpenTrain did not make exactly the requested change. OpenTrain answered that the event types are none "
        f"(requested: b). {AGAIN}"
    )


def test_registration_is_as_requested_only_if_nothing_differs() -> None:
    asked = Shape(URL, ["a"])
    assert read_registered(asked=asked, answered=asked, status="ACTIVE").words == "The endpoint is registered."
    reading = read_registered(asked=asked, answered=Shape("https://x.example.com/", ["b"]), status="DISABLED")
    assert (reading.taken, reading.words) == (
        Taken.UNCLEAR,
        (
            "The endpoint is registered, but not as requested. OpenTrain answered that the address is "
            f"https://x.example.com/ (requested: {URL}); the event types are b (requested: a); it is DISABLED, so "
            "nothing is sent until it is re-enabled. Correct it on the endpoint's page."
        ),
    )


@pytest.mark.parametrize(("status", "unknown"), [("ACTIVE", False), ("DISABLED", False), ("", False), ("X", True)])
def test_status_is_unknown_if_it_is_neither_of_the_two(status: str, unknown: bool) -> None:
    assert is_unknown(status) is unknown
    assert status in unknown_status(status)
