"""What contracts did while OpenTrain sent an endpoint nothing, and what became of these events. Pure.

OpenTrain sends nothing to an endpoint that is disabled or paused, and does not document whether what happens meanwhile
is sent later. All times are on Redeliver's own clock.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.rules.durations import clock
from dashboard.rules.reads import Read, not_known
from dashboard.rules.reconciliation import Consequence, ContractFacts, Event, Kind, Reason
from dashboard.rules.reconciliation_facts import EXPECTED
from dashboard.rules.reconciliation_times import moment

_LOST = re.compile(r"(run|endpoint)-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Stop:
    """A time in which OpenTrain sent an endpoint nothing: from when it was last seen active until it was so again.

    `until` is None while it lasts. `is_begun_known` is whether the history goes back to when it began.
    """

    since: datetime
    until: datetime | None
    is_paused: bool = False
    is_begun_known: bool = True


@dataclass(frozen=True, slots=True)
class Lost:
    """Names a time in which nothing was sent: that of a run, or the one that lasts at an endpoint, by primary key."""

    run: int | None = None
    endpoint: int | None = None

    @property
    def text(self) -> str:
        """The name in URLs, which `lost_from` reads."""
        return f"run-{self.run}" if self.run is not None else f"endpoint-{self.endpoint}"

    @property
    def words(self) -> str:
        return f"after run {self.run}" if self.run is not None else "while nothing is sent"


def lost_from(text: str) -> Lost | None:
    """Return what a name in a URL means; None if it is none."""
    named = _LOST.fullmatch(text)
    return None if named is None else Lost(**{named[1]: int(named[2])})


@dataclass(frozen=True, slots=True)
class Change:
    """An event that may have happened in a span: of which contract, and what is known of it at an endpoint.

    `kind`, `reason` and `consequence` are its open finding's; without one, `kind` is None. `is_told` is whether a
    delivery of it was seen, or the handler took it from Redeliver.
    """

    contract: int
    event: Event
    kind: Kind | None = None
    reason: Reason = Reason.NONE
    consequence: Consequence = Consequence.NONE
    until: datetime | None = None
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the events of a span at an endpoint. The numbers are of contracts.

    `missing` are events that the handler never took; the contracts that lack any are in `lacking`, by primary key.
    `coming` are those of which an event may still come, until `until` as far as is known. `harmless` are those of which
    an event failed or is missing without a known consequence, such as the start of a contract that has ended. `unclear`
    are those of which it is not known. `more`: there are more contracts than were looked at.
    """

    started: int = 0
    ended: int = 0
    missing: tuple[tuple[Event, int], ...] = ()
    lacking: frozenset[int] = frozenset()
    coming: frozenset[int] = frozenset()
    until: datetime | None = None
    harmless: int = 0
    unclear: int = 0
    more: bool = False

    @property
    def concerned(self) -> frozenset[int]:
        """The contracts that lack an event; if there are none, those of which one may still come."""
        return self.lacking or self.coming


@dataclass(frozen=True, slots=True)
class Reads:
    """What is known of the reads of an install's contracts: scopes of its token, and columns of `Reconciliation`.

    `read_at` is when the older of the last reads of contracts and of links began; None before the first of both.
    """

    scopes: tuple[str, ...] = ()
    read_at: datetime | None = None
    judged_at: datetime | None = None
    due_at: datetime | None = None
    error: str = ""
    out_of_reach: str = ""

    @property
    def lacks(self) -> str:
        """Say why contracts are not known, and what to do, if the token may not read them; else empty."""
        return not_known((Read.CONTRACTS, Read.LINKS), scopes=self.scopes)


def others_than_contracts(event_types: Iterable[str]) -> bool:
    """Return whether an endpoint subscribes to events that do not follow from contracts, which no read shows."""
    return bool(set(event_types) - {event.value for event in Event})


def may_have_happened(event: Event, *, contract: ContractFacts, since: datetime, until: datetime) -> bool:
    """Return whether an event may have happened between two times."""
    when = moment(event, contract=contract)
    return when is not None and when.until >= since and (when.since is None or when.since <= until)


def found(changes: Iterable[Change], *, subscribed: Iterable[str], more: bool = False) -> Found:
    """Return what became of the events. Of event types that are not subscribed, nothing is missing."""
    changed, types = list(changes), set(subscribed)
    wanted = [one for one in changed if one.event in types and one.reason not in EXPECTED]
    settled = [one for one in wanted if one.kind is not None and one.kind.is_settled]
    harmless = [one for one in settled if _is_harmless(one)]
    missing = [one for one in settled if not _is_harmless(one)]
    coming = [one for one in wanted if one.kind is not None and not one.kind.is_settled]
    return Found(
        started=len(_contracts(changed, Event.STARTED)),
        ended=len(_contracts(changed, Event.ENDED)),
        missing=tuple((event, len(of)) for event in reversed(Event) if (of := _contracts(missing, event))),
        lacking=frozenset(one.contract for one in missing),
        coming=frozenset(one.contract for one in coming),
        until=max((one.until for one in coming if one.until is not None), default=None),
        harmless=len({one.contract for one in harmless}),
        unclear=len({one.contract for one in wanted if one.kind is None and not one.is_told}),
        more=more,
    )


