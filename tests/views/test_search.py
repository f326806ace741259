"""The quick search: what leads where, for whom, and what is not looked up."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard.db.word_search import beginning_with, words_in
from dashboard.models import Endpoint, Install, User
from dashboard.queries.search import find
from dashboard.rules.secret_texts import STARTS
from tests.factories import make_delivery, make_endpoint, make_install, make_run

RESULTS = "/search/results/"


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, opentrain_id="whe_known", handler_url="https://acme.example/hooks/billing-v2")


@pytest.fixture
def ana(client: Client, support: User) -> Client:
    client.force_login(support)
    return client


def titles(user: User, text: str) -> dict[str, list[str]]:
    found = find(user=user, text=text, now=timezone.now())
    kinds = ("installs", "endpoints", "runs", "deliveries", "of_event", "of_resource")
    return {kind: [str(one) for one in getattr(found, kind)] for kind in kinds if getattr(found, kind)}


@pytest.mark.parametrize("text", ["acme", "ACME LABS", "lab", "labs acm"])
def test_install_is_found_by_the_beginnings_of_words_of_its_name(text: str, acme: Install, support: User) -> None:
    assert titles(support, text) == {"installs": ["Acme Labs"]}


@pytest.mark.parametrize("text", ["abs", "cme", "acme beta", "…", "a"])
def test_text_that_begins_no_word_finds_nothing(text: str, acme: Install, support: User) -> None:
    assert titles(support, text) == {}


@pytest.mark.parametrize("text", ["billing", "acme.example/hooks", "https://acme.example/hooks/billing-v2", "hooks v2"])
def test_endpoint_is_found_by_words_of_its_address(text: str, endpoint: Endpoint, support: User) -> None:
    assert titles(support, text) == {"endpoints": [endpoint.url]}


@pytest.mark.parametrize("text", ["'", "\\", "q'z:*", "!!", "&|", "caf'é \\' or 1=1", "%", "<->", "(" * 300, "\ud800"])
def test_any_text_is_answered(text: str, ana: Client, endpoint: Endpoint) -> None:
    response = ana.get(RESULTS, {"q": text.encode(errors="replace").decode()})
    assert (response.status_code, "Nothing that you may see" in response.content.decode()) == (200, True)


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


def test_outsider_finds_nothing_of_another_install(endpoint: Endpoint, outsider: User) -> None:
    delivery = make_delivery(endpoint=endpoint)
    run = make_run(endpoint=endpoint)
    install = endpoint.install
    ids = [delivery.opentrain_id, delivery.event_id, delivery.resource_id, "whe_known", install.opentrain_id]
    for text in [*ids, install.organization_id, "acme", "billing", str(run.pk)]:
        assert titles(outsider, text) == {}
    assert titles(outsider, "other") == {"installs": ["Other Data"]}


def test_partner_admin_finds_what_was_granted(endpoint: Endpoint, partner_admin: User) -> None:
    delivery = make_delivery(endpoint=endpoint)
    assert titles(partner_admin, delivery.opentrain_id) == {"deliveries": [delivery.opentrain_id]}
    assert titles(partner_admin, "billing") == {"endpoints": [endpoint.url]}


@pytest.mark.parametrize("secret", [start + "s" * 20 for start in STARTS])
def test_token_that_was_pasted_is_neither_looked_up_nor_shown(secret: str, ana: Client) -> None:
    make_install(name=secret)
    page = ana.get("/search/", {"q": secret}).content.decode()
    assert "looks like a token or a secret" in page
    assert secret not in page


def test_hostile_text_is_escaped(ana: Client) -> None:
    page = ana.get("/search/", {"q": '<img src=x>"'}).content.decode()
    assert "<img" not in page
    assert "&lt;img src=x&gt;&quot;" in page


def test_long_text_is_cut_and_says_so(ana: Client) -> None:
    page = ana.get("/search/", {"q": "x" * 300}).content.decode()
    assert "Only the first 200 characters were looked up." in page
    assert "x" * 201 not in page


def test_empty_search_says_what_can_be_searched(ana: Client) -> None:
    page = ana.get("/search/").content.decode()
    assert "by the beginnings of words of their name or address" in page
    assert "A part of an ID finds nothing." in page


def test_name_that_is_markup_is_shown_as_text(ana: Client) -> None:
    make_install(name="<b>Bold</b> Data")
    assert "&lt;b&gt;Bold&lt;/b&gt; Data" in ana.get(RESULTS, {"q": "bold"}).content.decode()


def test_words_are_looked_up_in_the_index(support: User) -> None:
    Install.objects.bulk_create([make_unsaved(number) for number in range(3000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dashboard_install")
    rows = Install.objects.annotate(words=words_in("name")).filter(words=beginning_with("special"))
    plan = json.loads(rows.values("pk").explain(format="json"))
    assert "install_words" in json.dumps(plan)


def make_unsaved(number: int) -> Install:
    now = timezone.now()
    return Install(
        opentrain_id=f"ins_many_{number}", name=f"Customer {number}", organization_id=f"org_{number}", app_id="app_1",
        app_name="Annotator", status="ACTIVE", created_at=now, token_id="tok", token_name="main", checked_at=now,
    )  # fmt: skip


def test_sheet_of_shortcuts_is_a_page_and_part_of_every_page(ana: Client) -> None:
    page = ana.get("/help/keys/").content.decode()
    assert "Go to the inbox" in page
    assert page.count("Next and previous row of a list") == 1
    assert "Next and previous row of a list" in ana.get("/runs/").content.decode()
