"""The rules of a run: what is requested next, when failures count as returned, what an answer means."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.runs import (
    GIVE_UP_AFTER,
    LAST,
    SLOWEST_MS,
    TRIAL,
    CallFacts,
    Reaction,
    Tally,
    Then,
    failures_returned,
    may_ask,
    next_run_words,
    react,
)
from dashboard.rules.schedule import Schedule

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
SCHEDULE = Schedule(retry_delays=(timedelta(minutes=1),), run_interval=timedelta(minutes=5))
counts = st.integers(min_value=0, max_value=10_000)


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ("", None),
        ("x", None),
        ("✓xx", None),
        ("✓xxx", "3 of the first 5 failed again"),
        ("xxx", "3 of the first 5 failed again"),
        ("✓✓✓✓✓", None),
        ("✓✓✓✓✓xxxx", None),
        ("✓✓✓✓✓xxxxx", "5 of the last 10 failed again"),
        ("✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓x✓x✓x✓x✓x", "5 of the last 10 failed again"),
        ("✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓x✓x✓x✓x✓", None),
    ],
)
def test_failures_returned_says_how_many_of_which(outcomes: str, said: str | None) -> None:
    results = [one == "✓" for one in outcomes]
    assert failures_returned(first=results[:TRIAL], last=results[-LAST:]) == said


@given(st.lists(st.booleans(), max_size=60))
def test_failures_returned_never_speaks_of_a_run_that_mostly_succeeds(results: list[bool]) -> None:
    first, last = results[:TRIAL], results[-LAST:]
    if first.count(False) < 3 and last.count(False) < 5:
        assert failures_returned(first=first, last=last) is None


@pytest.mark.parametrize(
    ("asked", "settled", "expected"),
    [(0, 0, True), (1, 0, True), (4, 1, True), (5, 1, False), (5, 4, False), (5, 5, True), (300, 5, True)],
)
def test_may_ask_waits_for_the_trial_to_come_back(asked: int, settled: int, expected: bool) -> None:
    assert may_ask(tally=Tally(requested=asked - settled, delivered=settled)) is expected


def test_refused_ones_are_none_of_the_trial() -> None:
    assert may_ask(tally=Tally(delivered=1, requested=3, refused=4))
    assert not may_ask(tally=Tally(delivered=1, requested=4, refused=4))
    assert may_ask(tally=Tally(delivered=5, refused=4))


@pytest.mark.parametrize(
    ("tally", "has_canary", "words"),
    [
        (Tally(requested=3), False, "All 3 requested again."),
        (Tally(requested=1), False, "1 requested again."),
        (Tally(requested=11, delivered=1), True, "All 11 requested again."),
        (Tally(delivered=1), True, "None left to request."),
        (Tally(), False, "None left to request."),
        (Tally(requested=2, refused=1), False, "2 requested again, 1 refused."),
        (Tally(refused=3), False, "0 requested again, 3 refused."),
        (Tally(delivered=1, requested=1, unknown=2), True, "1 requested again, 2 with unknown outcome."),
    ],
)
def test_requests_are_called_all_only_if_each_was_taken(tally: Tally, has_canary: bool, words: str) -> None:
    assert tally.requests(has_canary=has_canary) == words


def test_refused_and_unknown_requests_are_not_requested_again() -> None:
    tally = Tally(requested=1, delivered=2, failed_again=1, not_seen=1, refused=4, unknown=3, asking=1, waiting=2)
    assert tally.words.startswith("5 requested again, 2 delivered, 1 failed again")


def test_react_to_success_goes_on_and_forgets_failures() -> None:
    reaction = react(call=CallFacts(ok=True, words=""), failed_calls=2, pace_ms=100)
    assert reaction == Reaction(Then.GO_ON, failed_calls=0, pace_ms=100)


def test_react_to_a_refusal_stops_with_its_words() -> None:
    reaction = react(call=CallFacts(ok=False, words="OpenTrain refused.", refused=True), failed_calls=0, pace_ms=100)
    assert (reaction.then, reaction.why) == (Then.STOP, "OpenTrain refused.")


def test_react_to_a_rate_limit_waits_as_long_as_it_says_and_slows() -> None:
    reaction = react(call=CallFacts(ok=False, words="", slow_down_s=30), failed_calls=1, pace_ms=100)
    assert reaction == Reaction(
        Then.WAIT,
        "OpenTrain limits the rate of this install's requests and asked to wait 30 s.",
        timedelta(seconds=30),
        failed_calls=1,
        pace_ms=200,
    )


def test_react_to_a_rate_limit_of_hours_pauses_for_a_person() -> None:
    reaction = react(call=CallFacts(ok=False, words="", slow_down_s=7300), failed_calls=0, pace_ms=100)
    assert (reaction.then, reaction.why) == (
        Then.PAUSE,
        "OpenTrain asked to wait 2 h. Resume the run after that.",
    )


def test_react_to_calls_without_an_answer_waits_longer_each_time_then_pauses() -> None:
    failed, waits = 0, []
    for _ in range(GIVE_UP_AFTER):
        reaction = react(call=CallFacts(ok=False, words="No answer."), failed_calls=failed, pace_ms=100)
        failed = reaction.failed_calls
        waits.append((reaction.then, reaction.wait.total_seconds()))
    assert waits == [(Then.WAIT, 5), (Then.WAIT, 10), (Then.PAUSE, 0)]
    assert reaction.why == "3 consecutive calls got no usable response. The last: No answer."


@given(st.lists(st.sampled_from(["ok", "429", "failed"]), max_size=50))
def test_react_never_waits_more_than_an_hour_nor_loops(calls: list[str]) -> None:
    """Between two pauses, fewer than GIVE_UP_AFTER failures occur in a row, and the pace stays within its bounds."""
    failed, pace, in_a_row = 0, 100, 0
    for kind in calls:
        slow = 60 if kind == "429" else None
        reaction = react(call=CallFacts(ok=kind == "ok", words="", slow_down_s=slow), failed_calls=failed, pace_ms=pace)
        failed, pace = reaction.failed_calls, reaction.pace_ms
        in_a_row = 0 if kind == "ok" else in_a_row + (kind == "failed")
        assert (reaction.then is Then.PAUSE) == (kind == "failed" and in_a_row == GIVE_UP_AFTER)
        in_a_row = 0 if reaction.then is Then.PAUSE else in_a_row
        assert reaction.wait <= timedelta(hours=1)
        assert pace <= SLOWEST_MS


@pytest.mark.parametrize(
    ("after", "words"), [(0, "within 5 min"), (200, "within 100 s"), (299.5, "any moment now"), (900, "any moment now")]
)
def test_next_run_words_count_down(after: float, words: str) -> None:
    now = NOON + timedelta(seconds=after)
    assert next_run_words(asked_at=NOON, now=now, schedule=SCHEDULE) == words


def test_tally_says_what_happened_and_what_came_of_it() -> None:
    tally = Tally(requested=151, delivered=260, left_out=7)
    assert tally.words == "411 requested again, 260 delivered, 0 failed again"
    assert Tally(delivered=412).outcome(took=timedelta(minutes=9)) == "412 of 412 delivered in 9 min."
    assert Tally().outcome(took=timedelta(0)) == "No failed deliveries were known."
    assert (
        Tally(delivered=400, failed_again=7, not_seen=3, unknown=2).outcome(took=timedelta(minutes=9))
        == "400 of 412 delivered, 7 failed again, 3 not seen in time, 2 with unknown outcome, in 9 min."
    )


@given(st.builds(Tally, **dict.fromkeys(Tally.__dataclass_fields__, counts)))
def test_tally_adds_up(tally: Tally) -> None:
    assert tally.total == sum(getattr(tally, name) for name in Tally.__dataclass_fields__) - tally.left_out
    assert tally.asked + tally.waiting == tally.total
    assert 0 <= tally.settled <= tally.asked
    assert tally.requeued + tally.asking + tally.unknown + tally.refused == tally.asked


def test_parts_of_a_run_add_up_to_all_that_was_chosen() -> None:
    tally = Tally(
        waiting=1, asking=2, requested=3, delivered=4, failed_again=5, not_seen=6, unknown=7, refused=8, left_out=9
    )
    assert [(kind, count) for kind, _label, count in tally.parts] == [
        ("delivered", 4),
        ("failed_again", 5),
        ("refused", 8),
        ("unknown_outcome", 13),
        ("requested", 5),
        ("waiting", 1),
        ("left_out", 9),
    ]
    assert sum(count for _kind, _label, count in tally.parts) == tally.total + tally.left_out
    assert Tally().parts == ()
