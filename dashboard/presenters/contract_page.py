"""The answer for a contract: what became of its events at each endpoint, what to do, and the same as plain text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.models import Contract, ContractChange, Delivery, Endpoint, Evidence, Handover, ProjectLink, User
from dashboard.models.endpoints import DISABLED
from dashboard.presenters import controls
from dashboard.presenters.contract_reads import ContractReads, contract_reads
from dashboard.presenters.contract_timeline import place_of, timeline_of
from dashboard.presenters.controls import Button, Control, Link
from dashboard.queries.contract_story import Judged, Story
from dashboard.rules import contract_answers
from dashboard.rules.contract_answers import Cell, one_per_endpoint, worst_first
from dashboard.rules.contract_timeline import Timeline
from dashboard.rules.deliveries import Standing
from dashboard.rules.durations import exactly
from dashboard.rules.handovers import SLUGS
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason
from dashboard.rules.reconciliation_words import words

ROWS = 100
"""Rows of the table, and verdicts of the copied text: those of the worst endpoints."""
SENTENCES = 5
"""Endpoints that the head of the page says a sentence about; the table has all."""
_HANDED_OVER = frozenset({Kind.MISSING, Kind.REFUSED})
"""What the event's own page may send, if nothing else is in the way: it says so."""
_PAST = frozenset({Reason.NO_LOG, Reason.OUT_OF_PATH})
NO_ENDPOINT = "Redeliver knows of no webhook endpoint of this install. Without one, OpenTrain sends its events nowhere."


@dataclass(frozen=True, slots=True)
class Row:
    """What became of an event at an endpoint, with the delivery that tells, if it is in the log."""

    cell: Cell
    delivery: Delivery | None
    delivery_id: str
    """The delivery's ID, also if only the evidence of it is left; empty if none arrived."""
    controls: tuple[Control, ...]
    handover: Handover | None = None
    """What Redeliver handed over instead, and the handler took; None if nothing, or if a delivery tells."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for a contract. `sentences` has the worst of each endpoint, the worst first; `unsaid` is the number
    of endpoints that have none there. `rows` are by endpoint, started before ended; `beyond` counts those left out.
    """

    contract: Contract
    sentences: tuple[Cell, ...]
    unsaid: int
    rows: tuple[Row, ...]
    beyond: int
    timeline: Timeline
    links: tuple[ProjectLink, ...]
    changes: tuple[ContractChange, ...]
    reads: ContractReads
    summary: str

    @property
    def worst(self) -> Cell | None:
        return self.sentences[0] if self.sentences else None

    @property
    def only(self) -> Cell | None:
        """The worst if there is one endpoint: of several, each sentence has its own chip."""
        return None if self.has_several else self.worst

    @property
    def has_several(self) -> bool:
        """Whether there are several endpoints, so that each sentence names its own."""
        return len(self.sentences) + self.unsaid > 1

    @property
    def name(self) -> str:
        return self.contract.title.strip() or "Contract without a title"

    @property
    def nowhere(self) -> str:
        """Why there is no verdict; empty if there is one."""
        return "" if self.rows else NO_ENDPOINT


def answer(story: Story, *, user: User, now: datetime) -> Answer:
    """Return the answer for a contract as this user sees it."""
    cells = cells_of(story.contract, judged=story.judged, endpoints=story.endpoints, user=user, now=now)
    reads = contract_reads(story.contract.install, now=now)
    said = one_per_endpoint(cells)
    told = timeline_of(story)
    return Answer(
        contract=story.contract,
        sentences=said[:SENTENCES],
        unsaid=max(len(said) - SENTENCES, 0),
        rows=tuple(_row(story, cell, user) for cell in _by_endpoint(cells)[:ROWS]),
        beyond=max(len(cells) - ROWS, 0),
        timeline=told,
        links=story.links,
        changes=story.changes,
        reads=reads,
        summary=summary(story, reads=reads, cells=cells, told=told, now=now),
    )


def budget_button(contract: Contract, *, user: User) -> Button | None:
    """Return the button that reads the contract's budget from OpenTrain, for those who may use it."""
    if not may(user, Permission.OPERATE):
        return None
    return Button(
        "Read now", reverse("contract-budget", args=[contract.pk]), icon="refresh", called="Read now: the budget"
    )


def cells_of(
    contract: Contract, *, judged: Judged, endpoints: Mapping[int, Endpoint], user: User, now: datetime
) -> tuple[Cell, ...]:
    """Return what became of each event of the contract at each of these endpoints, in words."""
    handler = user.handler_is
    found = []
    for (pk, event), verdict in judged.verdicts.items():
        if pk not in endpoints:
            continue
        means = judged.consequences.get((pk, event), Consequence.NONE)
        said = words(
            event=event,
            verdict=verdict,
            now=now,
            consequence=means,
            has_ended=contract.has_ended,
            handler=handler,
        )
        found.append(Cell(pk, place_of(endpoints[pk]), event, verdict, means, said))
    return tuple(found)


