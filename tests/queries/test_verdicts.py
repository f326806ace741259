"""Verdicts are the same as the stored findings, and cost the same number of queries for any number of contracts."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Contract, Endpoint, Install, Reconciliation
from dashboard.queries.verdicts import verdicts
from dashboard.rules.reconciliation import Event, Kind, Reason
from tests.actions.reconciliation.worlds import (
    DAY,
    HOUR,
    MINUTE,
    SPAN,
    deliver,
    end,
    judged,
    make_received,
    make_running,
    tell_history,
    verdict_of,
)
from tests.factories import NOON, make_contract, make_endpoint, make_evidence, make_finding, make_link

pytestmark = pytest.mark.django_db
READ = NOON + 10 * MINUTE
LATE = READ + SPAN + HOUR


@pytest.fixture
def contract(acme: Install) -> Contract:
    return make_running(install=acme)


def kinds(contract: Contract, endpoint: Endpoint, *, now=LATE) -> tuple[Kind, Kind]:
    return verdict_of(contract, endpoint, Event.STARTED, now=now).kind, verdict_of(
        contract, endpoint, Event.ENDED, now=now
    ).kind


def test_nothing_is_asked_for_no_contract() -> None:
    assert verdicts(contracts=[], now=NOON) == {}


def test_all_endpoints_of_the_install_are_there_and_deleted_ones_with_evidence(
    acme: Install, contract: Contract
) -> None:
    received, direct = make_received(install=acme), make_endpoint(install=acme, receiver_key=None)
    gone, gone_before = (make_received(install=acme, deleted_at=NOON) for _ in range(2))
    make_endpoint(install=acme, opentrain_id=None)
    make_received()
    make_evidence(contract=contract, endpoint=gone, event_type="contract.started")
    found = verdicts(contracts=[contract], now=NOON)
    assert {endpoint for _contract, endpoint, _event in found} == {received.pk, direct.pk, gone.pk}
    assert found[contract.pk, gone.pk, Event.STARTED].kind is Kind.TAKEN
    assert gone_before.pk not in {endpoint for _contract, endpoint, _event in found}


def test_chosen_endpoints_are_judged_as_with_all_others(acme: Install, contract: Contract) -> None:
    chosen, other = make_received(install=acme), make_received(install=acme)
    for endpoint in (chosen, other):
        make_evidence(contract=contract, endpoint=endpoint, event_type="contract.started")
        make_finding(contract=contract, endpoint=endpoint, kind="failed")
    every = verdicts(contracts=[contract], now=LATE)
    found = verdicts(contracts=[contract], now=LATE, endpoints=[chosen.pk])
    assert found == {key: verdict for key, verdict in every.items() if key[1] == chosen.pk}
    assert len(found) == len(Event)
    assert verdicts(contracts=[contract], now=LATE, endpoints=[]) == {}


def test_of_a_direct_endpoint_nothing_is_known_but_what_its_handler_reports(acme: Install, contract: Contract) -> None:
    direct = make_endpoint(install=acme, receiver_key=None, created_at=NOON - 60 * DAY)
    tell_history(direct, at=NOON - 60 * DAY, is_received=False)
    deliver(contract, direct)
    end(contract)
    judged(acme, now=LATE)
    assert kinds(contract, direct) == (Kind.TAKEN, Kind.NOT_KNOWN)
    assert verdict_of(contract, direct, Event.ENDED, now=LATE).reason is Reason.NO_LOG


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([], Reason.BEFORE_LOG),
        ([(-60, None)], Reason.BEFORE_LOG),
        ([(-60, None), (1, True)], Reason.BEFORE_LOG),
        ([(-60, False), (1, True)], Reason.OUT_OF_PATH),
        ([(-60, None), (-20, True)], Reason.UNPROVEN),
        ([(-60, False), (-20, True)], Reason.UNPROVEN),
    ],
)
def test_the_log_begins_when_it_is_known_that_deliveries_reach_the_receiver(
    acme: Install, contract: Contract, history, reason
) -> None:
    """Earlier releases kept no record of an endpoint's path, so their log may have gaps."""
    endpoint = make_endpoint(install=acme, created_at=NOON - 60 * DAY, event_types=["contract.ended"])
    for days, is_received in history:
        tell_history(endpoint, at=NOON + days * DAY, is_received=is_received)
    end(contract)
    judged(acme, now=NOON + 2 * DAY)
    found = verdict_of(contract, endpoint, Event.ENDED, now=NOON + 2 * DAY)
    assert (found.reason, found.kind is Kind.MISSING) == (reason, reason is Reason.UNPROVEN)


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        ({}, Kind.MISSING),
        ({"not_before": NOON - 10 * DAY}, Kind.NOT_KNOWN),
        ({"is_received": None}, Kind.NOT_KNOWN),
    ],
)
def test_the_log_of_an_endpoint_that_was_registered_through_the_receiver_began_with_it(
    acme: Install, contract: Contract, first, kind
) -> None:
    """The contract started a minute after it, which is less than clocks may differ."""
    registered_at = contract.created_at - MINUTE
    endpoint = make_endpoint(install=acme, created_at=registered_at, event_types=["contract.started"])
    tell_history(endpoint, at=registered_at, **first)
    judged(acme, now=LATE)
    assert verdict_of(contract, endpoint, Event.STARTED, now=LATE).kind is kind


