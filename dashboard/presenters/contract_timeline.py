"""The timeline of a contract, from the rows of its story."""

from collections.abc import Iterable, Iterator

from dashboard.models import Attempt, Delivery, Endpoint, Evidence, RefusedAttempt
from dashboard.queries.contract_story import Story
from dashboard.rules import contract_timeline as rules
from dashboard.rules.contract_timeline import (
    AttemptFacts,
    ContractTimes,
    DeliveryTimes,
    Handed,
    Moment,
    Refusal,
    Timeline,
)
from dashboard.rules.reconciliation import Event, LinkFacts

NOT_ACTIVE = "OpenTrain said that the install is not active."
EVENTS = tuple(event.value for event in Event)


def timeline_of(story: Story) -> Timeline:
    """Return what is known of the contract, oldest first."""
    return rules.timeline(_moments(story))


def place_of(endpoint: Endpoint) -> str:
    """Return the endpoint's name as pages show it."""
    return endpoint.short_title


def _moments(story: Story) -> Iterator[Moment]:
    contract = story.contract
    yield from rules.of_contract(
        ContractTimes(
            status=contract.status,
            created_at=contract.created_at,
            start_date=contract.start_date,
            end_date=contract.end_date,
            first_seen_at=contract.first_seen_at,
            last_seen_at=contract.last_seen_at,
            active_seen_at=contract.active_seen_at,
            ended_seen_at=contract.ended_seen_at,
            gone_at=contract.gone_at,
        )
    )
    yield from rules.of_links(
        (
            LinkFacts(link.opentrain_id, link.created_at, link.first_seen_at, link.last_seen_at, link.gone_at),
            link.external_project_name or link.external_project_id,
        )
        for link in story.links
    )
    yield from _of_history(story)
    for endpoint in story.endpoints.values():
        yield from _of_endpoint(story, endpoint)


def _of_history(story: Story) -> Iterator[Moment]:
    """Yield when the install was not active, and when no receiver ran."""
    for intervals in story.history.not_active.values():
        yield from rules.of_intervals(
            intervals, began=NOT_ACTIVE, ended="OpenTrain said that the install is active again."
        )
    yield from rules.of_intervals(
        story.history.receiver_away,
        began="No receiver of Redeliver is on record from here on.",
        ended="A receiver is on record again.",
    )


def _of_endpoint(story: Story, endpoint: Endpoint) -> Iterator[Moment]:
    place = place_of(endpoint)
    yield from rules.of_registration(place=place, created_at=endpoint.created_at, deleted_at=endpoint.deleted_at)
    periods = story.history.periods.get(endpoint.pk, ())
    yield from rules.of_periods(place=place, periods=periods, event_types=EVENTS)
    for facts in _deliveries(story, endpoint.pk):
        yield from rules.of_delivery(facts, place=place)
    yield from rules.of_refusals(_refusals(story.refused, endpoint.pk), place=place)
    yield from rules.of_handovers(_handed(story, endpoint.pk), place=place)


def _deliveries(story: Story, endpoint: int) -> Iterator[DeliveryTimes]:
    """Yield the deliveries in the log, then those of which only the evidence is left."""
    logged = [one for one in story.deliveries if one.endpoint_id == endpoint]
    for delivery in logged:
        yield _logged(delivery, story.attempts.get(delivery.pk, []))
    # What was handed over is told as that.
    known = {*(one.opentrain_id for one in logged), *(one.delivery_id for one in story.handovers)}
    for evidence in story.evidence:
        if evidence.endpoint_id == endpoint and evidence.opentrain_id not in known:
            yield _kept(evidence)


def _logged(delivery: Delivery, attempts: Iterable[Attempt]) -> DeliveryTimes:
    return DeliveryTimes(
        event_type=delivery.event_type,
        opentrain_id=delivery.opentrain_id,
        event_created_at=delivery.event_created_at,
        first_received_at=delivery.first_received_at,
        last_attempt_at=delivery.last_attempt_at,
        requested_at=delivery.requested_at,
        last_cause=delivery.last_cause,
        last_status=delivery.last_status,
        pk=delivery.pk,
        attempts=tuple(
            AttemptFacts(
                number=attempt.number,
                received_at=attempt.received_at,
                ok=attempt.ok,
                cause=attempt.cause,
                status=attempt.handler_status or attempt.answered_status,
                is_reported=attempt.source == Attempt.Source.OBSERVED,
            )
            for attempt in attempts
        ),
    )


def _kept(evidence: Evidence) -> DeliveryTimes:
    return DeliveryTimes(
        event_type=evidence.event_type,
        opentrain_id=evidence.opentrain_id,
        event_created_at=evidence.event_created_at,
        first_received_at=evidence.first_received_at,
        last_attempt_at=evidence.last_attempt_at,
        taken_at=evidence.taken_at,
        last_cause=evidence.last_cause,
        last_status=evidence.last_status,
    )


def _refusals(rows: Iterable[RefusedAttempt], endpoint: int) -> Iterator[Refusal]:
    for row in rows:
        if row.endpoint_id == endpoint:
            yield Refusal(row.claimed_event_type or "an event without a type", row.received_at, row.explanation)


def _handed(story: Story, endpoint: int) -> Iterator[Handed]:
    for row in story.handovers:
        if row.endpoint_id == endpoint:
            yield Handed(
                event_type=row.event_type,
                delivery_id=row.delivery_id,
                by=row.actor_name,
                asked_at=row.asked_at,
                ended_at=row.ended_at,
                ok=row.ok,
                cause=row.cause,
                status=row.status,
            )