def _is_harmless(one: Change) -> bool:
    """Return whether nothing follows from it: the start of a contract that has ended must not be delivered any more."""
    return not one.consequence and (one.kind is Kind.FAILED or one.event is Event.STARTED)


def _contracts(changes: Iterable[Change], event: Event) -> set[int]:
    return {one.contract for one in changes if one.event is event}


def missing_words(missing: Sequence[tuple[Event, int]]) -> str:
    """Return "the handler never took contract.ended of 2 contracts and contract.started of 1 contract"."""
    parts = [f"{event.value} of {contracts_words(count)}" for event, count in missing]
    return f"the handler never took {' and '.join(parts)}"


def stop_words(stop: Stop, one: Found, *, reads: Reads, now: datetime) -> tuple[str, ...]:
    """Say what contracts did while nothing was sent, what of it the handler lacks, and what is not known."""
    if reads.lacks:
        return (f"What contracts did while nothing was sent: {_lower(reads.lacks)}",)
    if reads.read_at is None:
        return ("What contracts did while nothing was sent is not known: they have not been read yet.",)
    said = [_changed(stop, one, now=now)]
    if one.missing:
        said.append(f"{_upper(missing_words(one.missing))}.")
    if one.coming:
        until = "" if one.until is None or one.until <= now else f" until {clock(then=one.until, now=now)}"
        said.append(f"Events of {contracts_words(len(one.coming))} may still come{until}.")
    why = _gaps(stop, one, reads=reads, now=now)
    return (*said, f"Not all of it is known: {why}.") if why else tuple(said)


def run_words(since: datetime, one: Found, *, now: datetime) -> str:
    """Say what contracts did from when deliveries stopped, before a run, until the run ended."""
    return _changes(one, span=f"between {clock(then=since, now=now)}, when deliveries stopped, and the end of the run")


def _changed(stop: Stop, one: Found, *, now: datetime) -> str:
    until = "" if stop.until is None else f" until {clock(then=stop.until, now=now)}"
    return _changes(one, span=f"while nothing was sent (from {clock(then=stop.since, now=now)}{until})")


def _changes(one: Found, *, span: str) -> str:
    parts = [
        f"{contracts_words(count)} {verb}" for count, verb in ((one.ended, "ended"), (one.started, "started")) if count
    ]
    if not parts:
        return f"No contract is known to have started or ended {span}."
    more = "more than " if one.more else ""
    return f"{_upper(more)}{' and '.join(parts)} {span}, as far as the times are known."


def _gaps(stop: Stop, one: Found, *, reads: Reads, now: datetime) -> str:
    """Return what may be missing from what is said; empty if nothing."""
    gaps = [
        ("its beginning is not in the history", not stop.is_begun_known),
        (f"the last read of contracts failed ({reads.error.rstrip('.')})", bool(reads.error)),
        (reads.out_of_reach.rstrip("."), bool(reads.out_of_reach)),
        (f"of {contracts_words(one.unclear)} the log of that time does not tell", one.unclear > 0),
        (_read_before(stop, reads, now=now), True),
    ]
    return "; ".join(words for words, holds in gaps if holds and words)


def _read_before(stop: Stop, reads: Reads, *, now: datetime) -> str:
    if reads.read_at is None or stop.until is None or reads.read_at >= stop.until:
        return ""
    return f"contracts were last read at {clock(then=reads.read_at, now=now)}"


def pause_words(*, active: int, more: bool, reads: Reads) -> str:
    """Say what a pause can do to people, and how one learns of it. `active` counts the install's active contracts."""
    harm = "the handler may never learn of it, and the person may keep access"
    if reads.lacks or reads.read_at is None:
        why = _lower(reads.lacks) if reads.lacks else "not known, because contracts have not been read yet."
        return f"If a contract ends meanwhile, {harm}. Which contracts that concerns: {why}"
    shown = "Redeliver goes on reading contracts and shows what is missing."
    if not active:
        return f"No contract is active now. If one starts or ends meanwhile, the handler may never learn it. {shown}"
    count = f"more than {active:,}" if more else f"{active:,}"
    contracts = "the active contract" if active == 1 else f"one of the {count} active contracts"
    return f"If {contracts} ends meanwhile, {harm}. {shown}"


def contracts_words(count: int) -> str:
    """Return "1 contract" or "2 contracts"."""
    return f"{count:,} contract{'' if count == 1 else 's'}"


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]
