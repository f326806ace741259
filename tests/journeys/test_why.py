"""“Why didn't it come?” and a contract's page in a real browser: from a pasted ID to the answer that is copied."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import ContractChange, Endpoint, Install, Reconciliation
from dashboard.rules.deliveries import Standing
from tests.factories import (
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_failed_delivery,
    make_finding,
    make_install,
    make_link,
    make_user,
)
from tests.journeys.acting import overflows, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("keys")]
TITLE = "Annotation of street scenes at night, with bounding boxes and attributes, second review, Rome"


@pytest.fixture
def acme(transactional_db: None) -> Install:
    """An install whose contract ended: one endpoint failed to take that, one was disabled, and one took it."""
    now = timezone.now()
    scopes = ["webhooks:manage", "contracts:read", "project-links:read"]
    acme = make_install(name="Acme Labs", token_scopes=scopes, scopes=scopes)
    Reconciliation.objects.create(install=acme, contracts_read_at=now, links_read_at=now, judged_at=now)
    make_link(
        install=acme, job_id="job_7001", opentrain_id="lnk_7001", external_project_name="Street scenes",
        external_project_id="proj-7001", created_at=now - timedelta(days=20), first_seen_at=now - timedelta(days=20),
    )  # fmt: skip
    made, over = now - timedelta(days=9), now - timedelta(hours=5)
    contract = make_contract(
        install=acme, opentrain_id="con_0198c1f27f3a4b5c7001", job_id="job_7001", title=TITLE, status="ended",
        link_ids=["lnk_7001"], created_at=made, start_date=made, end_date=over, first_seen_at=made, last_seen_at=now,
        active_seen_at=over - timedelta(minutes=4), ended_seen_at=over + timedelta(minutes=6),
        budget_state="LOW", budget_consumed=0.83, budget_read_at=now,
    )  # fmt: skip
    ContractChange.objects.create(
        install=acme, contract=contract, what="status", before="active", after="ended",
        not_before=over - timedelta(minutes=4), seen_at=over + timedelta(minutes=6),
    )  # fmt: skip
    for name in ("access", "billing", "audit"):
        endpoint = make_endpoint(
            install=acme, handler_url=f"https://{name}.acme-labs.example.com/hooks/opentrain", created_at=made,
            event_types=["contract.started", "contract.ended", "milestone.funded"],
            status="DISABLED" if name == "billing" else "ACTIVE",
            consecutive_failures=10 if name == "billing" else 0, snapshot_at=now,
        )  # fmt: skip
        make_evidence(
            contract=contract, endpoint=endpoint, event_type="contract.started", first_received_at=made,
            last_attempt_at=made, taken_at=made, opentrain_id=f"dlv_started_{name}",
        )  # fmt: skip
        _end(acme, contract.opentrain_id, endpoint, name)
    make_contract(install=acme, opentrain_id="con_2", job_id="job_7001", title="Second of the job", status="active")
    make_delivery(endpoint=endpoint, event_type="milestone.funded", event_id="evt_55001", resource_id="mil_55001")
    return acme


def _end(acme: Install, contract_id: str, endpoint: Endpoint, name: str) -> None:
    """Let the contract's end fail at one endpoint, be missing at the one that was disabled, and reach the third."""
    contract, now = acme.contracts.get(opentrain_id=contract_id), timezone.now()
    over = now - timedelta(hours=5)
    columns = {"contract": contract, "endpoint": endpoint, "opentrain_id": f"dlv_ended_{name}"}
    if name == "access":
        delivery = make_failed_delivery(
            endpoint=endpoint, event_type="contract.ended", resource_id=contract_id, opentrain_id="dlv_ended_access",
            event_id="evt_9001", first_received_at=over, last_attempt_at=over + timedelta(hours=2),
        )  # fmt: skip
        for number in range(1, 6):
            make_attempt(
                delivery=delivery, number=number, received_at=over + timedelta(minutes=24 * number), ok=False,
                answered_status=503, handler_status=503, cause="status",
            )  # fmt: skip
        make_evidence(
            **columns, first_received_at=over, last_attempt_at=over + timedelta(hours=2), taken_at=None,
            standing=Standing.FAILED, last_cause="status", last_status=503,
        )  # fmt: skip
        make_finding(contract=contract, endpoint=endpoint, kind="failed", consequence="access", happened_at=over)
    if name == "billing":
        for hours, status, failures in ((-30, "ACTIVE", 0), (-20, "DISABLED", 10)):
            endpoint.history.create(
                at=over + timedelta(hours=hours), not_before=over + timedelta(hours=hours, minutes=-1), status=status,
                consecutive_failures=failures, event_types=endpoint.event_types, is_received=True,
            )  # fmt: skip
    if name == "audit":
        make_evidence(**columns, first_received_at=over, last_attempt_at=over, taken_at=over)


@pytest.fixture
def page(page_as: Callable[..., Page], acme: Install) -> Page:
    page = page_as(make_user(role="support"))
    page.goto("/why/")
    expect(page.get_by_role("heading", name="Why didn't it come?")).to_be_visible()
    return page


def ask(page: Page, text: str) -> None:
    page.locator("#why-q").fill(text)
    page.get_by_role("button", name="Look up").click()
    page.wait_for_url("**/why/?q=**")


def test_pasted_contract_is_answered_copied_and_opened(page: Page, screenshots: Path) -> None:
    take_all(page, screenshots, "why")
    ask(page, "“con_0198c1f27f3a4b5c7001”,")
    expect(page.get_by_text("A person may still have access.").first).to_be_visible()
    take_all(page, screenshots, "why-contract")
    assert overflows(page) == []
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy summary").click()
    expect(page.locator(".copy-text .copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "Contract: con_0198c1f27f3a4b5c7001" in copied.splitlines()

    page.get_by_role("link", name="Open contract").click()
    page.wait_for_url("**/contracts/*/")
    take_all(page, screenshots, "contract")
    assert overflows(page) == []
    page.get_by_role("link", name="Redeliver…").click()
    page.wait_for_url("**/deliveries/*/")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("job_7001", "why-job"),
        ("evt_9001", "why-event"),
        ("evt_55001", "why-milestone"),
        ("lnk_7001", "why-link"),
        ("con_nobody_has_1", "why-unknown"),
        ("ot_ptk_1234567890", "why-secret"),
    ],
)
def test_every_answer_has_nothing_that_axe_finds(page: Page, screenshots: Path, text: str, name: str) -> None:
    page.goto(f"{page.url.partition('/why/')[0]}/why/?q={text}")
    take_all(page, screenshots, name)
    assert overflows(page) == []


def test_search_dialog_leads_to_the_contract_and_to_why(page: Page, screenshots: Path) -> None:
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Search").click()
    field = page.locator("#search-field")
    field.fill("con_0198c1f27f3a4b5c7001")
    expect(page.locator("#search-field-results .palette-why")).to_be_visible()
    take_all(page, screenshots, "search-contract")
    field.fill("con_nobody_has_1")
    expect(page.get_by_text("No results for")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**/why/?q=con_nobody_has_1")
    expect(
        page.get_by_role("heading", name="No contract, link, delivery or event that you can see has this ID")
    ).to_be_visible()
