"""What a pasted ID is of, who may see that, and what was looked through without finding it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from dashboard.models import Contract, Install, Reconciliation, User
from dashboard.queries import why
from dashboard.queries.why import LookedThrough, Named, NamedBy, event_of, looked_through, named
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_install,
    make_link,
)

LOOK = "project-links:read", "contracts:read"


def ids(found: Named) -> tuple[NamedBy, list[str]]:
    return found.kind, sorted(one.opentrain_id for one in found.contracts)


@pytest.fixture
def contract(acme: Install) -> Contract:
    """A contract with all that leads to it: a link, a delivery in the log, and the evidence of one that is deleted."""
    make_link(install=acme, opentrain_id="lnk_77", external_project_id="proj-77", job_id="job_77")
    contract = make_contract(install=acme, opentrain_id="con_77", job_id="job_77", link_ids=["lnk_77"])
    endpoint = make_endpoint(install=acme)
    make_delivery(endpoint=endpoint, opentrain_id="dlv_77", event_id="evt_77", resource_id="con_77")
    make_evidence(contract=contract, endpoint=endpoint, opentrain_id="dlv_old", event_id="evt_old")
    return contract


EVERY = {
    "con_77": NamedBy.CONTRACT,
    "job_77": NamedBy.JOB,
    "lnk_77": NamedBy.LINK,
    "proj-77": NamedBy.PROJECT,
    "dlv_77": NamedBy.DELIVERY,
    "evt_77": NamedBy.EVENT,
    "dlv_old": NamedBy.DELIVERY,
    "evt_old": NamedBy.DELIVERY,
}


@pytest.mark.parametrize(("text", "kind"), EVERY.items())
def test_every_id_leads_to_the_contract(text: str, kind: NamedBy, contract: Contract, partner_admin: User) -> None:
    assert ids(named(user=partner_admin, text=text, now=NOON)) == (kind, [contract.opentrain_id])


@pytest.mark.parametrize("text", [*EVERY, "ins_77"])
def test_id_of_another_install_leads_to_nothing(text: str, contract: Contract, outsider: User) -> None:
    Install.objects.filter(pk=contract.install_id).update(opentrain_id="ins_77")
    found = named(user=outsider, text=text, now=NOON)
    assert found == Named()
    assert not found


@pytest.mark.parametrize("text", ["con_7", "con_777", "CON_7", "%", "", "'", "\u202econ_77"])
def test_other_text_leads_to_nothing(text: str, contract: Contract, support: User) -> None:
    assert not named(user=support, text=text, now=NOON)


@pytest.mark.parametrize("text", EVERY)
def test_id_in_capitals_leads_to_the_same(text: str, contract: Contract, support: User) -> None:
    assert named(user=support, text=text.upper(), now=NOON) == named(user=support, text=text, now=NOON)


def test_id_of_two_installs_leads_to_both_for_support(contract: Contract, support: User, partner_admin: User) -> None:
    make_contract(opentrain_id="con_77")
    assert ids(named(user=support, text="con_77", now=NOON)) == (NamedBy.CONTRACT, ["con_77", "con_77"])
    assert len(named(user=partner_admin, text="con_77", now=NOON).contracts) == 1


def test_link_without_a_job_leads_to_the_contracts_that_name_it(acme: Install, support: User) -> None:
    make_link(install=acme, opentrain_id="lnk_5", job_id="")
    make_contract(install=acme, opentrain_id="con_5", job_id="", link_ids=["lnk_5"])
    make_contract(install=acme, opentrain_id="con_6", job_id="")
    assert ids(named(user=support, text="lnk_5", now=NOON)) == (NamedBy.LINK, ["con_5"])


def test_link_without_contracts_and_install_are_found(acme: Install, support: User) -> None:
    link = make_link(install=acme)
    found = named(user=support, text=link.opentrain_id, now=NOON)
    assert (found.kind, found.links, found.contracts) == (NamedBy.LINK, (link,), ())
    found = named(user=support, text=acme.opentrain_id, now=NOON)
    assert (found.kind, found.install) == (NamedBy.INSTALL, acme)


def test_resource_that_is_no_contract_leads_to_its_deliveries(acme: Install, support: User) -> None:
    delivery = make_delivery(endpoint=make_endpoint(install=acme), event_type="milestone.funded", resource_id="mil_1")
    found = named(user=support, text="mil_1", now=NOON)
    assert (found.kind, found.deliveries, found.is_of_deliveries) == (NamedBy.RESOURCE, (delivery,), True)


def test_job_with_many_contracts_is_cut_and_says_so(
    acme: Install, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(why, "MOST_CONTRACTS", 3)
    for minutes in range(5):
        make_contract(install=acme, job_id="job_9", first_seen_at=NOON + timedelta(minutes=minutes))
    found = named(user=support, text="job_9", now=NOON)
    assert (len(found.contracts), found.has_more) == (3, True)
    assert found.contracts[0].first_seen_at == NOON + timedelta(minutes=4)


def test_reads_are_those_of_the_installs_that_were_found(contract: Contract, support: User) -> None:
    Reconciliation.objects.create(install=contract.install, contracts_read_at=NOON)
    Reconciliation.objects.create(install=make_install(), contracts_read_at=NOON)
    assert named(user=support, text="con_77", now=NOON).read_at == {contract.install_id: NOON}


def test_one_event_is_told_of_every_endpoint_and_several_are_of_none(acme: Install, support: User) -> None:
    here, other = make_endpoint(install=acme), make_endpoint(install=acme)
    make_delivery(endpoint=here, event_id="evt_1", resource_id="lnk_1")
    found = event_of(named(user=support, text="evt_1", now=NOON), now=NOON)
    assert found is not None
    assert (found.endpoints, set(found.deliveries), set(found.absent)) == ((here, other), {here.pk}, {other.pk})
    make_delivery(endpoint=here, event_id="evt_2", resource_id="lnk_1")
    assert event_of(named(user=support, text="lnk_1", now=NOON), now=NOON) is None
    assert event_of(Named(), now=NOON) is None


def test_what_was_looked_through_is_what_the_user_sees(acme: Install, partner_admin: User, outsider: User) -> None:
    Install.objects.filter(pk=acme.pk).update(token_scopes=LOOK)
    Reconciliation.objects.create(install=acme, contracts_read_at=NOON)
    make_delivery(endpoint=make_endpoint(install=acme), first_received_at=NOON - timedelta(days=2))
    make_delivery(endpoint=make_endpoint(install=acme), first_received_at=NOON - timedelta(days=3))
    make_delivery(first_received_at=NOON - timedelta(days=9))  # of another install
    assert looked_through(user=partner_admin) == LookedThrough(
        installs=1,
        named=(acme,),
        oldest_read_at=NOON,
        newest_read_at=NOON,
        unread=0,
        failing=0,
        cut=0,
        lacking=0,
        log_since=NOON - timedelta(days=3),
    )
    nothing = looked_through(user=outsider)
    assert (nothing.installs, nothing.unread, nothing.lacking, nothing.log_since) == (1, 1, 1, None)


def test_support_looks_through_everything(acme: Install, support: User) -> None:
    for minutes, columns in ((1, {"error": "No answer."}), (2, {"out_of_reach": "Some."}), (3, {})):
        install = make_install(token_scopes=LOOK)
        Reconciliation.objects.create(install=install, contracts_read_at=NOON + timedelta(minutes=minutes), **columns)
    make_delivery(endpoint=make_endpoint(install=acme), first_received_at=NOON - timedelta(days=2))
    found = looked_through(user=support)
    assert (found.installs, found.unread, found.failing, found.cut, found.lacking) == (4, 1, 1, 1, 1)
    assert (found.oldest_read_at, found.newest_read_at) == (
        NOON + timedelta(minutes=1),
        NOON + timedelta(minutes=3),
    )
    assert found.log_since == NOON - timedelta(days=2)


@pytest.mark.parametrize("look", [lambda user: named(user=user, text="job_9", now=NOON)])
def test_number_of_queries_does_not_depend_on_what_is_found(
    look: Callable[[User], Named],
    acme: Install,
    support: User,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(9):
        make_contract(install=make_install(), job_id="job_9")
        make_link(install=acme, job_id="job_9")
    with django_assert_max_num_queries(9):
        assert len(look(support).contracts) == 9
