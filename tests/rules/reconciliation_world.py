"""A simple model of the world for the rules of reconciliation: what truly happens, and what Redeliver sees of it.

`OpenTrain` has contracts, links, endpoints and deliveries, on its own clock. `Redeliver` reads and polls it at times of
its own, receives what is delivered through it, and keeps what it has seen as the rows do. Only `OpenTrain` knows what
handlers truly took.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from dashboard.rules.deliveries import DeliveryFacts, due_by, standing
from dashboard.rules.reconciliation import (
    ContractFacts,
    EndpointFacts,
    Event,
    Interval,
    LinkFacts,
    Period,
    Seen,
    World,
)
from dashboard.rules.schedule import Schedule

BEGIN = datetime(2026, 6, 12, 8, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
USUAL = Schedule(retry_delays=(MINUTE, 3 * MINUTE, 6 * MINUTE, 10 * MINUTE), run_interval=MINUTE)
FAST = Schedule(retry_delays=(SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND), run_interval=2 * SECOND)
"""As the demo's: the clocks may differ by more than all retries take."""
LONGEST_CALL = timedelta(seconds=14)
Key = tuple[int, Event, int, str]
"""An endpoint, an event, a contract, and a link."""


class Mood(Enum):
    """What happens to the attempts that are made."""

    FINE = "fine"
    FAILING = "the handler fails"
    LOST = "requests are lost before the receiver"
    UNHEARD = "responses are lost, so that OpenTrain tries again"
    REFUSED = "the receiver refuses the signature"


class Held(Enum):
    """What becomes of events for an endpoint that is not active: not documented."""

    DROPPED = "no delivery is made"
    FAILED = "a delivery is made that has failed"
    WAITING = "a delivery waits until it is active again"


class Lost(Enum):
    """Which events of one moment are lost before OpenTrain emits them."""

    NOTHING = "nothing"
    FIRST = "that of the first link"
    ALL = "all"


@dataclass
class Link:
    id: str
    made_at: datetime
    gone_at: datetime | None = None


@dataclass
class Contract:
    id: int
    began_at: datetime
    said_created_at: datetime | None
    ended_at: datetime | None = None
    said_end_date: datetime | None = None

    def at(self, event: Event) -> datetime | None:
        return self.began_at if event is Event.STARTED else self.ended_at


@dataclass
class Endpoint:
    id: int
    made_at: datetime
    types: frozenset[str]
    is_active: bool = True
    is_paused: bool = False
    is_received: bool = True
    deleted_at: datetime | None = None

    @property
    def state(self) -> tuple[bool, bool, frozenset[str], bool]:
        return self.is_active, self.is_paused, self.types, self.is_received


@dataclass
class Delivery:
    """`is_asked` is whether people had it requeued, so that it does not come by itself."""

    id: int
    endpoint: Endpoint
    event: Event
    contract: Contract
    link: str
    is_told: bool
    due_at: datetime | None
    attempts: int = 0
    is_asked: bool = False

    @property
    def key(self) -> Key:
        return self.endpoint.id, self.event, self.contract.id, self.link


@dataclass(frozen=True)
class Attempt:
    """An attempt that reached the receiver."""

    delivery: Delivery
    at: datetime
    is_ok: bool


@dataclass
class Logged:
    """A delivery in the log, or evidence of it."""

    delivery: Delivery
    first_at: datetime
    last_at: datetime
    taken_at: datetime | None = None
    last_ok: bool = False
    attempts: int = 0
    requested_at: datetime | None = None
    abandoned_at: datetime | None = None

    def seen(self, schedule: Schedule) -> Seen:
        facts = DeliveryFacts(self.last_ok, self.attempts, self.last_at, self.requested_at, self.abandoned_at)
        return Seen(
            self.delivery.event,
            self.delivery.link if self.delivery.is_told else None,
            self.first_at,
            self.last_at,
            self.taken_at,
            standing(facts=facts, schedule=schedule),
            due_by(facts=facts, schedule=schedule),
        )


