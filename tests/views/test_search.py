"""The quick search: which text leads where, for whom, and which texts it does not look up."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Endpoint, Install, User
from dashboard.rules.secret_texts import STARTS
from tests.factories import make_contract, make_delivery, make_endpoint, make_install, make_link

RESULTS = "/search/results/"


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, opentrain_id="whe_known", handler_url="https://acme.example/hooks/billing-v2")


@pytest.fixture
def ana(client: Client, support: User) -> Client:
    client.force_login(support)
    return client


@pytest.mark.parametrize("text", ["'", "\\", "q'z:*", "!!", "&|", "caf'é \\' or 1=1", "%", "<->", "(" * 300, "\ud800"])
def test_any_text_is_answered(text: str, ana: Client, endpoint: Endpoint) -> None:
    response = ana.get(RESULTS, {"q": text.encode(errors="replace").decode()})
    assert (response.status_code, "No results for" in response.content.decode()) == (200, True)


def test_resource_with_many_deliveries_leads_to_the_list(endpoint: Endpoint, ana: Client) -> None:
    now = timezone.now()
    for number in range(7):
        make_delivery(endpoint=endpoint, resource_id="con_9", first_received_at=now - timedelta(minutes=number))
    page = ana.get(RESULTS, {"q": "con_9"}).content.decode()
    assert page.count('href="/deliveries/') - page.count('href="/deliveries/?') == 5
    assert 'href="/deliveries/?resource=con_9"' in page


def test_whole_id_goes_straight_to_its_page(endpoint: Endpoint, ana: Client) -> None:
    delivery = make_delivery(endpoint=endpoint)
    install = endpoint.install
    for text, address in (
        (delivery.opentrain_id, f"/deliveries/{delivery.pk}/"),
        ("  whe_known ", f"/endpoints/{endpoint.pk}/"),
        (install.opentrain_id, f"/installs/{install.pk}/"),
    ):
        response = ana.get("/search/", {"q": text})
        assert (response.status_code, response["Location"]) == (302, address)


def test_delivery_id_of_two_endpoints_lists_both(endpoint: Endpoint, ana: Client) -> None:
    first = make_delivery(endpoint=endpoint, opentrain_id="dlv_both")
    second = make_delivery(opentrain_id="dlv_both")
    page = ana.get("/search/", {"q": "dlv_both"}).content.decode()
    assert all(f'href="/deliveries/{one.pk}/"' in page for one in (first, second))


@pytest.mark.parametrize("secret", [start + "s" * 20 for start in STARTS])
def test_token_that_was_pasted_is_neither_looked_up_nor_shown(secret: str, ana: Client) -> None:
    make_install(name=secret)
    page = ana.get("/search/", {"q": secret}).content.decode()
    assert "looks like a token or secret" in page
    assert secret not in page


def test_hostile_text_is_escaped(ana: Client) -> None:
    page = ana.get("/search/", {"q": '<img src=x>"'}).content.decode()
    assert "<img" not in page
    assert "&lt;img src=x&gt;&quot;" in page


def test_long_text_is_cut_and_says_so(ana: Client) -> None:
    page = ana.get("/search/", {"q": "x" * 300}).content.decode()
    assert "Only the first 200 characters were searched." in page
    assert "x" * 201 not in page


def test_empty_search_says_what_can_be_searched(ana: Client) -> None:
    page = ana.get("/search/").content.decode()
    assert "by the start of words in their name or URL" in page
    assert "Use complete IDs." in page


def test_name_that_is_markup_is_shown_as_text(ana: Client) -> None:
    make_install(name="<b>Bold</b> Data")
    assert "&lt;b&gt;Bold&lt;/b&gt; Data" in ana.get(RESULTS, {"q": "bold"}).content.decode()


def test_sheet_of_shortcuts_is_a_page_and_part_of_every_page(ana: Client) -> None:
    page = ana.get("/help/keys/").content.decode()
    assert "Go to inbox" in page
    assert page.count("Next and previous row of a list") == 1
    assert "Next and previous row of a list" in ana.get("/runs/").content.decode()


@pytest.mark.parametrize("text", ["\u200bwhe_known\u00a0", "“whe_known”", "`whe_known`", "endpointId: whe_known"])
def test_pasted_id_is_found_whatever_is_around_it(text: str, endpoint: Endpoint, ana: Client) -> None:
    assert ana.get("/search/", {"q": text})["Location"] == f"/endpoints/{endpoint.pk}/"


def test_list_of_ids_is_not_searched_for_and_says_why(endpoint: Endpoint, ana: Client) -> None:
    page = ana.get(RESULTS, {"q": "dlv_10001\ndlv_10002"}).content.decode()
    assert "This contains 2 lines. Paste only one name or ID." in page
    assert "No results" not in page


def test_contract_id_goes_to_its_page_and_a_job_lists_its_contracts(acme: Install, ana: Client) -> None:
    contract = make_contract(install=acme, opentrain_id="con_1001", job_id="job_1001", title="<b>Cats</b>")
    assert ana.get("/search/", {"q": "con_1001"})["Location"] == f"/contracts/{contract.pk}/"
    page = ana.get(RESULTS, {"q": "job_1001"}).content.decode()
    assert f'href="/contracts/{contract.pk}/"' in page
    assert "&lt;b&gt;Cats&lt;/b&gt;" in page


def test_why_is_offered_beside_a_contract_a_link_and_an_id_without_one_result(acme: Install, ana: Client) -> None:
    make_contract(install=acme, opentrain_id="con_1001")
    make_link(install=acme, opentrain_id="lnk_1001")
    for text in ("con_1001", "lnk_1001", "con_9999", "nothing has this"):
        assert f'href="/why/?q={text.replace(" ", "+")}"' in ana.get(RESULTS, {"q": text}).content.decode()
    assert "/why/?q=" not in ana.get(RESULTS, {"q": "acme"}).content.decode()
    assert "/why/?q=" not in ana.get(RESULTS, {"q": STARTS[0] + "s" * 20}).content.decode()
