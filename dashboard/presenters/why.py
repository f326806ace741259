"""The answer to “Why didn't it come?” for an ID: of contracts, links, deliveries, an install, or of nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from dashboard.config.schedule import schedule
from dashboard.models import Contract, Delivery, Endpoint, Install, ProjectLink, RefusedAttempt, User
from dashboard.presenters.contract_page import NO_ENDPOINT, Answer, answer, cells_of
from dashboard.presenters.contract_timeline import EVENTS, place_of
from dashboard.presenters.rows import health_of, state_of
from dashboard.queries.contract_story import endpoints_of, judged, story
from dashboard.queries.event_endpoints import OfEvent
from dashboard.queries.why import LookedThrough, Named, NamedBy
from dashboard.rules import other_events, unknown_ids
from dashboard.rules.contract_answers import Cell, as_text, rank, worst_first
from dashboard.rules.deliveries import DeliveryState, StateKind
from dashboard.rules.durations import ago, exactly
from dashboard.rules.event_endpoints import Absent, absent
from dashboard.rules.unknown_ids import Looked

LISTED = 20
"""Contracts that the page lists; the list of the install has all."""
_WORST_FIRST = (
    StateKind.FAILED,
    StateKind.OVERDUE,
    StateKind.RETRYING,
    StateKind.REQUESTED_AGAIN,
    StateKind.DELIVERED,
)


_LISTED_BY = frozenset({NamedBy.CONTRACT, NamedBy.JOB, NamedBy.LINK, NamedBy.PROJECT})
"""IDs by which the list of an install's contracts can be filtered."""
UNKNOWN = "No contract, link, delivery or event that you can see has this ID"


@dataclass(frozen=True, slots=True)
class Listed:
    """A contract with the worst of its events; None if its install has no endpoint."""

    contract: Contract
    worst: Cell | None


