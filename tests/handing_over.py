"""A contract that has ended, an endpoint that never got its contract.ended, and what it takes to hand that over.

def test_x(scene: Scene): …       # tests/actions/handovers/conftest.py, tests/views/test_handovers.py
"""

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from dashboard.actions.handovers import asking, sending
from dashboard.actions.handovers.asking import Wanted
from dashboard.actions.installs import sync
from dashboard.models import Contract, Endpoint, Finding, Handover, Install, ProjectLink, User
from dashboard.queries.handovers import Case, case
from dashboard.rules.reconciliation import Event
from dashboard.vault import Secret
from tests.contract.fake import SCOPES, FakeOpenTrain
from tests.factories import (
    NOON,
    SECRET,
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_finding,
    make_link,
)

LATE = NOON + timedelta(hours=6)
"""When the hand-over is asked for."""
BOTH = [event.value for event in Event]
BUDGET = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Scene:
    """The rows. OpenTrain (the fake) has the contract and its link too; Maria was hired."""

    fake: FakeOpenTrain
    install: Install
    link: ProjectLink
    contract: Contract
    endpoint: Endpoint
    finding: Finding

    def case(self, event: Event = Event.ENDED) -> Case:
        contract = Contract.objects.select_related("install").get(pk=self.contract.pk)
        endpoint = Endpoint.objects.select_related("install").get(pk=self.endpoint.pk)
        return case(contract=contract, endpoint=endpoint, event=event, now=LATE)

    def ask(self, actor: User, **given: Any) -> Handover:
        """Ask to send the contract.ended of the one link."""
        found = self.case(given.pop("event", Event.ENDED))
        given = {"operation": uuid.uuid4(), "is_batch": False, "now": LATE} | given
        [row] = asking.ask(actor=actor, endpoint=self.endpoint, wanted=[Wanted(found, found.links[0])], **given)
        return row

    def send(self, row: Handover | None = None) -> Handover:
        """Send what waits; return the row as it is then."""
        sending.send_waiting(endpoint_id=self.endpoint.pk, clock=lambda: LATE, budget=BUDGET)
        return Handover.objects.get(pk=row.pk) if row is not None else Handover.objects.get()

    def log(self, freelancer: object, **columns: Any) -> None:
        """Put a verified delivery of contract.started into the log, with this freelancer in its body."""
        said = {"resourceId": self.contract.opentrain_id, "data": {"freelancer": freelancer}}
        given = {"resource_id": self.contract.opentrain_id, "body": json.dumps(said).encode()} | columns
        delivery = make_delivery(endpoint=self.endpoint, **given)
        make_attempt(delivery=delivery)


def make_scene(
    fake: FakeOpenTrain, *, actor: User, handler_url: str = "http://localhost:1/hook", event: Event = Event.ENDED
) -> Scene:
    """Return the scene: with Event.STARTED, the contract is active, and its contract.started is missing."""
    token = fake.add_install(scopes=SCOPES)
    _outcome, install = sync.connect(
        actor=actor, token=token, name="Acme Labs", now=timezone.now(), operation=uuid.uuid4()
    )
    assert install is not None
    return fill(fake, install, token=token, handler_url=handler_url, event=event)


def fill(fake: FakeOpenTrain, install: Install, *, token: Secret, handler_url: str, event: Event) -> Scene:
    job = fake.add_job(token)
    known = fake.add_link(token, job_id=job)
    contract_id = fake.hire(job)
    if event is Event.ENDED:
        fake.end(contract_id)
    link = make_link(install=install, opentrain_id=known.id, job_id=job)
    status = "ended" if event is Event.ENDED else "active"
    contract = make_contract(
        install=install, opentrain_id=contract_id, status=status, job_id=job, link_ids=[known.id], title="Traffic signs"
    )
    endpoint = make_endpoint(
        install=install,
        event_types=BOTH,
        handler_url=handler_url,
        hands_over=True,
        secret=Secret(SECRET),
        url="https://redeliver.example.com/hooks/a-key-of-the-receiver-000000000000000000000/",
        receiver_key="a-key-of-the-receiver-000000000000000000000",
    )
    finding = make_finding(contract=contract, endpoint=endpoint, event_type=event.value)
    return Scene(fake, install, link, contract, endpoint, finding)


def queued() -> list[int]:
    """Return the endpoints for which a job is queued that sends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (args->>'endpoint_id')::int FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'",
            [asking.SEND],
        )
        return [pk for (pk,) in cursor.fetchall()]
