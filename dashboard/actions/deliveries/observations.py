"""Records what partners' handlers report into the delivery log, for endpoints whose deliveries bypass the receiver."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from dashboard.actions.deliveries import attempts, matching
from dashboard.models import Attempt, Delivery, Endpoint
from dashboard.rules.observations import Observation
from dashboard.rules.reconstruction import is_reconstructed

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Recorded:
    """Counts of new observations (`stored`) and of those already in the log (`known`)."""

    stored: int
    known: int


def record(*, endpoint: Endpoint, observations: Sequence[Observation]) -> Recorded:
    """Write observations to the log, all or none. Observations that are already in the log change nothing.

    That includes attempts that the receiver recorded itself (matching.py), and what Redeliver handed over, which is no
    delivery of OpenTrain's.

    Within one call, a delivery's attempts are numbered by time; across calls, by the order of the calls.

    Raises: django.db.Error, with nothing recorded.
    """
    for _ in range(_TRIES - 1):
        try:
            return _record(endpoint=endpoint, observations=observations)
        except IntegrityError:
            continue  # the receiver just inserted one of these deliveries; now its row is visible
    return _record(endpoint=endpoint, observations=observations)


def _record(*, endpoint: Endpoint, observations: Sequence[Observation]) -> Recorded:
    with transaction.atomic():
        # One call at a time per endpoint, so no other call adds attempts until this one commits.
        Endpoint.objects.select_for_update(no_key=True).only("pk").get(pk=endpoint.pk)
        # The receiver adds no attempt to a locked delivery.
        there = attempts.locked(endpoint_id=endpoint.pk, ids={one.event.delivery_id for one in observations})
        fresh = list(_fresh(there=there, observations=observations))
        if fresh:
            _write(endpoint=endpoint, observations=fresh, there=there)
    return Recorded(stored=len(fresh), known=len(observations) - len(fresh))


def _fresh(*, there: dict[str, Delivery], observations: Sequence[Observation]) -> Iterator[Observation]:
    """Yield each observation that is not in the log once, in order of time."""
    names = {delivery.pk: name for name, delivery in there.items()}
    known: set[tuple[str, datetime]] = set()
    received: dict[str, list[datetime]] = defaultdict(list)
    told = Attempt.objects.filter(delivery__in=names).order_by()
    for delivery_id, at, source in told.values_list("delivery_id", "received_at", "source"):
        if source == Attempt.Source.OBSERVED:
            known.add((names[delivery_id], at))
        else:
            received[names[delivery_id]].append(at)
    for one in sorted(observations, key=lambda one: one.result.received_at):
        name, at = one.identity
        if is_reconstructed(name):
            continue  # what Redeliver handed over is no delivery, and it knows of it
        if one.identity not in known and not matching.is_told_of(at=at, received=received[name]):
            known.add(one.identity)
            yield one


def _write(*, endpoint: Endpoint, observations: Sequence[Observation], there: dict[str, Delivery]) -> None:
    new: dict[str, Delivery] = {}
    rows = []
    for one in observations:
        delivery = there.get(one.event.delivery_id) or new.get(one.event.delivery_id)
        if delivery is None:
            delivery = attempts.first(endpoint_id=endpoint.pk, event=one.event, result=one.result)
            new[one.event.delivery_id] = delivery
        rows.append(attempts.advance(delivery=delivery, event=one.event, result=one.result))
    # In the order of every writer (attempts.in_order): a group of the receiver's may insert the same deliveries.
    Delivery.objects.bulk_create(new[name] for name in sorted(new))
    attempts.save_advanced(deliveries=list(there.values()))
    for row in rows:
        row.delivery_id = row.delivery.pk
    Attempt.objects.bulk_create(rows)
