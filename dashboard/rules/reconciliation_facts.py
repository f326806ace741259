"""The terms and the facts of reconciliation: events of contracts, verdicts on them, and all that a verdict rests on.

Two clocks are told apart. `…_seen_at`, evidence and history are Redeliver's own clock; `created_at` and `end_date` are
OpenTrain's. Sources: partner-api, "Links, contracts and budgets" and "Deliveries".
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from dashboard.rules.deliveries import Standing
from dashboard.rules.schedule import Schedule

CLOCKS_APART = timedelta(minutes=5)
"""How far OpenTrain's clock and ours may differ. Times of the same clock are compared as they are."""


class Event(StrEnum):
    """An event that follows from what a contract did. The value is its type."""

    STARTED = "contract.started"
    ENDED = "contract.ended"


class Kind(StrEnum):
    """What became of an event at an endpoint. Stored, so never change a value."""

    NOT_DUE = "not_due"
    """It has not happened: OpenTrain lists the contract as active. Or the endpoint was deleted before it."""
    TAKEN = "taken"
    TAKEN_IN_PART = "taken_in_part"
    """Taken for at least one of several links; of the others it is not known."""
    RETRYING = "retrying"
    REQUESTED = "requested"
    NOT_SEEN_YET = "not_seen_yet"
    """Nothing arrived, and it may still come until `Verdict.until`."""
    FAILED = "failed"
    REFUSED = "refused"
    """Nothing arrived, but the receiver refused requests of this type then, and it may have been among them."""
    OUT_OF_ORDER = "out_of_order"
    """The end was taken before the start: the handler may have given access back."""
    MISSING = "missing"
    NOT_KNOWN = "not_known"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ").capitalize()

    @property
    def is_finding(self) -> bool:
        """Whether it is not in order, or not yet."""
        return self not in {Kind.NOT_DUE, Kind.TAKEN, Kind.TAKEN_IN_PART, Kind.NOT_KNOWN}

    @property
    def is_settled(self) -> bool:
        """Whether nothing comes by itself any more that would change it."""
        return self in {Kind.FAILED, Kind.REFUSED, Kind.OUT_OF_ORDER, Kind.MISSING}


class Reason(StrEnum):
    """Why an event is missing, or why that is not known. Stored, so never change a value."""

    NONE = ""
    # Why it is missing.
    REGISTERED_AFTER = "registered_after"
    NOT_SUBSCRIBED = "not_subscribed"
    """Of what is not seen yet: the endpoint was last seen so, and it is not proven yet for the last moments."""
    DISABLED = "disabled"
    PAUSED = "paused"
    LINKED_AFTER = "linked_after"
    NO_LINK = "no_link"
    INSTALL_NOT_ACTIVE = "install_not_active"
    RECEIVER_AWAY = "receiver_away"
    UNPROVEN = "unproven"
    """OpenTrain did not send it, or it was lost on the way: not known which."""
    # Why it is not known.
    NO_LOG = "no_log"
    """OpenTrain delivers past Redeliver, or the handler reports what it took."""
    OUT_OF_PATH = "out_of_path"
    """OpenTrain delivered past Redeliver then, or may have: the handler may have taken it directly."""
    BEFORE_LOG = "before_log"
    """It happened before the endpoint's log began, or the log of that time is deleted."""
    STATUS_UNKNOWN = "status_unknown"
    """OpenTrain says a status that Redeliver does not know."""
    NOT_LISTED = "not_listed"
    """OpenTrain no longer lists the contract, which it does only while its job is linked."""
    # Why it may still come without a time.
    NOT_IN_LOG_YET = "not_in_log_yet"
    """A receiver holds attempts that are not in the log yet, and it may be among them."""


WORST_FIRST = (
    Kind.MISSING,
    Kind.OUT_OF_ORDER,
    Kind.FAILED,
    Kind.REFUSED,
    Kind.NOT_SEEN_YET,
    Kind.REQUESTED,
    Kind.RETRYING,
    Kind.NOT_KNOWN,
    Kind.TAKEN_IN_PART,
    Kind.TAKEN,
    Kind.NOT_DUE,
)
"""What became of events, the worst first, wherever one is chosen or they are sorted. What harms people comes before."""
EXPECTED = (Reason.REGISTERED_AFTER, Reason.NOT_SUBSCRIBED)
"""Why an event is missing that was never to come: OpenTrain sends no earlier events, and none that nobody chose."""