@dataclass
class OpenTrain:
    """The truth. `now` is by Redeliver's clock, and OpenTrain's own is `skew` ahead."""

    skew: timedelta
    schedule: Schedule = USUAL
    now: datetime = BEGIN
    is_install_active: bool = True
    links: list[Link] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    taken: dict[Key, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    """What handlers took through Redeliver."""
    taken_directly: dict[Key, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    """What they took past Redeliver, without being asked for by people."""
    links_then: dict[tuple[Event, int], frozenset[str]] = field(default_factory=dict)
    install_then: dict[tuple[Event, int], bool] = field(default_factory=dict)
    endpoint_then: dict[tuple[int, Event, int], tuple[bool, bool, frozenset[str], bool]] = field(default_factory=dict)
    receiver_then: dict[tuple[Event, int], bool] = field(default_factory=dict)
    mood: Mood = Mood.FINE
    held: Held = Held.DROPPED
    late: timedelta = timedelta()
    """How late the next attempts are: a delivery run may be up to its interval away."""
    is_receiver_here: bool = True
    receive: Callable[[Attempt], None] = lambda _: None
    refuse: Callable[[Delivery, datetime], None] = lambda _delivery, _at: None

    def said(self, at: datetime) -> datetime:
        """Return a time as OpenTrain's clock shows it."""
        return at + self.skew

    def linked(self) -> list[Link]:
        return [one for one in self.links if one.gone_at is None]

    def listed(self, status: str) -> list[Contract]:
        """Return the contracts of the only job, while a link refers to it."""
        return (
            [one for one in self.contracts if (one.ended_at is None) == (status == "active")] if self.linked() else []
        )

    def living(self) -> list[Endpoint]:
        return [one for one in self.endpoints if one.deleted_at is None]

    def emit(self, event: Event, contract: Contract, *, lost: Lost, told: bool) -> None:
        """Note what held at this moment, and make one event for each link, if none is lost."""
        self.links_then[event, contract.id] = frozenset(one.id for one in self.linked())
        self.install_then[event, contract.id] = self.is_install_active
        self.receiver_then[event, contract.id] = self.is_receiver_here
        for endpoint in self.living():
            self.endpoint_then[endpoint.id, event, contract.id] = endpoint.state
        if lost is Lost.ALL or not self.is_install_active:
            return
        for endpoint in self.living():
            if event.value in endpoint.types and (endpoint.is_active or self.held is not Held.DROPPED):
                for link in self.linked()[1 if lost is Lost.FIRST else 0 :]:
                    self._deliver(endpoint, event, contract, link=link.id, told=told)

    def _deliver(self, endpoint: Endpoint, event: Event, contract: Contract, *, link: str, told: bool) -> None:
        is_failed = not endpoint.is_active and self.held is Held.FAILED
        due_at = None if is_failed else self.now + self.late
        self.deliveries.append(Delivery(len(self.deliveries), endpoint, event, contract, link, told, due_at))

    def comes(self, delivery: Delivery) -> bool:
        """Return whether it will be attempted without anything else happening."""
        endpoint = delivery.endpoint
        return (
            delivery.due_at is not None
            and endpoint.is_active
            and endpoint.deleted_at is None
            and self.is_install_active
        )

    def wait(self, duration: timedelta) -> None:
        """Let time pass, with the attempts that are due."""
        until = self.now + duration
        while waiting := [one for one in self.deliveries if self.comes(one) and one.due_at <= until]:
            delivery = min(waiting, key=lambda one: (one.due_at, one.id))
            # One that waited through a pause is attempted by the next delivery run.
            self.now = max(self.now, delivery.due_at)
            self._attempt(delivery)
        self.now = until

    def _attempt(self, delivery: Delivery) -> None:
        is_ok = self.mood in {Mood.FINE, Mood.UNHEARD}
        if not delivery.endpoint.is_received:
            if is_ok and not delivery.is_asked:
                self.taken_directly[delivery.key].append(self.now)
        elif self.mood is Mood.LOST or not self.is_receiver_here:
            is_ok = False
        elif self.mood is Mood.REFUSED:
            self.refuse(delivery, self.now)
        else:
            if is_ok:
                self.taken[delivery.key].append(self.now)
            self.receive(Attempt(delivery, self.now, is_ok))
        delivery.attempts += 1
        if (is_ok and self.mood is not Mood.UNHEARD) or delivery.attempts > len(self.schedule.retry_delays):
            delivery.due_at = None
        else:
            delivery.due_at = self.now + self.schedule.retry_delays[delivery.attempts - 1] + self.late

    def disable(self, endpoint: Endpoint) -> None:
        """Disable it automatically: what waits has failed."""
        endpoint.is_active, endpoint.is_paused = False, False
        for one in self.deliveries:
            if one.endpoint is endpoint:
                one.due_at = None

    def enable(self, endpoint: Endpoint) -> None:
        endpoint.is_active, endpoint.is_paused = True, False
        self._put_off(endpoint)

    def _put_off(self, endpoint: Endpoint) -> None:
        for one in self.deliveries:
            if one.endpoint is endpoint and one.due_at is not None:
                one.due_at = max(one.due_at, self.now + self.late)

    def activate(self) -> None:
        self.is_install_active = True
        for endpoint in self.endpoints:
            self._put_off(endpoint)

    def requeue(self, endpoint: Endpoint) -> list[Delivery]:
        """Requeue what has failed, because people ask for it."""
        failed = [
            one
            for one in self.deliveries
            if one.endpoint is endpoint and one.due_at is None and not self.taken[one.key]
        ]
        for one in failed:
            one.attempts, one.due_at, one.is_asked = 0, self.now + self.late, True
        return failed


@dataclass
class Redeliver:
    """What Redeliver has seen of OpenTrain, as its rows keep it."""

    truth: OpenTrain
    is_connected: bool = False
    links: dict[str, LinkFacts] = field(default_factory=dict)
    contracts: dict[int, ContractFacts] = field(default_factory=dict)
    endpoints: dict[int, EndpointFacts] = field(default_factory=dict)
    installs: list[tuple[datetime, datetime | None, bool]] = field(default_factory=list)
    """When it was first seen so, when it was last seen otherwise, and whether it was active."""
    install_synced_at: datetime | None = None
    log: dict[int, Logged] = field(default_factory=dict)
    evidence: dict[int, Logged] = field(default_factory=dict)
    handed_over: list[tuple[Key, datetime]] = field(default_factory=list)
    spool: list[Attempt] = field(default_factory=list)
    is_spooling: bool = False
    refused: list[tuple[int, Event, datetime]] = field(default_factory=list)
    away: list[Interval] = field(default_factory=list)
    away_since: datetime | None = None
    deleted_before: datetime | None = None
    """The log from before this time has been deleted."""
    changed: set[int] = field(default_factory=set)
    """Endpoints, and -1 for the install, that have changed since they were last polled."""

    def __post_init__(self) -> None:
        self.truth.receive = self._receive
        self.truth.refuse = lambda delivery, at: self.refused.append((delivery.endpoint.id, delivery.event, at))

    def _receive(self, attempt: Attempt) -> None:
        self.spool.append(attempt)
        if not self.is_spooling:
            self.flush()

    def flush(self) -> None:
        """Write the spool to the log."""
        for one in self.spool:
            row = self.log.setdefault(one.delivery.id, Logged(one.delivery, one.at, one.at))
            row.last_at, row.last_ok, row.abandoned_at = one.at, one.is_ok, None
            row.attempts = 1 if row.requested_at is not None else row.attempts + 1
            row.requested_at = None
            if one.is_ok:
                row.taken_at = row.taken_at or one.at
        self.spool = []

    def poll(self, at: datetime) -> None:
        """Read the endpoints and the install's status now, in a call that began at `at`."""
        active, seen = self.truth.is_install_active, {one.id: one for one in self.truth.living()}
        if not self.installs or self.installs[-1][2] != active:
            self.installs.append((at, self.install_synced_at, active))
        self.install_synced_at = at
        for name, known in self.endpoints.items():
            if name not in seen and known.deleted_at is None:
                self.endpoints[name] = replace(known, deleted_at=at)
                self._abandon(name, at)
        for name, one in seen.items():
            before = self.endpoints.get(name) or EndpointFacts(self.truth.said(one.made_at), None)
            state = Period(at, before.synced_at, one.is_active, one.is_paused, one.types, one.is_received)
            periods = before.periods
            if not periods or replace(periods[-1], at=at, not_before=before.synced_at) != state:
                periods = (*periods, state)
            self.endpoints[name] = replace(before, periods=periods, synced_at=at)
            if not one.is_active and not one.is_paused:
                self._abandon(name, at)
        self.changed = set()

    def _abandon(self, endpoint: int, at: datetime) -> None:
        for row in self.log.values():
            if row.delivery.endpoint.id == endpoint and not row.last_ok:
                row.abandoned_at, row.requested_at = at, None

    def read_links(self, at: datetime) -> None:
        listed = {one.id: one for one in self.truth.linked()}
        for name, one in listed.items():
            known = self.links.get(name) or LinkFacts(name, self.truth.said(one.made_at), at, at)
            self.links[name] = replace(known, last_seen_at=at)
        for name, known in self.links.items():
            if name not in listed and known.gone_at is None:
                self.links[name] = replace(known, gone_at=at)

    def read_contracts(self, at: datetime, *, status: str) -> None:
        for one in self.truth.listed(status):
            known = self.contracts.get(one.id) or ContractFacts(
                "", one.said_created_at, None, at, None, None, known_from=self.deleted_before
            )
            known = replace(known, status=status, end_date=one.said_end_date)
            if status == "active":
                known = replace(known, active_seen_at=at)
            elif known.ended_seen_at is None:
                known = replace(known, ended_seen_at=at)
            self.contracts[one.id] = replace(known, gone_at=None)
        listed = {one.id for some in ("active", "ended") for one in self.truth.listed(some)}
        for name, known in self.contracts.items():
            if name not in listed and known.gone_at is None:
                self.contracts[name] = replace(known, gone_at=at)

    def harvest(self) -> None:
        for name, row in self.log.items():
            if row.delivery.contract.id in self.contracts:
                before = self.evidence.get(name)
                taken = [at for at in (row.taken_at, before and before.taken_at) if at]
                self.evidence[name] = replace(row, taken_at=min(taken, default=None))

    def forget(self, before: datetime) -> None:
        """Delete what is old, as retention does: the log, the history and the refused requests."""
        self.harvest()
        self.deleted_before = max(before, self.deleted_before or before)
        self.log = {name: row for name, row in self.log.items() if row.last_at >= before}
        self.refused = [one for one in self.refused if one[2] >= before]
        self.away = [one for one in self.away if one.until is None or one.until >= before]
        for name, one in self.endpoints.items():
            kept = tuple(period for period in one.periods[:-1] if period.at >= before)
            self.endpoints[name] = replace(one, periods=(*kept, *one.periods[-1:]))

    def hand_over(self, key: Key) -> None:
        """Send the handler what is missing. The handler takes it."""
        self.truth.taken[key].append(self.truth.now)
        self.handed_over.append((key, self.truth.now))

    def world(self, *, contract: int, endpoint: int) -> World:
        seen = [
            row.seen(self.truth.schedule)
            for row in self.evidence.values()
            if row.delivery.contract.id == contract and row.delivery.endpoint.id == endpoint
        ]
        for (of_endpoint, event, of_contract, link), at in self.handed_over:
            if (of_endpoint, of_contract) == (endpoint, contract):
                handed = Delivery(
                    -1, self.truth.endpoints[endpoint], event, self.truth.contracts[contract], link, True, None
                )
                seen.append(Logged(handed, at, at, taken_at=at, last_ok=True, attempts=1).seen(self.truth.schedule))
        known = self.endpoints[endpoint]
        # What the history does not reach back to is not in the log for certain.
        log_began_at = known.periods[0].at if any(one.is_received for one in known.periods) else None
        away = [*self.away, *([Interval(self.away_since, None)] if self.away_since else [])]
        return World(
            contract=self.contracts[contract],
            links=tuple(self.links.values()),
            endpoint=replace(known, log_began_at=log_began_at),
            seen=tuple(seen),
            not_active=tuple(self._not_active()),
            receiver_away=tuple(away),
            refused_at=tuple((event, at) for name, event, at in self.refused if name == endpoint),
            schedule=self.truth.schedule,
            is_log_behind=bool(self.spool),
        )

    def _not_active(self) -> Iterator[Interval]:
        for place, (at, before, is_active) in enumerate(self.installs):
            following = self.installs[place + 1] if place + 1 < len(self.installs) else None
            if not is_active:
                yield Interval(at, None if following is None else max(at, following[1] or at), before)
