"""How a run ends, besides its deliveries: whether contracts' events are missing at its endpoint. Pure.

A run redelivers what OpenTrain has as failed. What OpenTrain never made a delivery of is found by reading contracts,
and only a read that began after the run can tell. So each run ends with one of four answers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dashboard.rules.consequences import SLACK
from dashboard.rules.durations import clock
from dashboard.rules.lost_window import Found, Reads, contracts_words, missing_words


class EndingKind(StrEnum):
    """The four answers."""

    NOTHING_MISSING = "nothing_missing"
    MISSING = "missing"
    NOT_KNOWN = "not_known"
    CHECKED_AGAIN = "checked_again"


@dataclass(frozen=True, slots=True)
class Ending:
    """An answer: its label, such as "2 missing", and what it means in one sentence that begins with the label."""

    kind: EndingKind
    label: str
    words: str

    @property
    def told(self) -> str:
        """The answer in a sentence that can stand among others, such as in an alert's message."""
        said = f"{self.words[:1].lower()}{self.words[1:]}"
        if self.kind is EndingKind.NOT_KNOWN:
            return f"Whether an event of a contract is missing is {said}"
        if self.kind is EndingKind.CHECKED_AGAIN:
            return f"Whether an event of a contract is missing {said}"
        return self.words


@dataclass(frozen=True, slots=True)
class EndingFacts:
    """What decides the answer: of a run that ended at `until`, looked at from `since` on.

    `is_subscribed`: the endpoint subscribes to contract events. `is_history_known`: it is known when nothing was sent.
    `has_others`: nothing was sent for some time, and it subscribes to other events too, of which no read tells.
    """

    since: datetime
    until: datetime
    found: Found
    reads: Reads
    is_subscribed: bool = True
    is_history_known: bool = True
    has_others: bool = False


def ending(facts: EndingFacts, *, every: timedelta, now: datetime) -> Ending:
    """Return the answer. `every` is the interval of the reads of contracts."""
    found, reads = facts.found, facts.reads
    if found.missing:
        label = f"{'More than ' if found.more else ''}{len(found.lacking):,} missing"
        return Ending(EndingKind.MISSING, label, f"{label}: {missing_words(found.missing)}.")
    if reads.lacks:
        return Ending(EndingKind.NOT_KNOWN, "Not known", reads.lacks)
    why = _never_known(facts)
    if why:
        return _not_known(why)
    is_read = reads.read_at is not None and reads.read_at >= facts.until
    return _of_read(facts, now=now) if is_read else _unread(facts, every=every, now=now)


def _of_read(facts: EndingFacts, *, now: datetime) -> Ending:
    """Return the answer of a read that began after the run had ended."""
    found, reads = facts.found, facts.reads
    if reads.out_of_reach:
        return _not_known(reads.out_of_reach)
    if reads.judged_at is None or reads.read_at is None or reads.judged_at < reads.read_at:
        return _again(now, "contracts have just been read", now=now)
    if found.coming:
        return _again(found.until or now, f"events of {contracts_words(len(found.coming))} may still come", now=now)
    if found.unclear:
        return _not_known(f"the log of that time does not tell what became of {contracts_words(found.unclear)}")
    span = f"from {clock(then=facts.since, now=now)} to {clock(then=facts.until, now=now)}"
    if found.harmless:
        label = "No needed contract event is missing" if facts.has_others else "Nothing needed is missing"
        words = (
            f"{label}: of what started or ended {span}, the handler lacks only events of "
            f"{contracts_words(found.harmless)} without a known consequence, such as the start of a contract that has "
            "ended."
        )
        return Ending(EndingKind.NOTHING_MISSING, label, words)
    label = "No contract event is missing" if facts.has_others else "Nothing missing"
    words = f"{label}: no event of a contract that started or ended {span} is missing at the handler."
    return Ending(EndingKind.NOTHING_MISSING, label, words)


def _never_known(facts: EndingFacts) -> str:
    """Return why no later read will tell; empty if one may."""
    if not facts.is_subscribed:
        return "the endpoint subscribes to no contract event, and nothing else tells what is missing"
    if not facts.is_history_known:
        return "the history does not tell from when on nothing was sent"
    if facts.found.more:
        return "more contracts started or ended than are looked at here"
    return ""


def _unread(facts: EndingFacts, *, every: timedelta, now: datetime) -> Ending:
    """Return the answer while no read has begun since the run ended."""
    reads = facts.reads
    due_at = max(reads.due_at or facts.until, facts.until)
    if now > due_at + 2 * every + SLACK:
        last = "not read yet" if reads.read_at is None else f"last read at {clock(then=reads.read_at, now=now)}"
        return _not_known(f"contracts were {last}, and a read is overdue")
    if reads.error:
        again = f"it is tried again {_at(due_at, now=now)}"
        return _not_known(f"the last read of contracts failed ({reads.error.rstrip('.')}); {again}")
    return _again(due_at, "contracts are read then", now=now)


def _not_known(why: str) -> Ending:
    return Ending(EndingKind.NOT_KNOWN, "Not known", f"Not known: {why.rstrip('.')}.")


def _again(at: datetime, why: str, *, now: datetime) -> Ending:
    label = f"Will be checked again {_at(at, now=now)}"
    return Ending(EndingKind.CHECKED_AGAIN, label, f"{label}: {why}.")


def _at(at: datetime, *, now: datetime) -> str:
    return f"at {clock(then=at, now=now)}" if at > now else "any moment now"