def summary(story: Story, *, reads: ContractReads, cells: Sequence[Cell], told: Timeline, now: datetime) -> str:
    """Return the answer as plain text, with complete IDs and absolute times."""
    contract, install, read_at = story.contract, story.contract.install, reads.contracts_read_at
    facts = [
        ("Contract", contract.opentrain_id),
        ("Title", contract.title),
        ("Status", contract.status),
        ("Job", contract.job_id),
        ("Project links", ", ".join(_link_words(link) for link in story.links)),
        ("Install", f"{install.name} ({install.opentrain_id})"),
        *(("Endpoint", f"{place_of(one)} ({one.opentrain_id})") for one in list(story.endpoints.values())[:ROWS]),
        ("Contracts last read", exactly(read_at) if read_at is not None else "never"),
    ]
    return contract_answers.summary(
        title="Why didn't it come?",
        facts=[(name, value) for name, value in facts if value],
        cells=worst_first(cells)[:ROWS],
        told=told,
        now=now.replace(second=0, microsecond=0),  # the page that is polled stays the same meanwhile
    )


def _link_words(link: ProjectLink) -> str:
    gone = ", no longer listed" if link.gone_at is not None else ""
    project = f" (project {link.external_project_id}{gone})" if link.external_project_id or gone else ""
    return f"{link.opentrain_id}{project}"


def _by_endpoint(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells by endpoint, the endpoint with the worst one first, and started before ended."""
    places = {cell.endpoint: index for index, cell in enumerate(one_per_endpoint(cells))}
    order = list(Event)
    return sorted(cells, key=lambda cell: (places[cell.endpoint], order.index(cell.event)))


def _row(story: Story, cell: Cell, user: User) -> Row:
    endpoint = story.endpoints[cell.endpoint]
    delivery = _delivery(story, cell)
    evidence = _evidence(story, cell) if delivery is None else None
    named = delivery.opentrain_id if delivery is not None else evidence.opentrain_id if evidence is not None else ""
    return Row(
        cell,
        delivery,
        named,
        _controls(cell, contract=story.contract, endpoint=endpoint, delivery=delivery, user=user),
        _handover(story, cell) if delivery is None else None,
    )


def _delivery(story: Story, cell: Cell) -> Delivery | None:
    """Return the delivery that tells most of the event: one that is not delivered, else the newest."""
    found = [one for one in story.deliveries if (one.endpoint_id, one.event_type) == (cell.endpoint, cell.event)]
    wanting = [one for one in found if one.standing != Standing.DELIVERED]
    is_taken = cell.verdict.kind is Kind.TAKEN
    return next(iter(found if is_taken else wanting or found), None)


def _evidence(story: Story, cell: Cell) -> Evidence | None:
    found = [one for one in story.evidence if (one.endpoint_id, one.event_type) == (cell.endpoint, cell.event)]
    return found[-1] if found else None


def _handover(story: Story, cell: Cell) -> Handover | None:
    found = [one for one in story.handovers if (one.endpoint_id, one.event_type) == (cell.endpoint, cell.event)]
    return next((one for one in found if one.ok), None)


def _controls(
    cell: Cell, *, contract: Contract, endpoint: Endpoint, delivery: Delivery | None, user: User
) -> tuple[Control, ...]:
    """Return links to what helps, the one that helps most first. They lead to pages that say what will happen."""
    kind, reason = cell.verdict.kind, cell.verdict.reason
    found: list[Control] = []
    is_there = endpoint.deleted_at is None and endpoint.opentrain_id is not None
    if is_there and may(user, Permission.OPERATE):
        found += _repairs(cell, contract=contract, endpoint=endpoint, delivery=delivery)
    if kind is Kind.REFUSED:
        found.append(Link("Signature doctor", reverse("endpoint-doctor", args=[endpoint.pk]), icon="search"))
    if _is_past_redeliver(endpoint) and reason in _PAST and may(user, Permission.MANAGE_ENDPOINTS):
        found.append(Link("Route through Redeliver…", reverse("endpoint-route", args=[endpoint.pk]), icon="send"))
    return tuple(found)


def _is_past_redeliver(endpoint: Endpoint) -> bool:
    """Return whether OpenTrain delivers it, and not to the receiver."""
    return endpoint.deleted_at is None and endpoint.opentrain_id is not None and not endpoint.is_received


def _repairs(cell: Cell, *, contract: Contract, endpoint: Endpoint, delivery: Delivery | None) -> list[Control]:
    """Return what makes the event come, for people who may operate the endpoint.

    A start of a contract that has ended must not come: it would give access back.
    """
    overtaken = cell.event is Event.STARTED and contract.has_ended
    if not cell.verdict.kind.is_finding or overtaken:
        return []
    failed = delivery is not None and delivery.standing == Standing.FAILED
    found: list[Control] = []
    if endpoint.status == DISABLED and not cell.is_expected:
        found.append(controls.recover(endpoint.pk, look="") if failed else _enable(endpoint))
    if delivery is not None and cell.verdict.kind in {Kind.FAILED, Kind.OUT_OF_ORDER}:
        found.append(Link("Redeliver…", reverse("delivery-detail", args=[delivery.pk]), icon="send"))
    if cell.verdict.kind in _HANDED_OVER:
        address = {"pk": contract.pk, "endpoint_pk": endpoint.pk, "event": SLUGS[cell.event]}
        found.append(Link("Hand over…", reverse("handover-preview", kwargs=address), icon="send"))
    return found


def _enable(endpoint: Endpoint) -> Link:
    return Link("Re-enable…", reverse("endpoint-detail", args=[endpoint.pk]), icon="player-play")
