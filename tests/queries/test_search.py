"""The quick search: the results for a text, and who sees them."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from dashboard.models import Endpoint, Install, User
from dashboard.queries.search import SHOWN, find
from tests.factories import (
    make_contract,
    make_delivery,
    make_endpoint,
    make_handover,
    make_install,
    make_link,
    make_refused_attempt,
    make_run,
)


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, opentrain_id="whe_known", handler_url="https://acme.example/hooks/billing-v2")


def titles(user: User, text: str) -> dict[str, list[str]]:
    found = find(user=user, text=text, now=timezone.now())
    kinds = ("installs", "endpoints", "runs", "deliveries", "of_event", "of_resource", "contracts", "of_job", "links")
    kinds = (*kinds, "handovers", "refused")
    return {kind: [str(one) for one in getattr(found, kind)] for kind in kinds if getattr(found, kind)}


@pytest.mark.parametrize("text", ["acme", "ACME LABS", "lab", "labs acm"])
def test_install_is_found_by_the_beginnings_of_words_of_its_name(text: str, acme: Install, support: User) -> None:
    assert titles(support, text) == {"installs": ["Acme Labs"]}


@pytest.mark.parametrize("text", ["abs", "cme", "acme beta", "…", "a"])
def test_text_that_begins_no_word_finds_nothing(text: str, acme: Install, support: User) -> None:
    assert titles(support, text) == {}


@pytest.mark.parametrize("text", ["billing", "acme.example/hooks", "https://acme.example/hooks/billing-v2", "hooks v2"])
def test_endpoint_is_found_by_words_of_its_address(text: str, endpoint: Endpoint, support: User) -> None:
    assert titles(support, text) == {"endpoints": [endpoint.shown_url]}


def test_part_of_a_receiver_key_finds_nothing(acme: Install, support: User) -> None:
    key = "Qx7abc-Def_gh" + "0" * 30
    one = make_endpoint(install=acme, receiver_key=key)
    for text in ("qx7", "def gh", "redeliver qx7abc", "Qx7abc".ljust(43, "-")):
        assert titles(support, text) == {}
    for text in (key, one.url, one.url.rstrip("/"), "redeliver.example.com"):
        assert titles(support, text) == {"endpoints": [one.shown_url]}


SECRET_URL = "https://anna:Gr7pw@hooks.example.com/in;jsessionid=Zz9?tenant=acme&token=Qx7abc#key=Vv8"


@pytest.mark.parametrize("column", ["url", "handler_url"])
def test_part_of_a_password_or_of_a_secret_parameter_finds_nothing(column: str, acme: Install, support: User) -> None:
    one = make_endpoint(install=acme, **{column: SECRET_URL})
    for text in ("gr7", "hooks anna", "token qx7", "qx7abc", "vv8", "zz9"):
        assert titles(support, text) == {}
    for text in (SECRET_URL, "hooks.example.com/in", "hooks token"):
        assert titles(support, text) == {"endpoints": [one.shown_url]}


def test_hand_over_is_found_by_the_delivery_id_that_the_handler_logged(
    endpoint: Endpoint, support: User, outsider: User
) -> None:
    row = make_handover(contract=make_contract(install=endpoint.install), endpoint=endpoint)
    assert titles(support, row.delivery_id) == {"handovers": [f"contract.ended {row.delivery_id}"]}
    assert titles(outsider, row.delivery_id) == {}
    assert titles(support, row.delivery_id[:-1]) == {}


@pytest.mark.parametrize("written", ["dlv_01hzx", "DLV_01HZX", "dlv_01HZX", "Dlv_01hzx"])
@pytest.mark.parametrize("stored", ["dlv_01hzx", "dlv_01HZX", "DLV_01HZX"])
def test_id_is_found_in_whatever_case_it_is_typed(stored: str, written: str, endpoint: Endpoint, support: User) -> None:
    make_delivery(endpoint=endpoint, opentrain_id=stored)
    assert titles(support, written) == {"deliveries": [stored]}


@pytest.mark.parametrize("stored", ["7b1c-2f", "7B1C-2F"])
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_project_of_a_partner_is_found_in_whatever_case_it_is_typed(
    stored: str, change: Callable[[str], str], acme: Install, support: User
) -> None:
    make_link(install=acme, opentrain_id="lnk_77", external_project_id=stored)
    assert titles(support, change(stored)) == {"links": ["lnk_77"]}


def test_hand_over_is_found_in_capitals(endpoint: Endpoint, support: User) -> None:
    row = make_handover(contract=make_contract(install=endpoint.install), endpoint=endpoint)
    assert titles(support, row.delivery_id.upper()) == {"handovers": [f"contract.ended {row.delivery_id}"]}


def test_name_with_other_letters_is_found(support: User) -> None:
    make_install(name="Café Ångström & Söhne")
    assert titles(support, "ångs söh") == {"installs": ["Café Ångström & Söhne"]}


def test_delivery_event_resource_and_run_are_found_by_their_whole_ids(endpoint: Endpoint, support: User) -> None:
    make_delivery(endpoint=endpoint, opentrain_id="dlv_77", event_id="evt_77", resource_id="con_77")
    run = make_run(endpoint=endpoint)
    assert titles(support, "dlv_77") == {"deliveries": ["dlv_77"]}
    assert titles(support, "evt_77") == {"of_event": ["dlv_77"]}
    assert titles(support, "con_77") == {"of_resource": ["dlv_77"]}
    assert titles(support, f"run {run.pk}") == {"runs": [f"Recovery {run.pk}"]}
    assert titles(support, f"#{run.pk}") == {"runs": [f"Recovery {run.pk}"]}
    assert titles(support, "dlv_7") == {}


def test_contract_link_project_and_job_are_found_by_their_whole_ids(acme: Install, support: User) -> None:
    make_link(install=acme, opentrain_id="lnk_77", external_project_id="proj-77", job_id="job_77")
    make_contract(install=acme, opentrain_id="con_77", job_id="job_77")
    assert titles(support, "con_77") == {"contracts": ["con_77"]}
    assert titles(support, "job_77") == {"of_job": ["con_77"]}
    assert titles(support, "lnk_77") == {"links": ["lnk_77"]}
    assert titles(support, "proj-77") == {"links": ["lnk_77"]}
    assert titles(support, "con_7") == {}


@pytest.mark.parametrize("text", ["Dlv_7a", "DLV_7A"])
def test_id_is_found_in_other_case_if_nothing_has_it_as_given(text: str, endpoint: Endpoint, support: User) -> None:
    make_delivery(endpoint=endpoint, opentrain_id="dlv_7a")
    assert titles(support, text) == {"deliveries": ["dlv_7a"]}
    make_delivery(endpoint=endpoint, opentrain_id=text)
    found = find(user=support, text=text, now=timezone.now())
    assert [one.opentrain_id for one in found.deliveries] == [text]
    assert found.exact in found.deliveries


def test_newer_rows_in_another_spelling_do_not_hide_the_id_as_it_was_given(endpoint: Endpoint, support: User) -> None:
    given = "7Ab"
    for number in range(2):
        make_delivery(endpoint=endpoint, opentrain_id=f"dlv_{number}", event_id=given, resource_id=given)
    delivery = make_delivery(endpoint=make_endpoint(install=endpoint.install), opentrain_id=given)
    refused = make_refused_attempt(endpoint=endpoint, claimed_delivery_id=given)
    contract = make_contract(install=endpoint.install, opentrain_id="con_1", job_id=given)
    link = make_link(install=endpoint.install, external_project_id=given)
    for number in range(SHOWN + 1):
        other = make_endpoint(install=endpoint.install)
        make_delivery(endpoint=other, opentrain_id="7ab", event_id="7ab", resource_id="7ab")
        make_refused_attempt(endpoint=endpoint, claimed_delivery_id="7ab")
        make_contract(install=endpoint.install, opentrain_id=f"con_other_{number}", job_id="7ab")
        make_link(install=endpoint.install, external_project_id="7ab")
    found = find(user=support, text=given, now=timezone.now())
    assert (found.deliveries, found.refused, found.of_job) == ((delivery,), (refused,), (contract,))
    assert [one.event_id for one in found.of_event] == [one.resource_id for one in found.of_resource] == [given] * 2
    assert found.links[0] == link


def test_what_is_named_like_an_id_does_not_hide_what_has_it(support: User) -> None:
    named = [make_install(name="whi_77 of tests", rank=-number) for number in range(SHOWN)]
    own = make_install(name="Zeta", opentrain_id="whi_77")
    for install in named:
        make_endpoint(install=install, name=f"whe_77 {install.pk}")
    endpoint = make_endpoint(install=own, opentrain_id="whe_77")
    now = timezone.now()
    assert find(user=support, text="WHI_77", now=now).installs[0] == own
    assert find(user=support, text="whe_77", now=now).endpoints[0] == endpoint


@pytest.mark.parametrize(("text", "kind"), [("JOB_77", "of_job"), ("Whe_Known", "endpoints"), ("Con_77", "contracts")])
def test_every_kind_of_id_is_found_in_other_case(text: str, kind: str, endpoint: Endpoint, support: User) -> None:
    make_contract(install=endpoint.install, opentrain_id="con_77", job_id="job_77")
    assert list(titles(support, text)) == [kind]


def test_endpoint_is_found_by_the_beginnings_of_words_of_its_name(acme: Install, support: User) -> None:
    named = make_endpoint(install=acme, name="Billing (EU) prod")
    make_endpoint(install=acme, name="Payroll")
    for text in ("billing", "eu bill", "Billing (EU) prod"):
        found = find(user=support, text=text, now=timezone.now())
        assert found.endpoints == (named,)


def test_refused_request_is_found_by_the_delivery_id_that_it_claimed(
    endpoint: Endpoint, support: User, outsider: User
) -> None:
    refused = make_refused_attempt(endpoint=endpoint, claimed_delivery_id="dlv_77")
    make_refused_attempt(endpoint=endpoint, claimed_delivery_id="")
    assert titles(support, "dlv_77") == {"refused": [str(refused)]}
    assert titles(support, "DLV_77") == {"refused": [str(refused)]}
    assert titles(outsider, "dlv_77") == {}
    assert titles(support, "dlv_7") == {}


def test_outsider_finds_nothing_of_another_install(endpoint: Endpoint, outsider: User) -> None:
    delivery = make_delivery(endpoint=endpoint)
    run = make_run(endpoint=endpoint)
    install = endpoint.install
    make_link(install=install, opentrain_id="lnk_77", external_project_id="proj-77", job_id="job_77")
    make_contract(install=install, opentrain_id="con_77", job_id="job_77")
    ids = [
        "lnk_77",
        "proj-77",
        "job_77",
        "con_77",
        delivery.opentrain_id,
        delivery.event_id,
        delivery.resource_id,
        "whe_known",
        install.opentrain_id,
    ]
    for text in [*ids, install.organization_id, "acme", "billing", str(run.pk)]:
        assert titles(outsider, text) == {}
    assert titles(outsider, "other") == {"installs": ["Other Data"]}


def test_partner_admin_finds_what_was_granted(endpoint: Endpoint, partner_admin: User) -> None:
    delivery = make_delivery(endpoint=endpoint)
    assert titles(partner_admin, delivery.opentrain_id) == {"deliveries": [delivery.opentrain_id]}
    assert titles(partner_admin, "billing") == {"endpoints": [endpoint.shown_url]}