class Consequence(StrEnum):
    """What it means for people. Stored, so never change a value."""

    NONE = ""
    ACCESS = "access"
    """The contract ended, and the handler never took that: a person may still have access."""
    PROVISION = "provision"
    """The contract is active, and the handler never took its start: a person may have no access."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event at an endpoint.

    `at` is when it was taken (if out of order: when the start was taken), failed last or was refused. `until` is until
    when it may still come by itself. `happened_at` is when the contract started or ended, as far as is known.
    `handed_over` says that the handler took it from Redeliver, which had built it.
    `link_ids` are the links that it is true of, if the job has several and it is not true of all of them.
    `is_log_behind` says that attempts wait for the log, which may change it. Rows store neither of the two, so they do
    not take part in comparisons.
    """

    kind: Kind
    reason: Reason = Reason.NONE
    at: datetime | None = None
    until: datetime | None = None
    happened_at: datetime | None = None
    link_ids: tuple[str, ...] = field(default=(), compare=False)
    handed_over: bool = False
    is_log_behind: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class ContractFacts:
    """A contract; each field is the row's of the same name (models/contracts.py). `known_from` is the time before which
    the log may have been deleted before the contract was first seen.

    Each `…_seen_at` is when the read began.
    """

    status: str
    created_at: datetime | None
    end_date: datetime | None
    first_seen_at: datetime
    active_seen_at: datetime | None
    ended_seen_at: datetime | None
    known_from: datetime | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """A project link of the contract's job; fields as in models/contracts.py."""

    id: str
    created_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """The state of an endpoint from `at` on, until the next period. Between `not_before`, when it was last seen in the
    state before, and `at` either may have held. None: not known.
    """

    at: datetime
    not_before: datetime | None
    is_active: bool
    is_paused: bool = False
    event_types: frozenset[str] | None = None
    is_received: bool | None = None


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """An endpoint. `log_began_at` is when its deliveries began to reach the receiver; None: they do not.

    Since then they reach it, except where `periods` say otherwise: where the history does not tell, the log begins
    later. `synced_at` is when the last period was last seen to hold; None: only when it began. `is_logged_from_start`:
    the log began with the endpoint, which was registered through the receiver. `auto_disabled_at` is when OpenTrain
    disabled it last, after too many failures.
    """

    created_at: datetime | None
    log_began_at: datetime | None
    deleted_at: datetime | None = None
    periods: tuple[Period, ...] = ()
    synced_at: datetime | None = None
    is_logged_from_start: bool = False
    auto_disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A time of which something is known: [since, until]; `until` None: until now.

    `not_before` is since when it may have been so; None: it was not so before `since`.
    """

    since: datetime
    until: datetime | None
    not_before: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """A delivery of the event, as the evidence has it. `link_id` is None if its body does not tell."""

    event: Event
    link_id: str | None
    first_received_at: datetime
    last_attempt_at: datetime
    taken_at: datetime | None
    standing: Standing
    due_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class World:
    """All that a verdict depends on, besides the event and the time.

    `not_active` are the times in which the install was not active, `receiver_away` those in which no receiver ran, both
    only as far as proven. `refused_at` are the times of refused requests of each type. `is_log_behind` is whether
    receivers hold attempts that are not in the log yet, or may hold some. `seen` includes what was handed over.
    """

    contract: ContractFacts
    links: tuple[LinkFacts, ...]
    endpoint: EndpointFacts
    seen: tuple[Seen, ...]
    not_active: tuple[Interval, ...] = ()
    receiver_away: tuple[Interval, ...] = ()
    refused_at: tuple[tuple[Event, datetime], ...] = ()
    schedule: Schedule | None = None
    is_log_behind: bool = False
