"""“Why didn't it come?”: what the page answers for an ID, and to whom."""

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.models import Contract, Endpoint, Install, Reconciliation, User
from dashboard.rules.secret_texts import STARTS
from tests.factories import (
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_failed_delivery,
    make_install,
    make_link,
    make_refused_attempt,
)
from tests.views.conftest import Browser, browser_of

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def hook(acme: Install) -> Endpoint:
    return make_endpoint(
        install=acme,
        created_at=timezone.now() - timedelta(days=30),
        event_types=["contract.started", "contract.ended", "milestone.funded"],
        handler_url="https://acme.example/hook",
    )


@pytest.fixture
def ended(acme: Install, hook: Endpoint) -> Contract:
    """A contract that started and ended days ago. The start was taken, and its end never came."""
    now = timezone.now()
    Reconciliation.objects.create(install=acme, contracts_read_at=now, links_read_at=now)
    made, over = now - timedelta(days=9), now - timedelta(days=3)
    make_link(install=acme, job_id="job_7", opentrain_id="lnk_7", external_project_id="proj-7", created_at=made)
    contract = make_contract(
        install=acme,
        opentrain_id="con_7001",
        job_id="job_7",
        link_ids=["lnk_7"],
        title="Label cats",
        status="ended",
        created_at=made,
        start_date=made,
        end_date=over,
        first_seen_at=made,
        active_seen_at=over - timedelta(minutes=5),
        ended_seen_at=over + timedelta(minutes=5),
        last_seen_at=now,
    )
    make_evidence(
        contract=contract, endpoint=hook, event_type="contract.started", first_received_at=made, taken_at=made,
        last_attempt_at=made, opentrain_id="dlv_7001",
    )  # fmt: skip
    return contract


def read(browser: Browser, text: str) -> str:
    """Return the page's main part without tags: what a person reads."""
    response = browser.client.get("/why/", {"q": text})
    assert response.status_code == 200
    return plain(response.content.decode())


def plain(page: str) -> str:
    main = page.partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def test_page_without_an_id_has_the_field(ana: Browser) -> None:
    page = ana.read("/why/")
    assert 'id="why-q" name="q"' in page
    assert "Paste one complete ID." in page


@pytest.mark.parametrize("text", ["con_7001", "contractId: con_7001,", "job_7", "lnk_7", "proj-7", "dlv_7001"])
def test_one_contract_is_answered_with_a_sentence_evidence_and_a_copy(text: str, ended: Contract, ana: Browser) -> None:
    page = read(ana, text)
    assert "Label cats" in page
    assert "contract.ended" in page
    assert "dlv_7001): the handler took it." in page
    assert "Copy summary" in page


def test_summary_of_the_copy_button_has_complete_ids_and_utc(ended: Contract, ana: Browser) -> None:
    page = ana.client.get("/why/", {"q": "con_7001"}).content.decode()
    copied = html.unescape(re.findall(r'copy-text needs-js" data-copy="([^"]*)"', page)[0])
    assert "Contract: con_7001" in copied
    assert "Job: job_7" in copied
    assert f"{ended.ended_seen_at:%Y-%m-%d %H:%M:%S} UTC" in copied
    assert "- acme.example/hook: " in copied
    assert f"Endpoint: acme.example/hook ({Endpoint.objects.get().opentrain_id})" in copied


def test_several_contracts_are_listed_the_worst_first(
    acme: Install, hook: Endpoint, ended: Contract, ana: Browser
) -> None:
    fine = make_contract(install=acme, job_id="job_7", title="Fine", first_seen_at=timezone.now())
    make_evidence(contract=fine, endpoint=hook, event_type="contract.started")
    page = read(ana, "job_7")
    assert "Job job_7: 2 contracts" in page
    assert page.index("Label cats") < page.index("Fine")
    assert "Not known: 1 contract; Taken: 1 contract. The worst, Label cats: Whether the handler took" in page
    assert f"/installs/{acme.pk}/contracts/?q=job_7" in ana.client.get("/why/", {"q": "job_7"}).content.decode()


def test_partner_admin_learns_nothing_of_another_install(ended: Contract, hook: Endpoint, outsider: User) -> None:
    make_delivery(endpoint=hook, opentrain_id="dlv_1234", event_id="evt_1234", resource_id="mil_1234")
    olga = browser_of(outsider)
    known = ["con_7001", "job_7", "lnk_7", "proj-7", "dlv_7001", "dlv_1234", "evt_1234", "mil_1234", "ins_77"]
    Install.objects.filter(pk=ended.install_id).update(opentrain_id="ins_77")
    said = {read(olga, text).replace(text, "ID") for text in [*known, "nobody-has-9"]}
    assert len(said) == 1
    assert "No contract, link, delivery or event that you can see has this ID" in said.pop()


def test_unknown_id_says_what_was_looked_through_and_what_to_do(ended: Contract, partner_admin: User) -> None:
    page = read(browser_of(partner_admin), "con_9999")
    assert "Looked through 1 install: Acme Labs." in page
    assert "Contracts and links were last read" in page
    assert "It is of an install that is not among the installs that you can see" in page
    assert "look it up again in ten minutes." in page


