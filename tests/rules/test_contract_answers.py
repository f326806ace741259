"""The answer for a contract: what comes first, and the answer as plain text, also with hostile values."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.contract_answers import Cell, one_per_endpoint, summary, worst_first
from dashboard.rules.contract_timeline import Clock, Moment, timeline
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason, Verdict
from dashboard.rules.reconciliation_words import Words

NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script>",
    "a\0b",
    "first\r\nsecond\u2028third",
    "right\u202eleft\u200b",
    "x" * 10_000,
    "\ud800",
]


def cell(
    kind: Kind,
    reason: Reason = Reason.NONE,
    *,
    means: Consequence = Consequence.NONE,
    endpoint: int = 1,
    event: Event = Event.ENDED,
    words: str = "It is so.",
) -> Cell:
    said = Words(kind.label, words, meaning="", advice="Do this.")
    return Cell(endpoint, f"hook-{endpoint}", event, Verdict(kind, reason, at=NOON), means, said)


def test_what_harms_people_comes_first_then_what_is_settled_and_last_what_is_in_order() -> None:
    ordered = [
        cell(Kind.FAILED, means=Consequence.ACCESS),
        cell(Kind.MISSING, Reason.UNPROVEN, means=Consequence.PROVISION),
        cell(Kind.MISSING, Reason.DISABLED),
        cell(Kind.OUT_OF_ORDER),
        cell(Kind.FAILED),
        cell(Kind.REFUSED),
        cell(Kind.NOT_SEEN_YET),
        cell(Kind.REQUESTED),
        cell(Kind.RETRYING),
        cell(Kind.NOT_KNOWN, Reason.NO_LOG),
        cell(Kind.MISSING, Reason.NOT_SUBSCRIBED),
        cell(Kind.TAKEN),
        cell(Kind.NOT_DUE),
    ]
    for begin in range(len(ordered)):
        assert list(worst_first(ordered[begin:] + ordered[:begin])) == ordered
    assert list(worst_first(ordered[::-1])) == ordered


@pytest.mark.parametrize("kind", list(Kind))
def test_every_verdict_has_its_place(kind: Kind) -> None:
    assert worst_first([cell(kind)]) == (cell(kind),)


def test_each_endpoint_has_its_worst_event() -> None:
    good, bad = cell(Kind.TAKEN, endpoint=1), cell(Kind.MISSING, Reason.UNPROVEN, endpoint=2)
    started = cell(Kind.TAKEN, endpoint=2, event=Event.STARTED)
    assert one_per_endpoint([good, started, bad]) == (bad, good)


def test_summary_has_complete_ids_and_absolute_times() -> None:
    told = timeline(
        [
            Moment(NOON, "OpenTrain created the contract.", clock=Clock.OPENTRAIN),
            Moment(NOON + timedelta(minutes=9), "It was disabled.", not_before=NOON, place="hook-1"),
        ]
    )
    text = summary(
        title="Why didn't it come?",
        facts=[("Contract", "con_1"), ("Job", "job_1")],
        cells=[cell(Kind.MISSING, Reason.DISABLED, words="It was disabled then.")],
        told=told,
        now=NOON + timedelta(hours=1),
    )
    assert text.splitlines() == [
        "Why didn't it come?",
        "Contract: con_1",
        "Job: job_1",
        "As of 2026-06-12 13:00:00 UTC.",
        "",
        "- hook-1: It was disabled then. Do this. [at 2026-06-12 12:00:00 UTC]",
        "",
        "What is known, oldest first (UTC, Redeliver's clock unless marked):",
        "2026-06-12 12:00:00 UTC [OpenTrain's clock] OpenTrain created the contract.",
        "between 2026-06-12 12:00:00 UTC and 2026-06-12 12:09:00 UTC It was disabled. (hook-1)",
    ]


def test_event_that_is_not_subscribed_is_called_a_choice_and_not_missing() -> None:
    chosen, missing = cell(Kind.MISSING, Reason.NOT_SUBSCRIBED), cell(Kind.MISSING, Reason.UNPROVEN)
    assert [(one.look, one.label) for one in (chosen, missing)] == [
        ("not_subscribed", "Not subscribed"),
        ("missing", "Missing"),
    ]


def test_summary_says_what_it_leaves_out() -> None:
    told = timeline([Moment(NOON + timedelta(minutes=minute), f"{minute}") for minute in range(10)], most=6)
    lines = summary(title="t", facts=[], cells=[], told=told, now=NOON).splitlines()
    assert [line.removeprefix("2026-06-12 ") for line in lines[-7:]] == [
        "12:00:00 UTC 0",
        "12:01:00 UTC 1",
        "… 4 more …",
        *(f"12:0{minute}:00 UTC {minute}" for minute in (6, 7, 8, 9)),
    ]


@pytest.mark.parametrize("value", HOSTILE)
def test_value_from_outside_keeps_to_its_line_and_hides_nothing(value: str) -> None:
    told = timeline([Moment(NOON, value, place=value)])
    text = summary(title="t", facts=[("Title", value)], cells=[cell(Kind.TAKEN, words=value)], told=told, now=NOON)
    lines = text.split("\n")
    assert len(lines) == 8
    assert all(len(line) <= 600 and line.isprintable() for line in lines)