def test_a_link_that_only_the_contract_names_is_a_link(acme: Install, contract: Contract) -> None:
    """The token may lack the scope that reads links. One link's event is not all of the job's then."""
    endpoint = make_received(install=acme)
    deliver(contract, endpoint)
    contract.link_ids = ["lnk_1", "lnk_2"]
    contract.save()
    acme.project_links.all().delete()
    judged(acme, now=NOON)
    assert kinds(contract, endpoint, now=NOON) == (Kind.TAKEN_IN_PART, Kind.NOT_DUE)


def test_it_is_judged_by_link(acme: Install, contract: Contract) -> None:
    endpoint = make_received(install=acme)
    make_link(
        install=acme,
        opentrain_id="lnk_2",
        created_at=NOON - 50 * DAY,
        first_seen_at=NOON - 50 * DAY,
        last_seen_at=READ,
    )
    deliver(contract, endpoint)
    judged(acme, now=NOON)
    found = verdict_of(contract, endpoint, Event.STARTED, now=NOON)
    assert found.kind is not Kind.TAKEN


def test_the_number_of_queries_does_not_depend_on_contracts(acme: Install, contract: Contract) -> None:
    endpoints = [make_received(install=acme) for _ in range(3)]
    counts = []
    for many in (2, 20):
        contracts = [make_contract(install=acme, created_at=NOON - DAY) for _ in range(many)]
        for one in contracts[1:]:
            deliver(one, endpoints[0], at=NOON)
        judged(acme, now=NOON)
        with CaptureQueriesContext(connection) as queries:
            assert len(verdicts(contracts=contracts, now=NOON)) == many * 3 * 2
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


def test_contracts_of_several_installs_are_judged_each_by_its_own(acme: Install, contract: Contract) -> None:
    endpoint, other = make_received(install=acme), make_received()
    theirs = make_running(install=other.install)
    end(contract)
    end(theirs)
    judged(acme, now=LATE)
    judged(other.install, now=READ)
    contracts = list(Contract.objects.all())
    found = verdicts(contracts=contracts, now=LATE)
    assert found[contract.pk, endpoint.pk, Event.ENDED].kind is Kind.MISSING
    assert found[theirs.pk, other.pk, Event.ENDED].kind is Kind.NOT_SEEN_YET
    assert Reconciliation.objects.count() == 2
    assert (contract.pk, other.pk, Event.ENDED) not in found


def test_of_an_install_that_was_never_judged_nothing_is_missing(acme: Install, contract: Contract) -> None:
    """Its contracts were read, and the worker was killed before it looked at the log."""
    endpoint = make_received(install=acme)
    assert verdict_of(contract, endpoint, Event.STARTED, now=LATE).kind is Kind.NOT_SEEN_YET
    judged(acme, now=LATE)
    assert verdict_of(contract, endpoint, Event.STARTED, now=LATE).kind is Kind.MISSING
