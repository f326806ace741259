"""The quick search: which text leads where, for whom, and which texts it does not look up."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Endpoint, Install, User
from dashboard.rules.secret_texts import STARTS
from tests.factories import (
    make_contract,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_handover,
    make_install,
    make_link,
    make_refused_attempt,
    make_run,
)

RESULTS = "/search/results/"
HOUR = timedelta(hours=1)


def ids_of(endpoint: Endpoint) -> str:
    """Return the number of the endpoint's only delivery."""
    return endpoint.deliveries.get().opentrain_id.removeprefix("dlv_")


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
    assert "Use complete IDs, or paste the sentence that one is in." in page


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


@pytest.mark.parametrize("text", ["why did whe_k1… fail?", "“Whe_k1” please", "WHE_K1"])
def test_id_of_a_sentence_or_in_other_case_goes_to_its_page(text: str, acme: Install, ana: Client) -> None:
    endpoint = make_endpoint(install=acme, opentrain_id="whe_k1")
    assert ana.get("/search/", {"q": text})["Location"] == f"/endpoints/{endpoint.pk}/"


def hits(page: str) -> list[str]:
    """Return the words of each result."""
    found = re.findall(r"<a [^>]*data-hit>(.*?)</a>", page, flags=re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", one).split()) for one in found]


def test_every_hit_names_its_endpoint_and_its_time(endpoint: Endpoint, ana: Client) -> None:
    now = timezone.now()
    twin = make_endpoint(install=endpoint.install, handler_url="https://acme.example/hooks/twin", name="Twin <b>")
    contract = make_contract(install=endpoint.install, opentrain_id="con_7", title="Cats", created_at=now - HOUR)
    for one, make in ((endpoint, make_delivery), (twin, make_failed_delivery)):
        make(endpoint=one, resource_id="con_7", event_id="evt_7", first_received_at=now - HOUR)
    assert hits(ana.get(RESULTS, {"q": "evt_7"}).content.decode()) == [
        "contract.started Failed at Twin &lt;b&gt; Acme Labs · dlv_" + ids_of(twin) + " received 60 min ago",
        "contract.started Delivered at acme.example/hooks/billing-v2 Acme Labs · dlv_"
        + ids_of(endpoint)
        + " received 60 min ago",
        "Why didn't it come?",
    ]
    assert "Cats Acme Labs · con_7 created 60 min ago" in hits(ana.get(RESULTS, {"q": "con_7"}).content.decode())
    make_refused_attempt(
        endpoint=twin, claimed_delivery_id="dlv_x7", claimed_event_type="contract.ended", received_at=now - HOUR
    )
    run = make_run(endpoint=twin, created_at=now - HOUR)
    handover = make_handover(contract=contract, endpoint=twin, asked_at=now - HOUR)
    make_link(install=endpoint.install, opentrain_id="lnk_7", external_project_name="P", last_seen_at=now - HOUR)
    Endpoint.objects.update(snapshot_at=now - HOUR)
    for text, said in (
        ("dlv_x7", "contract.ended Refused at Twin &lt;b&gt; Acme Labs · The signature does not match. refused 60 min"),
        (f"run {run.pk}", f"Recovery {run.pk} Done at Twin &lt;b&gt; Acme Labs started 60 min ago"),
        (handover.delivery_id, "at Twin &lt;b&gt; Acme Labs · "),
        (handover.delivery_id, "requested 60 min ago"),
        ("lnk_7", "P Acme Labs · lnk_7 listed 60 min ago"),
        ("twin", "Twin &lt;b&gt; Active Acme Labs · https://acme.example/hooks/twin synced 60 min ago"),
        ("acme labs", "Acme Labs organization"),
    ):
        assert said in hits(ana.get(RESULTS, {"q": text}).content.decode())[0]


def test_contract_whose_end_is_to_come_says_what_is_known(acme: Install, ana: Client) -> None:
    now = timezone.now()
    seen = {"created_at": None, "first_seen_at": now - HOUR}
    make_contract(
        install=acme, opentrain_id="con_1", title="A", status="ended", end_date=now + HOUR, ended_seen_at=now - HOUR
    )
    make_contract(install=acme, opentrain_id="con_2", title="B", **seen)
    make_contract(install=acme, opentrain_id="con_3", title="C", status="ended", end_date=now - HOUR)
    for text, said in (("con_1", "seen as ended"), ("con_2", "first seen"), ("con_3", "ended")):
        assert hits(ana.get(RESULTS, {"q": text}).content.decode())[0].endswith(f"· {text} {said} 60 min ago")


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
