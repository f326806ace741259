"""Words of what contracts' missing events mean for people, and of whether any are known to be missing. Pure.

Counts are of contracts. Names of customers are untrusted: pages escape them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dashboard.rules.durations import ago, clock
from dashboard.rules.handler_names import THE_HANDLER
from dashboard.rules.reads import Read
from dashboard.rules.reconciliation import Event

SLACK = timedelta(minutes=5)
"""How much longer than two intervals a read of contracts may take until it counts as late."""
COUNTED = 1000
"""Most findings that are counted of a kind; beyond that, only "more than" is known."""
NAMED = 3
"""Most times that a sentence names; of more, it names the oldest."""


class Need(StrEnum):
    """What the inbox says of an install's contracts, the worst first. The value is the finding that lists filter by."""

    ACCESS = "access"
    """Ended, and a handler never took that: a person may still have access."""
    OUT_OF_ORDER = "out_of_order"
    """A handler took the end before the start: a person may have access again."""
    PROVISION = "provision"
    """Started, and a handler never took that: a person may have no access."""
    COMING = "not_seen_yet"
    """Ended, nothing arrived yet, and it may still come."""
    RETRYING = "retrying"
    """Ended, the handler did not take that yet, and OpenTrain still attempts it."""
    REQUESTED = "requested"
    """The same, and OpenTrain was asked to attempt it again."""

    @property
    def needs_attention(self) -> bool:
        """Whether nothing comes automatically any more that would change it."""
        return self in {Need.ACCESS, Need.OUT_OF_ORDER, Need.PROVISION}

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Need.ACCESS: "May have access",
    Need.OUT_OF_ORDER: "Out of order",
    Need.PROVISION: "Not provisioned",
    Need.COMING: "Not seen yet",
    Need.RETRYING: "Retrying",
    Need.REQUESTED: "Requested again",
}


@dataclass(frozen=True, slots=True)
class Affected:
    """An install's contracts with the same need.

    `more`: there are more than counted. `times` are when the newest of them started or ended, newest first, and at most
    NAMED; `oldest` is when the first did. Contracts of which that is not known are in neither, and `undated` then.
    `until` is until when the last of them may still come. `first_counted` are those of them that no worse need has, so
    that a sum over needs counts no contract twice.
    """

    need: Need
    contracts: int
    handlers: int
    first_counted: int = 0
    times: tuple[datetime, ...] = ()
    oldest: datetime | None = None
    undated: bool = False
    until: datetime | None = None
    more: bool = False

    @property
    def counted(self) -> str:
        return f"more than {self.contracts:,}" if self.more else f"{self.contracts:,}"

    @property
    def is_many(self) -> bool:
        return self.contracts > 1

    def words(self, *, install: str, handler: str = THE_HANDLER, now: datetime) -> str:
        """Say what it means for people, and why. `handler` is what the reader calls the handler of an endpoint."""
        return _capital(_WORDS[self.need](self, install, self._named(handler), now))

    def _named(self, handler: str) -> str:
        if self.handlers == 1:
            return handler
        return "a handler" if handler == THE_HANDLER else f"one of {handler}s"


def _access(found: Affected, install: str, handler: str, now: datetime) -> str:
    people, theirs = ("people", "their contracts") if found.is_many else ("person", "their contract")
    return (
        f"{found.counted} {people} may still have access to {install}: {theirs} {_happened(found, 'ended', now)}, and "
        f"{handler} never took {Event.ENDED.value}."
    )


def _out_of_order(found: Affected, install: str, handler: str, now: datetime) -> str:
    people, theirs = ("people", "their contracts") if found.is_many else ("person", "their contract")
    return (
        f"{found.counted} {people} may have access to {install} again: {theirs} {_happened(found, 'ended', now)}, and "
        f"{handler} took {Event.ENDED.value} before {Event.STARTED.value}."
    )


def _provision(found: Affected, install: str, handler: str, now: datetime) -> str:
    contracts, were = ("contracts", "were") if found.is_many else ("contract", "was")
    happened = _happened(found, "started", now)
    comma = "," * (", the " in happened)
    return (
        f"{found.counted} {contracts} of {install} {happened}{comma} and {were} never provisioned: "
        f"{handler} never took {Event.STARTED.value}."
    )


def _coming(found: Affected, install: str, _handler: str, now: datetime) -> str:
    return f"{found.counted} {Event.ENDED.value} of {install} not seen yet; {_until(found, 'come', now)}."


