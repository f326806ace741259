"""A selection of hand-overs is sent in its order, stops after failures in a row, and goes on in the next job."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.actions.handovers import asking, sending
from dashboard.actions.handovers.asking import Wanted
from dashboard.models import Handover, User
from dashboard.queries.handovers import case
from dashboard.rules.reconciliation import Event
from dashboard.services.opentrain import Reason, Unavailable
from tests.actions.handovers.test_sending import at
from tests.factories import make_contract, make_evidence, make_finding
from tests.handing_over import BUDGET, LATE, Scene
from tests.services.misbehaving import (
    answer,
    misbehaving,
)

pytestmark = pytest.mark.django_db


def ask_for(scene: Scene, actor: User, *, number: int) -> list[Handover]:
    """Ask for a selection of contracts that ended, each with one event."""
    contracts = [
        make_contract(install=scene.install, status="ended", link_ids=[scene.link.opentrain_id]) for _ in range(number)
    ]
    wanted = []
    for contract in contracts:
        make_finding(contract=contract, endpoint=scene.endpoint)
        scene.log({"opentrainUserId": "usr_1"}, resource_id=contract.opentrain_id)
        found = case(contract=contract, endpoint=scene.endpoint, event=Event.ENDED, now=LATE)
        wanted.append(Wanted(found, found.links[0]))
    operation = uuid.uuid4()
    return asking.ask(actor=actor, endpoint=scene.endpoint, wanted=wanted, operation=operation, is_batch=True, now=LATE)


@pytest.fixture
def people_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a logged event of any contract name Maria: these tests are about the order and the number."""
    known = sending.people.Hired(sending.people.Person("usr_1"))
    monkeypatch.setattr(sending.people, "from_log", lambda **_contract: known)


@pytest.mark.usefixtures("people_known")
def test_selection_is_sent_in_its_order(scene: Scene, support: User) -> None:
    with misbehaving(answer(200)) as server:
        at(scene, server.url)
        rows = ask_for(scene, support, number=4)
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET) == 4
    assert [request.values("X-OpenTrain-Delivery") for request in server.requests] == [
        [row.delivery_id] for row in rows
    ]
    assert set(Handover.objects.values_list("result", flat=True)) == {"ok"}


@pytest.mark.usefixtures("people_known")
def test_selection_stops_after_three_failures_in_a_row(scene: Scene, support: User) -> None:
    with misbehaving(answer(503), answer(200), answer(503)) as server:
        at(scene, server.url)
        rows = ask_for(scene, support, number=7)
        sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    results = [Handover.objects.get(pk=row.pk).result for row in rows]
    assert results == ["failed", "ok", "failed", "failed", "failed", "not_sent", "not_sent"]
    assert Handover.objects.get(pk=rows[-1].pk).words == "Not sent, because the 3 before it failed."


@pytest.mark.usefixtures("people_known")
def test_selection_stops_when_opentrain_cannot_be_asked(scene: Scene, support: User) -> None:
    rows = ask_for(scene, support, number=5)
    for _ in range(3):
        failure = Unavailable("OpenTrain did not answer.", reason=Reason.TIMEOUT)
        scene.fake.fail_next(failure, operation="list_contracts")
    sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    causes = [Handover.objects.get(pk=row.pk).cause for row in rows]
    assert causes == ["could not be checked"] * 3 + ["not sent"] * 2
    assert sum(call.operation == "list_contracts" for call in scene.fake.calls) == 3


@pytest.mark.usefixtures("people_known")
def test_selection_goes_on_where_single_events_may_not_be_sent_any_more(scene: Scene, support: User) -> None:
    with misbehaving(answer(200)) as server:
        at(scene, server.url)
        rows = ask_for(scene, support, number=5)
        for row in rows[:4]:
            make_evidence(contract=row.contract, endpoint=scene.endpoint, link_id=row.link_id)
        sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    assert [Handover.objects.get(pk=row.pk).result for row in rows] == ["not_sent"] * 4 + ["ok"]


@pytest.mark.usefixtures("people_known")
def test_budget_ends_a_job_and_the_next_goes_on(scene: Scene, support: User) -> None:
    with misbehaving(answer(200)) as server:
        at(scene, server.url)
        ask_for(scene, support, number=2)
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=timedelta()) == 0
        times = iter([LATE, LATE, *[LATE + BUDGET] * 50])
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=lambda: next(times), budget=BUDGET) == 1
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET) == 1
        assert len(server.requests) == 2
