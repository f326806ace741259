"""The answer for a contract: its sentences, its rows, and what it offers to whom."""

from datetime import timedelta

import pytest

from dashboard.models import Contract, Endpoint, Install, User
from dashboard.presenters import contract_page
from dashboard.presenters.contract_page import Answer, answer
from dashboard.presenters.controls import Link
from dashboard.queries import contract_story
from dashboard.queries.contract_story import Judged, story
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason, Verdict
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_failed_delivery,
    make_handover,
)

NOW = NOON + timedelta(hours=1)
TAKEN = Verdict(Kind.TAKEN, at=NOON, happened_at=NOON)


@pytest.fixture
def hook(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, created_at=NOON - timedelta(days=1), handler_url="https://acme.example/hook")


@pytest.fixture
def contract(acme: Install) -> Contract:
    return make_contract(install=acme, opentrain_id="con_1", status="ended", title=" ")


def told(
    contract: Contract,
    user: User,
    monkeypatch: pytest.MonkeyPatch,
    *,
    started: Verdict = TAKEN,
    ended: Verdict = TAKEN,
    means: Consequence = Consequence.NONE,
    of: Endpoint,
) -> Answer:
    """Return the answer if these are the verdicts for one endpoint."""
    verdicts = {(of.pk, Event.STARTED): started, (of.pk, Event.ENDED): ended}
    found = Judged(verdicts, {(of.pk, Event.ENDED): means})
    monkeypatch.setattr(contract_story, "judged", lambda _contracts, now: {contract.pk: found})  # noqa: ARG005
    return answer(story(contract, now=NOW), user=user, now=NOW)


def offered(found: Answer, event: Event) -> list[str]:
    [row] = [row for row in found.rows if row.cell.event is event]
    assert all(isinstance(one, Link) for one in row.controls)
    return [one.label for one in row.controls]


def test_worst_endpoint_comes_first_and_started_before_ended(acme: Install, contract: Contract, support: User) -> None:
    ids = [make_endpoint(install=acme, handler_url=f"https://acme.example/{name}").pk for name in "ab"]
    taken, bad = (Endpoint.objects.get(pk=pk) for pk in ids)
    make_evidence(contract=contract, endpoint=taken, event_type="contract.started")
    make_evidence(contract=contract, endpoint=taken, event_type="contract.ended")
    make_evidence(contract=contract, endpoint=bad, event_type="contract.started")
    make_evidence(contract=contract, endpoint=bad, event_type="contract.ended", taken_at=None, standing=3)
    found = answer(story(contract, now=NOW), user=support, now=NOW)
    assert [(row.cell.place[-1], row.cell.event.value, row.cell.verdict.kind.value) for row in found.rows] == [
        ("b", "contract.started", "taken"),
        ("b", "contract.ended", "failed"),
        ("a", "contract.started", "taken"),
        ("a", "contract.ended", "taken"),
    ]
    assert [cell.place[-1] for cell in found.sentences] == ["b", "a"]
    assert (found.has_several, found.unsaid, found.name) == (True, 0, "Contract without a title")


