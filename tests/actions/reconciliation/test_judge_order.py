"""What is found depends neither on the order in which things become known nor on how often an install is judged."""

import random

import pytest

from dashboard.models import Contract, Evidence, Finding, Install
from dashboard.rules.reconciliation import Event, Kind
from tests.actions.deliveries.test_record import record
from tests.actions.reconciliation.worlds import HOUR, MINUTE, body, end, judged, make_received, make_running
from tests.factories import NOON

pytestmark = pytest.mark.django_db
READ = NOON + 10 * MINUTE
LATE = NOON + 300 * HOUR


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("started", "ended", "kind"),
    [
        # When the attempts at each event were made, in minutes after the contract began and ended, and whether taken.
        ([(0, True)], [(0, False), (1, True), (90, False)], None),
        ([(0, True)], [(0, False), (1, False), (6, False), (36, False), (156, False)], Kind.FAILED),
        ([(15_000, True)], [(0, True)], Kind.OUT_OF_ORDER),
        ([(0, False), (15_000, True)], [(0, True), (0.5, True)], Kind.OUT_OF_ORDER),
        ([(0, False), (1, True), (15_000, True)], [(0, True)], None),
        ([(0, True)], [(0, False), (1, True), (30, True)], None),
        ([(0, True)], [], Kind.MISSING),
    ],
)
def test_order_and_repetition_make_no_difference(acme: Install, seed: int, started, ended, kind) -> None:
    chance, endpoint = random.Random(seed), make_received(install=acme)  # noqa: S311 - any order does
    contract = make_running(install=acme)
    known = [(Event.STARTED, contract.created_at + after * MINUTE, is_ok) for after, is_ok in started]
    known += [(Event.ENDED, READ + after * MINUTE, is_ok) for after, is_ok in ended]
    for event, at, is_ok in chance.sample([*known, (None, READ, True)], len(known) + 1):
        if event is None:
            end(contract)
        else:
            attempt(contract, endpoint, event, at=at, is_ok=is_ok)
        for _ in range(chance.randrange(3)):
            judged(acme, now=LATE)
    judged(acme, now=LATE)
    assert [row.kind for row in Finding.objects.open()] == ([kind] if kind else [])
    for event, attempts in ((Event.STARTED, started), (Event.ENDED, ended)):
        times = [at for one, at, _is_ok in known if one is event]
        taken = [at for one, at, is_ok in known if one is event and is_ok]
        told = Evidence.objects.filter(event_type=event.value)
        facts = told.values_list("taken_at", "first_received_at", "last_attempt_at", "attempt_count")
        assert list(facts) == ([(min(taken, default=None), min(times), max(times), len(attempts))] if times else [])


def attempt(contract: Contract, endpoint, event: Event, *, at, is_ok: bool) -> None:
    record(
        endpoint=endpoint, at=at, status=200 if is_ok else 503, delivery_id=f"dlv_{event.value}",
        event_type=event.value, resource_id=contract.opentrain_id, body=body(contract, event),
    )  # fmt: skip