def _retrying(found: Affected, install: str, _handler: str, now: datetime) -> str:
    are = "are" if found.is_many else "is"
    return f"{found.counted} {Event.ENDED.value} of {install} {are} not taken yet; {_until(found, 'be taken', now)}."


_WORDS = {
    Need.ACCESS: _access,
    Need.OUT_OF_ORDER: _out_of_order,
    Need.PROVISION: _provision,
    Need.COMING: _coming,
    Need.RETRYING: _retrying,
    Need.REQUESTED: _retrying,
}


def _happened(found: Affected, verb: str, now: datetime) -> str:
    """Return "ended 5 h and 3 days ago", or for many or unknown times what is known of them."""
    if found.oldest is not None and not found.undated and not found.more and found.contracts <= len(found.times):
        return f"{verb} {_ago(found.times, now)}"
    have = "have" if found.is_many else "has"
    if found.oldest is None:
        return f"{have} {verb}"
    oldest = "oldest known" if found.undated or found.more else "oldest"
    return f"{have} {verb}, the {oldest} {_ago([found.oldest], now)}"


def _ago(times: Sequence[datetime], now: datetime) -> str:
    """Return "5 h, 2 days and 3 days ago", newest first. Equal words are said once."""
    words = [ago(then=one, now=now) for one in times]
    spans = list(dict.fromkeys(one.removesuffix(" ago") for one in words))
    return f"{joined(spans)}{' ago' if words[-1].endswith(' ago') else ''}"


def _until(found: Affected, come: str, now: datetime) -> str:
    it = "they" if found.is_many else "it"
    if found.until is None or found.until <= now:
        return f"{it} may still {come}"
    return f"{it} may {come} until {clock(then=found.until, now=now)}"


class Unknown(StrEnum):
    """Why it is not known of an install whether events of its contracts are missing: the first that fits.

    The value is said of one install, `many` of several.
    """

    NO_SCOPE = f"its token lacks {Read.CONTRACTS.value} or {Read.LINKS.value}"
    NEVER_READ = "its contracts have not been read yet"
    FAILED = "the last read of its contracts failed"
    OUT_OF_REACH = "some of its contracts are out of reach"
    OUTDATED = "its contracts were not read lately"
    DIRECT = "not all of its endpoints deliver through Redeliver"

    @property
    def many(self) -> str:
        return _MANY[self]


_MANY = {
    Unknown.NO_SCOPE: f"without {Read.CONTRACTS.value} or {Read.LINKS.value}",
    Unknown.NEVER_READ: "not read yet",
    Unknown.FAILED: "whose last read failed",
    Unknown.OUT_OF_REACH: "with contracts out of reach",
    Unknown.OUTDATED: "not read lately",
    Unknown.DIRECT: "with endpoints that don't deliver through Redeliver",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the contracts of all installs with an endpoint that subscribes to contract events.

    `installs` counts these installs, `unknown` those of which it is not known whether events are missing, by reason.
    `missing` and `coming` are events of open findings; of those above COUNTED, only "more than" is known. `expected`:
    events are missing from before an endpoint was registered, which OpenTrain never sends.
    """

    installs: int = 0
    unknown: tuple[tuple[Unknown, int], ...] = ()
    missing: int = 0
    coming: int = 0
    expected: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether no event is known to be missing, and everything was read."""
        return not (self.unknown or self.missing or self.coming)

    @property
    def words(self) -> str:
        """Say what is known; empty if no endpoint subscribes to contract events."""
        if not self.installs:
            return ""
        said = [self._open(), self._unknown()]
        since = " since the endpoints were registered" if self.expected else ""
        return " ".join(one for one in said if one) or f"No contract's event is known to be missing{since}."

    def _open(self) -> str:
        kinds = ((self.missing, "not taken, without a known consequence"), (self.coming, "still to come"))
        parts = [f"{_events(count)} {words}" for count, words in kinds if count]
        return f"{_capital(joined(parts))}." if parts else ""

    def _unknown(self) -> str:
        if not self.unknown:
            return ""
        begin = "Whether events of contracts are missing is not known"
        if self.installs == 1:
            return f"{begin}: {joined([why.value for why, _one in self.unknown])}."
        reasons = ", ".join(f"{count:,} {why.many}" for why, count in self.unknown)
        return f"{begin} for {sum(count for _why, count in self.unknown):,} of {self.installs:,} installs: {reasons}."


def _events(count: int) -> str:
    if count > COUNTED:
        return f"more than {COUNTED:,} events"
    return f"{count:,} event{'' if count == 1 else 's'}"


def joined(parts: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), *parts[-1:]])


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
