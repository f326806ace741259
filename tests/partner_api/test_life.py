"""The life of a demo's install: every type of event comes, numbers stay within limits, and the API can tell it all."""

import random
from collections import Counter
from datetime import timedelta

from dashboard.partner_api import contracts, life
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.models import Contract, Event, EventType, Participant, ProjectLink
from tests.partner_api.conftest import THEN, Partner

STEPS = 160


def live(partner: Partner, *, steps: int) -> list[str]:
    chance = random.Random(5)  # noqa: S311 - no secret
    announcer = Announcer()
    return [
        life.step(install=partner.install, chance=chance, announcer=announcer, now=THEN + timedelta(seconds=3 * number))
        for number in range(steps)
    ]


def test_a_life_has_events_of_every_type_at_a_steady_pace_and_stays_within_its_limits(partner: Partner) -> None:
    done = Counter(live(partner, steps=STEPS))
    types = Counter(Event.objects.values_list("type", flat=True))
    assert set(done) == {"link", "unlink", "hire", "end", "fund", "usage"}
    assert set(types) == set(EventType.values) - {"install.revoked"}
    assert STEPS * 0.9 <= sum(types.values()) <= STEPS * 1.1
    assert types["contract.started"] == done["hire"]
    assert types["contract.ended"] == done["end"]
    active = Contract.objects.filter(end_date=None)
    seen = contracts.newest_first(install_id=partner.install_id, link_id=None, status="active", limit=200)
    assert life.FEWEST_LINKS <= ProjectLink.objects.count() <= life.MOST_LINKS
    assert len(seen) == active.count() <= life.MOST_ACTIVE
    assert Participant.objects.count() == Contract.objects.count()


def test_everyone_who_was_hired_or_left_was_announced(partner: Partner) -> None:
    live(partner, steps=60)
    told = set(Event.objects.filter(type="contract.started").values_list("resource_id", flat=True))
    over = set(Event.objects.filter(type="contract.ended").values_list("resource_id", flat=True))
    assert told == set(Contract.objects.values_list("id", flat=True))
    assert over == set(Contract.objects.exclude(end_date=None).values_list("id", flat=True)) != set()