def test_delivery_says_its_state_and_the_verdict_of_its_contract(ended: Contract, hook: Endpoint, ana: Browser) -> None:
    delivery = make_failed_delivery(
        endpoint=hook, opentrain_id="dlv_7002", event_type="contract.ended", resource_id="con_7001"
    )
    make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, handler_status=503)
    page = read(ana, "dlv_7002")
    assert "attempts failed" in page
    assert "attempt 1: handler returned 503." in page
    assert "Label cats" in page


def test_event_that_is_no_contracts_says_that_others_are_not_known(acme: Install, hook: Endpoint, ana: Browser) -> None:
    other = make_endpoint(install=acme, handler_url="https://acme.example/other", event_types=["milestone.funded"])
    make_delivery(endpoint=hook, event_type="milestone.funded", event_id="evt_55", resource_id="mil_55")
    page = read(ana, "evt_55")
    assert "Event evt_55" in page
    assert "Whether an event of type milestone.funded is missing is not known." in page
    assert "acme.example/other" in page
    assert f"/endpoints/{other.pk}/" in ana.client.get("/why/", {"q": "evt_55"}).content.decode()


def test_contract_that_no_list_has_is_not_judged(hook: Endpoint, ana: Browser) -> None:
    make_delivery(endpoint=hook, event_type="contract.started", resource_id="con_404", opentrain_id="dlv_404")
    assert "The install's contracts were never read from OpenTrain" in read(ana, "con_404")


def test_link_says_whether_it_exists(ended: Contract, acme: Install, ana: Browser) -> None:
    make_link(install=acme, opentrain_id="lnk_8", job_id="", external_project_name=HOSTILE)
    page = ana.client.get("/why/", {"q": "lnk_8"}).content.decode()
    assert "It has no job, so OpenTrain makes no contract events for it." in plain(page)
    assert HOSTILE not in page
    assert html.escape(HOSTILE) in page


def test_install_says_its_status(acme: Install, ana: Browser) -> None:
    assert "OpenTrain said that the install is ACTIVE" in read(ana, acme.opentrain_id)


@pytest.mark.parametrize("secret", [start + "s" * 20 for start in STARTS])
def test_secret_is_neither_looked_up_nor_shown(secret: str, ana: Browser) -> None:
    make_contract(install=make_install(), opentrain_id=secret)
    page = ana.client.get("/why/", {"q": f"Authorization: Bearer {secret}"}).content.decode()
    assert "looks like a token or secret" in page
    assert secret not in page


@pytest.mark.parametrize("text", ["CON_7001", "Con_7001", "why did con_7001 end?", "“con_7001”"])
def test_id_is_found_in_other_case_and_in_a_sentence(text: str, ended: Contract, ana: Browser) -> None:
    assert "Label cats" in plain(ana.client.get("/why/", {"q": text}).content.decode())


def test_refused_delivery_says_where_and_why(hook: Endpoint, ana: Browser, outsider: User) -> None:
    refused = make_refused_attempt(endpoint=hook, claimed_delivery_id="dlv_9x", claimed_event_type=HOSTILE)
    page = ana.client.get("/why/", {"q": "Dlv_9x"}).content.decode()
    assert "The signature does not match. The handler did not get it." in plain(page)
    assert f'href="/endpoints/{hook.pk}/doctor/?refused={refused.pk}"' in page
    assert "<img src=x" not in page
    page = browser_of(outsider).client.get("/why/", {"q": "dlv_9x"}).content.decode()
    assert "No contract, link, delivery or event that you can see has this ID" in plain(page)


def test_name_or_id_of_an_endpoint_leads_to_its_page(hook: Endpoint, acme: Install, ana: Browser) -> None:
    Endpoint.objects.filter(pk=hook.pk).update(name="Billing EU", opentrain_id="whe_9x")
    make_endpoint(install=acme, name="Billing US", deleted_at=timezone.now())
    for text in ("billing eu", "WHE_9X", "is whe_9x down?"):
        page = ana.client.get("/why/", {"q": text}).content.decode()
        assert "Its page says what is missing there." in plain(page)
        assert f'href="/endpoints/{hook.pk}/"' in page
    page = plain(ana.client.get("/why/", {"q": "billing"}).content.decode())
    assert "The page of each endpoint says what is missing there." in page
    assert "Deleted Billing US" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * 10_000, "Only the first 200 characters were looked up."),
        ("con_7001\0", "Label cats"),
        ("\u200bcon_7001\u202c", "Label cats"),
        ("con_7001\ncon_7002", "This contains 2 lines. Paste only one ID."),
        (HOSTILE, "No contract, link, delivery or event that you can see has this ID"),
        ("\u202e" * 50, "No contract, link, delivery or event that you can see has this ID"),
        ("'; DROP TABLE dashboard_contract; --", "No contract, link, delivery or event that you can see has this ID"),
    ],
)
def test_any_text_is_answered_and_escaped(text: str, said: str, ended: Contract, ana: Browser) -> None:
    page = ana.client.get("/why/", {"q": text}).content.decode()
    assert said in plain(page)
    assert "<img src=x" not in page
    assert "\0" not in page
