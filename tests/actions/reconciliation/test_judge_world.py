"""Days of a small world by chance, in the database: nothing that comes is ever said to be missing, all that is lost is.

Events are lost, late, not taken and retried; they wait in a spool; reads fail, the worker stands still, retention
removes what is old, and OpenTrain's clock is minutes apart. tests/rules has the same for the rules alone, with far more
worlds.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from dashboard.actions.deliveries import retention
from dashboard.actions.reconciliation.judge import judge
from dashboard.models import Contract, Endpoint, Finding, Install, ReceiverReport
from dashboard.queries.verdicts import verdicts
from dashboard.rules.reconciliation import Event, Kind
from tests.actions.deliveries.test_record import record
from tests.actions.reconciliation.worlds import DAY, MINUTE, SPAN, body, make_received, tell_history
from tests.factories import NOON, make_link

pytestmark = pytest.mark.django_db
LASTS = 4 * 24 * 60
"""How long a world lasts, in minutes."""
DELAYS = (0, 1, 5, 30, 120)


@dataclass
class Attempt:
    """An attempt: when it reached the receiver, when it is in the log, and whether the handler took it."""

    event: Event
    at: int
    logged: int
    is_ok: bool


@dataclass
class Life:
    """A contract as it is at OpenTrain, in minutes."""

    name: str
    starts: int
    ends: int
    lost: set[Event] = field(default_factory=set)
    attempts: list[Attempt] = field(default_factory=list)


class World:
    def __init__(self, install: Install, *, seed: int) -> None:
        self.chance, self.install, self.endpoint = random.Random(seed), install, make_received(install=install)  # noqa: S311
        self.skew = self.chance.uniform(-4, 4)
        self.outages = [(begin, begin + self.chance.randrange(60, 1000)) for begin in self._times(3)]
        self.stands_still = range(0)
        if self.chance.random() < 0.5:
            begins = self.chance.randrange(LASTS // 2)
            self.stands_still = range(begins, begins + self.chance.randrange(60, 2 * 24 * 60))
        self.lives = [self._life(f"con_{number}") for number in range(4)]
        make_link(install=install, opentrain_id="lnk_1", created_at=NOON - 60 * DAY, first_seen_at=NOON - 60 * DAY)

    def _times(self, many: int) -> list[int]:
        return [self.chance.randrange(LASTS) for _ in range(many)]

    def _life(self, name: str) -> Life:
        starts = self.chance.randrange(-2 * 24 * 60, LASTS)
        life = Life(name, starts, starts + self.chance.randrange(5, LASTS))
        for event, at in ((Event.STARTED, starts), (Event.ENDED, life.ends)):
            if self.chance.random() < 0.35:
                life.lost.add(event)
            else:
                life.attempts += self._attempts(event, at)
        return life

    def _attempts(self, event: Event, happened: int) -> Iterator[Attempt]:
        at = happened
        for delay in DELAYS:
            at += delay + self.chance.randrange(6)
            is_ok = self.chance.random() < 0.6
            ends = [end for begin, end in self.outages if begin <= at < end]
            yield Attempt(event, at, max([at, *ends]), is_ok)
            if is_ok:
                return

    def happen(self) -> None:
        """Live through all of it, minute by minute as far as anything happens."""
        moments: list[tuple[int, int, object]] = [
            (one.logged, 0, (life, one)) for life in self.lives for one in life.attempts
        ]
        moments += [(at, 1, "read") for at in range(0, LASTS, 45)]
        moments += [(at, 2, "judge") for at in range(20, LASTS, 60)]
        moments += [(at, 3, "retain") for at in range(0, LASTS, 240)]
        for at, _rank, what in sorted(moments, key=lambda one: one[:2]):
            self.do(what, at=at)
        self.read(at=LASTS)
        self.do("judge", at=LASTS)
        self.do("judge", at=LASTS + int(SPAN / MINUTE) + 10)

    def do(self, what: object, *, at: int) -> None:
        if isinstance(what, tuple):
            self.log(*what)
        elif what == "retain":
            retention.retain(now=moment(at), rest=lambda _s: None)
            tell_history(self.endpoint, at=moment(at), not_before=moment(at - 1))
        elif at not in self.stands_still:
            if what == "read" and self.chance.random() < 0.8:
                self.read(at=at - self.chance.randrange(2))
            self.judge(at=at)

    def log(self, life: Life, one: Attempt) -> None:
        name = f"dlv_{life.name}_{one.event.value}"
        given = {"event_type": one.event.value, "resource_id": life.name, "body": body(Contract(), one.event)}
        record(endpoint=self.endpoint, at=moment(one.at), status=200 if one.is_ok else 503, delivery_id=name, **given)

    def read(self, *, at: int) -> None:
        """Store what OpenTrain says at a time, as the sweep does."""
        for life in self.lives:
            if life.starts > at:
                continue
            is_ended, now = life.ends <= at, moment(at)
            row = Contract.objects.filter(opentrain_id=life.name).first() or Contract(
                install=self.install, opentrain_id=life.name, job_id="job_1", link_ids=["lnk_1"], first_seen_at=now,
                created_at=moment(life.starts + self.skew),
            )  # fmt: skip
            row.status, row.last_seen_at = "ended" if is_ended else "active", now
            if is_ended:
                row.end_date, row.ended_seen_at = moment(life.ends + self.skew), row.ended_seen_at or now
            else:
                row.active_seen_at = now
            row.save()
        self.install.project_links.update(last_seen_at=moment(at))
        Endpoint.objects.filter(pk=self.endpoint.pk).update(snapshot_at=moment(at))

    def judge(self, *, at: int) -> None:
        """Judge, and hold that nothing is said to be missing that has come, waits in a spool, or will come."""
        ReceiverReport.objects.all().delete()
        if held := sum(one.at <= at < one.logged for life in self.lives for one in life.attempts):
            ReceiverReport.objects.create(name="a", held=held, heard_at=moment(at))
        judge(install_id=self.install.pk, now=moment(at))
        names = {life.name: life for life in self.lives}
        rows = Finding.objects.open().select_related("contract")
        for row in rows:
            life, event = names[row.contract.opentrain_id], Event(row.event_type)
            assert row.kind != Kind.MISSING or event in life.lost, f"{life}: {event} at {at}"
        contracts = list(Contract.objects.all())
        found = verdicts(contracts=contracts, now=moment(at))
        stored = {(row.contract_id, row.endpoint_id, Event(row.event_type)): Kind(row.kind) for row in rows}
        # Retention may take the history that tells since when the log is whole. Then the finding closes in its time.
        stored = {key: kind for key, kind in stored.items() if not self._is_forgotten(kind, found[key].kind)}
        assert {key: one.kind for key, one in found.items() if one.kind.is_finding} == stored

    @staticmethod
    def _is_forgotten(stored: Kind, said: Kind) -> bool:
        return stored is Kind.NOT_SEEN_YET and said is Kind.NOT_KNOWN


def moment(minute: float) -> datetime:
    return NOON + minute * MINUTE


@pytest.mark.parametrize("seed", range(6))
def test_what_comes_is_never_missing_and_what_is_lost_is_found(acme: Install, seed: int, settings) -> None:
    settings.RETENTION_DAYS = settings.BODY_RETENTION_DAYS = 1
    world = World(acme, seed=seed)
    world.happen()
    found = verdicts(contracts=list(Contract.objects.all()), now=moment(LASTS + 10_000))
    for row in Contract.objects.all():
        [life] = [one for one in world.lives if one.name == row.opentrain_id]
        for event in Event:
            kind = found[row.pk, world.endpoint.pk, event].kind
            if event in life.lost and (event is Event.STARTED or row.status == "ended"):
                # Before the log, or while the worker stood still for longer than retention: then it is not known.
                is_known = life.starts >= 0 and not len(world.stands_still)
                assert kind is Kind.MISSING or (not is_known and kind is Kind.NOT_KNOWN), (life, event)
