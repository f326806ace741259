"""Which links an event is built for, what counts as its end, and candidates in a fixed number of queries."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Contract, Endpoint, Handover, Install
from dashboard.queries.handovers import Case, candidates, case, recent
from dashboard.rules.reconciliation import Event, Kind
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_finding,
    make_handover,
    make_link,
)

pytestmark = pytest.mark.django_db
BOTH = ["contract.started", "contract.ended"]


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, event_types=BOTH, handler_url="https://acme.example.com/hook", hands_over=True)


def of(contract: Contract, endpoint: Endpoint, event: Event = Event.ENDED) -> Case:
    return case(contract=contract, endpoint=endpoint, event=event, now=NOON)


def ended(acme: Install, **columns: object) -> Contract:
    return make_contract(install=acme, status="ended", **columns)


def test_links_are_those_that_the_contract_names_the_oldest_first(acme: Install, endpoint: Endpoint) -> None:
    second = make_link(install=acme, first_seen_at=NOON)
    first = make_link(install=acme, first_seen_at=NOON - timedelta(days=1))
    make_link(install=acme)
    contract = ended(acme, link_ids=[second.opentrain_id, first.opentrain_id])
    assert [one.id for one in of(contract, endpoint).links] == [first.opentrain_id, second.opentrain_id]


def test_links_of_a_contract_that_names_none_are_those_of_its_job(acme: Install, endpoint: Endpoint) -> None:
    link = make_link(install=acme, job_id="job_7", gone_at=NOON)
    make_link(install=acme, job_id="job_8")
    make_link(job_id="job_7")
    assert [one.id for one in of(ended(acme, job_id="job_7"), endpoint).links] == [link.opentrain_id]
    assert of(ended(acme, job_id=""), endpoint).links == ()


def test_of_a_link_that_the_token_may_not_read_the_id_is_known(acme: Install, endpoint: Endpoint) -> None:
    [link] = of(ended(acme, link_ids=["plk_unread", "plk_cut…"]), endpoint).links
    assert (link.id, link.job_id, link.external_project_id) == ("plk_unread", "job_1", "")


def test_link_for_which_the_handler_took_the_event_is_left_out(acme: Install, endpoint: Endpoint) -> None:
    links = [make_link(install=acme) for _ in range(3)]
    contract = ended(acme, link_ids=[one.opentrain_id for one in links])
    make_evidence(contract=contract, endpoint=endpoint, link_id=links[0].opentrain_id)
    make_evidence(contract=contract, endpoint=endpoint, link_id=links[1].opentrain_id, taken_at=None)
    make_evidence(contract=contract, endpoint=endpoint, link_id=links[2].opentrain_id, event_type="contract.started")
    found = of(contract, endpoint)
    assert [one.id for one in found.links] == [one.opentrain_id for one in links[1:]]
    assert found.link("") == found.links[0]
    assert found.link(links[2].opentrain_id) == found.links[1]
    assert found.link(links[0].opentrain_id) is None


def test_event_that_was_taken_for_every_link_is_taken(acme: Install, endpoint: Endpoint) -> None:
    contract = ended(acme, link_ids=[make_link(install=acme).opentrain_id])
    make_finding(contract=contract, endpoint=endpoint)
    make_evidence(contract=contract, endpoint=endpoint, link_id=contract.link_ids[0])
    assert of(contract, endpoint).verdict.kind is Kind.TAKEN


@pytest.mark.parametrize("where", ["log", "log of another endpoint", "evidence"])
def test_start_is_not_built_where_its_end_is_known(acme: Install, endpoint: Endpoint, where: str) -> None:
    contract = make_contract(install=acme, link_ids=[make_link(install=acme).opentrain_id])
    make_finding(contract=contract, endpoint=endpoint, event_type="contract.started")
    assert of(contract, endpoint, Event.STARTED).may_be_sent
    other = make_endpoint(install=acme)
    if where == "evidence":
        make_evidence(contract=contract, endpoint=other, taken_at=None)
    else:
        at = endpoint if where == "log" else other
        make_delivery(endpoint=at, event_type="contract.ended", resource_id=contract.opentrain_id, last_ok=False)
    assert "it would give access back" in of(contract, endpoint, Event.STARTED).why_not_built


def test_candidates_are_the_ended_first_and_only_what_may_be_sent(acme: Install, endpoint: Endpoint) -> None:
    link = make_link(install=acme).opentrain_id
    started = make_contract(install=acme, link_ids=[link])
    old, new = ended(acme, link_ids=[link]), ended(acme, link_ids=[link])
    make_finding(contract=started, endpoint=endpoint, event_type="contract.started")
    make_finding(contract=old, endpoint=endpoint, happened_at=NOON - timedelta(days=2))
    make_finding(contract=new, endpoint=endpoint)
    # Not these:
    make_finding(contract=old, endpoint=endpoint, event_type="contract.started")
    make_finding(contract=ended(acme, link_ids=[link]), endpoint=endpoint, closed_at=NOON)
    make_finding(contract=ended(acme, link_ids=[link]), endpoint=endpoint, kind="failed")
    make_finding(contract=ended(acme, link_ids=[link]), endpoint=make_endpoint(install=acme))
    found = candidates(endpoint=endpoint, now=NOON)
    assert [(one.contract, one.event) for one in found.cases] == [
        (new, Event.ENDED), (old, Event.ENDED), (started, Event.STARTED)
    ]  # fmt: skip
    assert (found.others, found.more) == (1, False)
    assert "it would give access back" in found.why_not
    assert candidates(endpoint=endpoint, now=NOON, most=2).more


def test_candidates_with_a_consequence_are_looked_at_before_later_ones(acme: Install, endpoint: Endpoint) -> None:
    link = make_link(install=acme).opentrain_id
    old, new = ended(acme, link_ids=[link]), ended(acme, link_ids=[link])
    make_finding(contract=old, endpoint=endpoint, happened_at=NOON - timedelta(days=2), consequence="access")
    make_finding(contract=new, endpoint=endpoint, consequence="")
    assert [one.contract for one in candidates(endpoint=endpoint, now=NOON, most=1).cases] == [old]


def test_candidates_that_may_not_be_sent_say_why_if_that_is_the_same_for_all(acme: Install, endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED")
    endpoint.refresh_from_db()
    link = make_link(install=acme).opentrain_id
    for _ in range(2):
        make_finding(contract=ended(acme, link_ids=[link]), endpoint=endpoint)
    found = candidates(endpoint=endpoint, now=NOON)
    assert (found.cases, found.others) == ((), 2)
    assert found.why_not == "The endpoint is paused or disabled. Re-enable it first."
    make_finding(contract=ended(acme, link_ids=[link]), endpoint=endpoint, event_type="contract.started")
    assert (candidates(endpoint=endpoint, now=NOON).others, candidates(endpoint=endpoint, now=NOON).why_not) == (3, "")


def test_candidates_cost_the_same_number_of_queries_for_any_number(acme: Install, endpoint: Endpoint) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            candidates(endpoint=endpoint, now=NOON)
        return len(captured)

    link = make_link(install=acme).opentrain_id
    make_finding(contract=ended(acme, link_ids=[link]), endpoint=endpoint)
    few = queries()
    for _ in range(20):
        make_finding(contract=ended(acme, link_ids=[link]), endpoint=endpoint)
    assert len(candidates(endpoint=endpoint, now=NOON).cases) == 21
    assert queries() == few


def test_page_lists_the_newest_hand_overs_without_their_bodies(acme: Install, endpoint: Endpoint) -> None:
    contract = ended(acme)
    for number in range(22):
        make_handover(contract=contract, endpoint=endpoint, asked_at=NOON + timedelta(minutes=number))
    with CaptureQueriesContext(connection) as captured:
        found = recent(Handover.objects.filter(endpoint=endpoint))
        assert [one.contract.title for one in found] == [contract.title] * 20
    assert found[0].asked_at == NOON + timedelta(minutes=21)
    assert len(captured) == 1
    assert '"body"' not in captured[0]["sql"]