@dataclass(frozen=True, slots=True)
class Line:
    """A delivery and its state; or, without a delivery, an endpoint that has none, and why."""

    endpoint: Endpoint
    place: str
    words: str
    delivery: Delivery | None = None
    state: DeliveryState | None = None
    absent: Absent | None = None


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A refused request that claimed the ID, and the page that explains it."""

    refused: RefusedAttempt
    place: str
    url: str


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """An endpoint with the name, and its state as a chip and in words."""

    endpoint: Endpoint
    kind: str
    label: str
    words: str


@dataclass(frozen=True, slots=True)
class LinkLine:
    link: ProjectLink
    words: str


@dataclass(frozen=True, slots=True)
class ListLink:
    """A link to the contracts of an install that have the ID."""

    install: Install
    url: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """What is said of an ID that nothing has."""

    looked: tuple[str, ...]
    meanings: tuple[str, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """The page's answer. `told` is that of exactly one contract, `listed` are several, the worst first, and
    `told_of_listed` is the answer in a sentence.

    `lead` is the answer in a sentence where there is no contract. `notes` are sentences about events that are not of
    contracts. `summary` is the answer as plain text.
    """

    heading: str
    told: Answer | None = None
    listed: tuple[Listed, ...] = ()
    told_of_listed: str = ""
    has_more: bool = False
    lists: tuple[ListLink, ...] = ()
    links: tuple[LinkLine, ...] = ()
    lines: tuple[Line, ...] = ()
    refused: tuple[RefusedLine, ...] = ()
    endpoints: tuple[EndpointLine, ...] = ()
    notes: tuple[str, ...] = ()
    lead: str = ""
    unknown: Unknown | None = None
    summary: str = ""


def why(*, text: str, named: Named, event: OfEvent | None, user: User, now: datetime) -> Why:
    """Return the answer for what has the ID. `event` is its one event at each endpoint."""
    told = None
    if len(named.contracts) == 1:
        told = answer(story(named.contracts[0], now=now), user=user, now=now)
    listed = _listed(named.contracts, user, now) if told is None else ()
    found = Why(
        heading=_heading(text, named),
        told=told,
        listed=listed[:LISTED],
        told_of_listed=_of_several(listed, has_more=named.has_more) if listed else "",
        has_more=named.has_more or len(listed) > LISTED,
        lists=_lists(text, named) if told is None else (),
        links=tuple(_link(link, now) for link in named.links),
        lines=_lines(named, event, now) if named.is_of_deliveries else (),
        notes=_notes(named, now),
    )
    lead = _lead(found)
    notes = tuple(note for note in found.notes if note != lead)
    return replace(found, lead=lead, notes=notes, summary=_summary(text, found, now))


def of_refused(*, text: str, refused: Sequence[RefusedAttempt], now: datetime) -> Why:
    """Return the answer for the ID of a delivery of which the receiver refused every request."""
    lines = tuple(
        RefusedLine(
            one,
            place_of(one.endpoint),
            f"{reverse('endpoint-doctor', args=[one.endpoint_id])}?{urlencode({'refused': one.pk})}",
        )
        for one in refused
    )
    first = lines[0]
    lead = (
        f"The receiver refused it at {first.place} {ago(then=first.refused.received_at, now=now)}: "
        f"{first.refused.explanation} The handler did not get it. OpenTrain retries refused requests as failed ones."
    )
    heading = f"Delivery {text}: refused"
    summary = [f"Why didn't it come? {text}", heading, f"As of {exactly(now)}.", lead]
    summary += [f"- {one.place}, {exactly(one.refused.received_at)}: {one.refused.explanation}" for one in lines]
    return Why(heading, refused=lines, lead=lead, summary=as_text(summary))


def of_endpoints(*, text: str, endpoints: Sequence[Endpoint], now: datetime) -> Why:
    """Return the answer for the name, the URL or the ID of an endpoint: its page says what is missing there."""
    lines = tuple(_endpoint_line(one) for one in endpoints)
    one = len(lines) == 1
    lead = "Its page says what is missing there." if one else "The page of each endpoint says what is missing there."
    heading = f"{'Endpoint' if one else f'{len(lines)} endpoints'}: {text}"
    summary = [f"Why didn't it come? {text}", heading, f"As of {exactly(now)}."]
    summary += [f"- {line.endpoint.title} of {line.endpoint.install.name}: {line.words}" for line in lines]
    return Why(heading, endpoints=lines, lead=lead, summary=as_text(summary))


def _endpoint_line(endpoint: Endpoint) -> EndpointLine:
    if endpoint.deleted_at is not None:
        return EndpointLine(endpoint, "deleted", "Deleted", "OpenTrain no longer has it. Its log is kept.")
    health = health_of(endpoint)
    return EndpointLine(endpoint, health.kind, health.label, health.words)


def unknown(*, text: str, looked_through: LookedThrough, user: User, now: datetime) -> Why:
    """Return what is said of an ID that nothing has that the user may see."""
    looked = Looked(
        installs=looked_through.installs,
        names=tuple(install.name for install in looked_through.named),
        reads_every=timedelta(seconds=settings.RECONCILE_EVERY_S),
        kept_days=settings.RETENTION_DAYS,
        sees_all=user.sees_every_install,
        oldest_read_at=looked_through.oldest_read_at,
        newest_read_at=looked_through.newest_read_at,
        unread=looked_through.unread,
        failing=looked_through.failing,
        cut=looked_through.cut,
        lacking=looked_through.lacking,
        log_since=looked_through.log_since,
    )
    said = Unknown(
        unknown_ids.looked_words(looked, now=now), unknown_ids.meanings(looked), unknown_ids.next_steps(looked)
    )
    lines = [
        f"{UNKNOWN}: {text}",
        f"As of {exactly(now)}.",
        *said.looked,
        "It can mean:",
        *(f"- {one}" for one in said.meanings),
    ]
    return Why(UNKNOWN, unknown=said, summary=as_text(lines))


def _heading(text: str, named: Named) -> str:
    count = len(named.contracts)
    if named.kind is NamedBy.CONTRACT and count == 1:
        return "Contract"
    if not named.contracts:
        return f"{named.kind.label} {text}"
    counted = "1 contract" if count == 1 else f"{'more than ' * named.has_more}{count:,} contracts"
    return f"{named.kind.label} {text}: {counted}"


def _listed(contracts: Sequence[Contract], user: User, now: datetime) -> tuple[Listed, ...]:
    """Return the contracts, the worst first; those without any verdict last."""
    found = judged(contracts, now=now)
    endpoints = endpoints_of(found.values())
    rows = []
    for contract in contracts:
        cells = cells_of(contract, judged=found[contract.pk], endpoints=endpoints, user=user, now=now)
        rows.append(Listed(contract, next(iter(worst_first(cells)), None)))
    return tuple(sorted(rows, key=_rank))


def _rank(row: Listed) -> tuple[int, int, int]:
    if row.worst is None:
        return (9, 0, 0)
    return (*rank(row.worst.verdict, row.worst.consequence), -row.contract.pk)


def _lists(text: str, named: Named) -> tuple[ListLink, ...]:
    """Return links to the contracts of each install that has any of these, if a list can be filtered by the ID."""
    if named.kind not in _LISTED_BY:
        return ()
    installs = {contract.install_id: contract.install for contract in named.contracts}
    query = urlencode({"q": text})
    return tuple(ListLink(one, f"{reverse('install-contracts', args=[pk])}?{query}") for pk, one in installs.items())


def _link(link: ProjectLink, now: datetime) -> LinkLine:
    words = other_events.link_words(
        created_at=link.created_at,
        seen_at=link.last_seen_at,
        gone_at=link.gone_at,
        has_job=bool(link.job_id),
        now=now,
    )
    return LinkLine(link, words)


def _lines(named: Named, event: OfEvent | None, now: datetime) -> tuple[Line, ...]:
    """Return the deliveries, the worst first, then those of the same event at other endpoints, then where none is.

    Of a contract's events, the verdicts on the contract say more of those endpoints.
    """
    lines = [_line(one, one.endpoint, now) for one in named.deliveries]
    lines.sort(key=_worst_first)
    is_judged = bool(named.contracts) and named.deliveries[0].event_type in EVENTS
    if event is None or is_judged:
        return tuple(lines)
    told = {delivery.pk for delivery in named.deliveries}
    others, without = [], []
    for endpoint in event.endpoints:
        delivery = event.deliveries.get(endpoint.pk)
        if delivery is None:
            why_not = absent(event.absent[endpoint.pk], happened=event.happened, schedule=schedule(), now=now)
            without.append(Line(endpoint, place_of(endpoint), why_not.words, absent=why_not))
        elif delivery.pk not in told:
            others.append(_line(delivery, endpoint, now))
    return (*lines, *sorted(others, key=_worst_first), *without)


def _line(delivery: Delivery, endpoint: Endpoint, now: datetime) -> Line:
    state = state_of(delivery=delivery, endpoint=endpoint, now=now)
    return Line(endpoint, place_of(endpoint), state.words, delivery, state)


def _worst_first(line: Line) -> int:
    return 0 if line.state is None else _WORST_FIRST.index(line.state.kind)


def _notes(named: Named, now: datetime) -> tuple[str, ...]:
    """Say what is known of events that are not judged: other types, and contracts that no list has."""
    notes: dict[str, None] = {}  # in order, each once
    types = {delivery.event_type for delivery in named.deliveries} if named.is_of_deliveries else set()
    for event_type in sorted(types - set(EVENTS)):
        notes[other_events.not_compared(event_type)] = None
    if any(event_type.startswith("milestone.") for event_type in types):
        for contract in named.contracts:
            words = other_events.budget_words(
                state=contract.budget_state,
                consumed=contract.budget_consumed,
                read_at=contract.budget_read_at,
                now=now,
            )
            notes[words] = None
    if types & set(EVENTS) and not named.contracts:
        for read_at in named.read_at.values():
            notes[other_events.unlisted_words(read_at=read_at, now=now)] = None
    if named.install is not None:
        install = named.install
        notes[
            other_events.install_words(
                status=install.status, checked_at=install.described_at or install.checked_at, now=now
            )
        ] = None
        if not types:
            notes[other_events.not_compared("install.revoked")] = None
    if named.links and not types:
        notes[other_events.not_compared("project_link.created or project_link.removed")] = None
    return tuple(notes)


def _lead(found: Why) -> str:
    """Return the answer in a sentence, if there is no contract: of the worst delivery, else of the link or install."""
    if found.told is not None or found.listed:
        return ""
    if found.lines:
        worst = found.lines[0]
        return f"{worst.delivery.event_type} at {worst.place}: {worst.words}" if worst.delivery is not None else ""
    if found.links:
        first = found.links[0]
        known = " Redeliver knows of no contract of its job." if first.link.job_id else ""
        return f"{first.words}{known}"
    return next(iter(found.notes), "")


def _of_several(listed: Sequence[Listed], *, has_more: bool) -> str:
    """Return how many of the contracts have which worst result, and the worst of all in its own words."""
    counts = Counter(row.worst.label if row.worst is not None else "No endpoint" for row in listed)
    counted = "; ".join(f"{label}: {count:,} contract{'' if count == 1 else 's'}" for label, count in counts.items())
    first = listed[0]
    if first.worst is None:
        return NO_ENDPOINT
    so_far = "Of those looked at: " if has_more else ""
    title = first.contract.title or first.contract.opentrain_id
    return f"{so_far}{counted}. The worst, {title}: {first.worst.words.full}"


def _summary(text: str, found: Why, now: datetime) -> str:
    """Return the answer as plain text. That of one contract is its own."""
    lines = [f"Why didn't it come? {text}", found.heading, f"As of {exactly(now)}."]
    if found.told_of_listed:
        lines.append(found.told_of_listed)
    for row in found.listed:
        said = row.worst.words.full if row.worst is not None else NO_ENDPOINT
        lines.append(f"- {row.contract.opentrain_id} ({row.contract.install.name}): {said}")
    if found.has_more:
        lines.append("- and more")
    lines += [
        f"- link {line.link.opentrain_id}, job {line.link.job_id or 'none'}: {line.words}" for line in found.links
    ]
    for line in found.lines:
        name = f"{line.delivery.event_type} {line.delivery.opentrain_id}: " if line.delivery is not None else ""
        label = f"{line.absent.label}. " if line.absent is not None else ""
        lines.append(f"- {line.place}: {name}{label}{line.words}")
    lines += found.notes
    return as_text(lines) if found.told is None else f"{as_text(lines)}\n\n{found.told.summary}"