def test_many_endpoints_are_counted_in_the_head_and_all_in_the_table(
    acme: Install, contract: Contract, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        make_endpoint(install=acme)
    found = answer(story(contract, now=NOW), user=support, now=NOW)
    assert (len(found.sentences), found.unsaid, len(found.rows), found.beyond) == (5, 2, 14, 0)
    monkeypatch.setattr(contract_page, "ROWS", 4)
    found = answer(story(contract, now=NOW), user=support, now=NOW)
    assert (len(found.rows), found.beyond) == (4, 10)
    assert found.summary.count("\n- ") == 4


def test_failed_end_is_redelivered_from_its_page(
    contract: Contract, hook: Endpoint, support: User, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_failed_delivery(endpoint=hook, event_type="contract.ended", resource_id="con_1")
    failed = Verdict(Kind.FAILED, at=NOON, happened_at=NOON)
    found = told(contract, support, monkeypatch, ended=failed, means=Consequence.ACCESS, of=hook)
    assert offered(found, Event.ENDED) == ["Redeliver…"]
    assert found.worst is not None
    assert found.worst.words.meaning == "A person may still have access."
    assert offered(told(contract, viewer, monkeypatch, ended=failed, of=hook), Event.ENDED) == []


def test_end_that_failed_at_a_disabled_endpoint_is_recovered(
    contract: Contract, hook: Endpoint, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    Endpoint.objects.filter(pk=hook.pk).update(status="DISABLED")
    make_failed_delivery(endpoint=hook, event_type="contract.ended", resource_id="con_1")
    failed = Verdict(Kind.FAILED, at=NOON, happened_at=NOON)
    assert offered(told(contract, support, monkeypatch, ended=failed, of=hook), Event.ENDED) == [
        "Recover…",
        "Redeliver…",
    ]
    missing = Verdict(Kind.MISSING, Reason.DISABLED, happened_at=NOON)
    other = make_contract(install=contract.install, opentrain_id="con_2", status="ended")
    assert offered(told(other, support, monkeypatch, ended=missing, of=hook), Event.ENDED) == [
        "Re-enable…",
        "Hand over…",
    ]


@pytest.mark.parametrize("reason", [Reason.UNPROVEN, Reason.REGISTERED_AFTER, Reason.NOT_SUBSCRIBED])
def test_missing_end_may_be_handed_over_whatever_the_reason(
    reason: Reason, contract: Contract, hook: Endpoint, support: User, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Verdict(Kind.MISSING, reason, happened_at=NOON)
    found = told(contract, support, monkeypatch, ended=missing, started=missing, of=hook)
    assert offered(found, Event.ENDED) == ["Hand over…"]
    assert offered(found, Event.STARTED) == []
    assert offered(told(contract, viewer, monkeypatch, ended=missing, of=hook), Event.ENDED) == []
    [row] = [row for row in found.rows if row.cell.event is Event.ENDED]
    assert row.controls[0].url == f"/contracts/{contract.pk}/endpoints/{hook.pk}/ended/hand-over/"


def test_start_of_a_contract_that_has_ended_is_never_offered_again(
    contract: Contract, hook: Endpoint, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_failed_delivery(endpoint=hook, event_type="contract.started", resource_id="con_1")
    failed = Verdict(Kind.FAILED, at=NOON, happened_at=NOON)
    found = told(contract, support, monkeypatch, started=failed, of=hook)
    assert offered(found, Event.STARTED) == []
    running = make_contract(install=contract.install, opentrain_id="con_2")
    make_failed_delivery(endpoint=hook, event_type="contract.started", resource_id="con_2")
    assert offered(told(running, support, monkeypatch, started=failed, of=hook), Event.STARTED) == ["Redeliver…"]


def test_refused_event_leads_to_the_signature_doctor_also_for_viewers(
    contract: Contract, hook: Endpoint, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Verdict(Kind.REFUSED, at=NOON, happened_at=NOON)
    assert offered(told(contract, viewer, monkeypatch, ended=refused, of=hook), Event.ENDED) == ["Signature doctor"]


def test_endpoint_past_redeliver_is_routed(
    acme: Install, contract: Contract, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = make_endpoint(install=acme, receiver_key=None)
    unknown = Verdict(Kind.NOT_KNOWN, Reason.NO_LOG, happened_at=NOON)
    found = told(contract, support, monkeypatch, ended=unknown, of=direct)
    assert offered(found, Event.ENDED) == ["Route through Redeliver…"]


def test_row_names_the_delivery_that_tells_and_the_evidence_of_one_that_is_gone(
    contract: Contract, hook: Endpoint, support: User
) -> None:
    make_delivery(endpoint=hook, event_type="contract.ended", resource_id="con_1", opentrain_id="dlv_1")
    make_evidence(contract=contract, endpoint=hook, event_type="contract.started", opentrain_id="dlv_gone")
    found = answer(story(contract, now=NOW), user=support, now=NOW)
    assert [(row.delivery_id, row.delivery is None) for row in found.rows] == [("dlv_gone", True), ("dlv_1", False)]


def test_row_names_the_hand_over_that_the_handler_took(contract: Contract, hook: Endpoint, support: User) -> None:
    taken = make_handover(contract=contract, endpoint=hook, contract_opentrain_id="con_1")
    make_handover(contract=contract, endpoint=hook, ok=False, result="failed", asked_at=NOW)
    make_handover(contract=contract, endpoint=hook, ok=False, result="failed", event_type="contract.started")
    make_evidence(contract=contract, endpoint=hook, opentrain_id=taken.delivery_id)
    found = answer(story(contract, now=NOW), user=support, now=NOW)
    assert [row.handover for row in found.rows] == [None, taken]
