"""Each run ends with one of four answers, and none of them says more than was read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.lost_window import Found, Reads
from dashboard.rules.reconciliation import Event
from dashboard.rules.run_endings import EndingFacts, EndingKind, ending

NOON = datetime(2026, 11, 30, 11, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY = 10 * MINUTE
NOW = NOON + 20 * MINUTE
SCOPES = ("contracts:read", "project-links:read")
READ = Reads(SCOPES, read_at=NOON + MINUTE, judged_at=NOON + MINUTE, due_at=NOON + 24 * MINUTE)
FACTS = EndingFacts(since=NOON - 30 * MINUTE, until=NOON, found=Found(ended=3), reads=READ)
MISSING = Found(missing=((Event.ENDED, 1), (Event.STARTED, 2)), lacking=frozenset({4, 5}))
BEFORE = {"read_at": NOON - MINUTE}


def reads(**facts: object) -> EndingFacts:
    return replace(FACTS, reads=replace(READ, **facts))


def that_found(**facts: object) -> EndingFacts:
    return replace(FACTS, found=Found(**facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "label", "words"),
    [
        (
            FACTS,
            "Nothing missing",
            (
                "Nothing missing: no event of a contract that started or ended from 10:30 UTC to 11:00 UTC is "
                "missing at the "
                "handler."
            ),
        ),
        (
            that_found(harmless=1),
            "Nothing needed is missing",
            (
                "Nothing needed is missing: of what started or ended from 10:30 UTC to 11:00 UTC, the handler lacks "
                "only events of 1 contract without a known consequence, such as the start of a contract that has ended."
            ),
        ),
        (
            replace(FACTS, found=MISSING),
            "2 missing",
            "2 missing: the handler never took contract.ended of 1 contract and contract.started of 2 contracts.",
        ),
        (
            replace(FACTS, found=replace(MISSING, more=True), reads=Reads()),  # what is missing is known all the same
            "More than 2 missing",
            (
                "More than 2 missing: the handler never took contract.ended of 1 contract and contract.started of 2 "
                "contracts."
            ),
        ),
        (
            reads(**BEFORE),
            "Will be checked again at 11:24 UTC",
            "Will be checked again at 11:24 UTC: contracts are read then.",
        ),
        (
            reads(**BEFORE, due_at=None),
            "Will be checked again any moment now",
            "Will be checked again any moment now: contracts are read then.",
        ),
        (
            reads(judged_at=NOON),
            "Will be checked again any moment now",
            "Will be checked again any moment now: contracts have just been read.",
        ),
        (
            that_found(coming=frozenset({4}), until=NOON + 48 * MINUTE),
            "Will be checked again at 11:48 UTC",
            "Will be checked again at 11:48 UTC: events of 1 contract may still come.",
        ),
        (
            that_found(coming=frozenset({4, 5})),
            "Will be checked again any moment now",
            "Will be checked again any moment now: events of 2 contracts may still come.",
        ),
        (
            reads(scopes=("project-links:read",)),
            "Not known",
            (
                "Not known, because this token lacks contracts:read. Add this scope to your platform app, ask the "
                "customer to "
                "connect again, then replace this install's token."
            ),
        ),
        (
            replace(FACTS, is_subscribed=False),
            "Not known",
            "Not known: the endpoint subscribes to no contract event, and nothing else tells what is missing.",
        ),
        (
            replace(FACTS, is_history_known=False),
            "Not known",
            "Not known: the history does not tell from when on nothing was sent.",
        ),
        (that_found(more=True), "Not known", "Not known: more contracts started or ended than are looked at here."),
        (
            that_found(unclear=1),
            "Not known",
            "Not known: the log of that time does not tell what became of 1 contract.",
        ),
        (reads(out_of_reach="More than 200 of one link."), "Not known", "Not known: More than 200 of one link."),
        (
            reads(**BEFORE, error="OpenTrain did not answer."),
            "Not known",
            "Not known: the last read of contracts failed (OpenTrain did not answer); it is tried again at 11:24 UTC.",
        ),
        (
            reads(read_at=None, due_at=NOW - 26 * MINUTE),  # due before the run, so it counts from its end
            "Will be checked again any moment now",
            "Will be checked again any moment now: contracts are read then.",
        ),
    ],
)
def test_run_ends_with_one_of_four_answers(facts: EndingFacts, label: str, words: str) -> None:
    found = ending(facts, every=EVERY, now=NOW)
    assert (found.label, found.words) == (label, words)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            reads(**BEFORE),
            "Whether an event of a contract is missing will be checked again at 11:24 UTC: contracts are ",
        ),
        (
            reads(scopes=()),
            "Whether an event of a contract is missing is not known, because this token lacks contracts:r",
        ),
        (
            that_found(more=True),
            "Whether an event of a contract is missing is not known: more contracts started or ended",
        ),
        (replace(FACTS, found=MISSING), "2 missing: the handler never took contract.ended of 1 contract and "),
        (FACTS, "Nothing missing: no event of a contract that started or ended from 10:30 UTC to 11:00 UTC is missing"),
    ],
)
def test_answer_is_a_sentence_among_others_in_a_message(facts: EndingFacts, told: str) -> None:
    assert ending(facts, every=EVERY, now=NOW).told.startswith(told)


@pytest.mark.parametrize(
    ("read_at", "words"),
    [
        (NOON - MINUTE, "Not known: contracts were last read at 10:59 UTC, and a read is overdue."),
        (None, "Not known: contracts were not read yet, and a read is overdue."),
    ],
)
def test_answer_that_is_long_overdue_is_not_promised_again(read_at: datetime | None, words: str) -> None:
    facts = reads(read_at=read_at, due_at=NOON)
    assert ending(facts, every=EVERY, now=NOON + 25 * MINUTE).kind is EndingKind.CHECKED_AGAIN
    assert ending(facts, every=EVERY, now=NOON + 26 * MINUTE).words == words


def test_error_after_a_read_that_told_takes_nothing_back() -> None:
    assert ending(reads(error="OpenTrain did not answer."), every=EVERY, now=NOW).kind is EndingKind.NOTHING_MISSING


moments = st.none() | st.integers(-60, 60).map(lambda minutes: NOON + minutes * MINUTE)


@given(
    facts=st.builds(
        EndingFacts,
        since=st.just(NOON - MINUTE),
        until=st.just(NOON),
        found=st.builds(
            Found,
            missing=st.sampled_from([(), ((Event.ENDED, 1),)]),
            lacking=st.just(frozenset({1})),
            coming=st.frozensets(st.just(1)),
            until=moments,
            unclear=st.integers(0, 1),
            more=st.booleans(),
        ),
        reads=st.builds(
            Reads,
            scopes=st.sampled_from([(), SCOPES]),
            read_at=moments,
            judged_at=moments,
            due_at=moments,
            error=st.sampled_from(["", "No answer."]),
            out_of_reach=st.sampled_from(["", "Some."]),
        ),
        is_subscribed=st.booleans(),
        is_history_known=st.booleans(),
    ),
    now=st.integers(0, 60).map(lambda minutes: NOON + minutes * MINUTE),
)
def test_nothing_is_said_to_be_missing_only_where_all_is_known(facts: EndingFacts, now: datetime) -> None:
    found, one, read = ending(facts, every=EVERY, now=now), facts.found, facts.reads
    assert found.words.startswith(found.label)
    assert (found.kind is EndingKind.MISSING) == bool(one.missing)
    if found.kind is EndingKind.NOTHING_MISSING:
        assert not (one.coming)
        assert not (one.unclear)
        assert not (one.more)
        assert not (read.out_of_reach)
        assert not (read.lacks)
        assert read.read_at is not None
        assert read.read_at >= facts.until
        assert read.judged_at is not None
        assert read.judged_at >= read.read_at
        assert facts.is_subscribed
        assert facts.is_history_known
