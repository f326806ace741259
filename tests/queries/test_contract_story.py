"""What is known of a contract: which rows belong to it, and how many queries that takes."""

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from dashboard.models import ContractChange, Endpoint, Install
from dashboard.queries.contract_story import BEFORE, endpoints_of, judged, links_of, story
from dashboard.rules.reconciliation import Consequence, Event, Kind
from tests.factories import (
    NOON,
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_finding,
    make_install,
    make_link,
)

NOW = NOON + timedelta(days=1)


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, created_at=NOON - timedelta(days=1))


def test_story_has_the_rows_of_its_contract_and_no_others(acme: Install, endpoint: Endpoint) -> None:
    link = make_link(install=acme)
    contract = make_contract(install=acme, opentrain_id="con_1", link_ids=[link.opentrain_id])
    delivery = make_delivery(endpoint=endpoint, resource_id="con_1")
    attempts = [
        make_attempt(delivery=delivery, number=number, received_at=NOON + timedelta(minutes=number))
        for number in (1, 2)
    ]
    evidence = make_evidence(contract=contract, endpoint=endpoint, event_type=Event.STARTED)
    change = ContractChange.objects.create(
        install=acme, contract=contract, what="title", before="a", after="b", not_before=NOON, seen_at=NOON
    )
    gone = ContractChange.objects.create(
        install=acme, link=link, what="gone", not_before=NOON, seen_at=NOON + timedelta(minutes=1)
    )
    ContractChange.objects.create(
        install=acme, link=make_link(job_id="job_3"), what="gone", not_before=NOON, seen_at=NOON
    )
    make_delivery(endpoint=endpoint, resource_id="con_2")
    make_delivery(resource_id="con_1")  # of another install
    make_link(install=acme, job_id="job_2")
    make_evidence(contract=make_contract(install=acme), endpoint=endpoint)
    found = story(contract, now=NOW)
    assert found.links == (link,)
    assert found.deliveries == (delivery,)
    assert found.attempts == {delivery.pk: attempts}
    assert found.evidence == (evidence,)
    assert found.changes == (gone, change)
    assert set(found.endpoints) == {endpoint.pk}
    assert found.judged.verdicts[endpoint.pk, Event.STARTED].kind is Kind.TAKEN


def test_links_are_those_that_are_named_and_those_of_the_job(acme: Install) -> None:
    named = make_link(install=acme, job_id="")
    of_job = make_link(install=acme, job_id="job_7", gone_at=NOON)
    make_link(job_id="job_7")  # of another install
    contract = make_contract(install=acme, job_id="job_7", link_ids=[named.opentrain_id])
    assert set(links_of([contract])) == {named, of_job}
    assert links_of([make_contract(install=acme, job_id="", link_ids=[])]) == ()
    assert links_of([]) == ()


def test_consequences_are_those_of_open_findings(acme: Install, endpoint: Endpoint) -> None:
    contract, other = make_contract(install=acme, status="ended"), make_contract(install=acme)
    make_finding(contract=contract, endpoint=endpoint, consequence=Consequence.ACCESS)
    make_finding(contract=other, endpoint=endpoint, consequence=Consequence.ACCESS, closed_at=NOON)
    found = judged([contract, other], now=NOW)
    assert found[contract.pk].consequences == {(endpoint.pk, Event.ENDED): Consequence.ACCESS}
    assert found[other.pk].consequences == {}


def test_history_begins_before_the_event_that_was_not_taken(acme: Install, endpoint: Endpoint) -> None:
    contract = make_contract(install=acme, status="ended", created_at=NOON - timedelta(hours=9), end_date=NOON)
    for hours, status in ((-8, "ACTIVE"), (-1.5, "ACTIVE"), (-0.5, "DISABLED"), (1, "ACTIVE")):
        endpoint.history.create(
            at=NOON + timedelta(hours=hours), not_before=NOON + timedelta(hours=hours) - BEFORE / 6, status=status
        )
    make_evidence(contract=contract, endpoint=endpoint, event_type=Event.STARTED)
    periods = story(contract, now=NOW).history.periods[endpoint.pk]
    assert [(period.at - NOON) / timedelta(hours=1) for period in periods if not period.is_active] == [-0.5]


def test_number_of_queries_does_not_depend_on_the_number_of_rows(
    acme: Install, endpoint: Endpoint, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    contract = make_contract(install=acme, opentrain_id="con_1", status="ended")
    for _ in range(5):
        other = make_endpoint(install=acme)
        make_attempt(delivery=make_delivery(endpoint=other, resource_id="con_1"))
        make_evidence(contract=contract, endpoint=other)
        make_link(install=acme)
    with django_assert_max_num_queries(24):
        found = story(contract, now=NOW)
    assert len(found.endpoints) == 6
    assert set(endpoints_of([found.judged])) == set(found.endpoints)


def test_endpoint_of_another_install_is_not_in_the_story(acme: Install) -> None:
    make_endpoint(install=make_install())
    assert story(make_contract(install=acme), now=NOW).endpoints == {}
