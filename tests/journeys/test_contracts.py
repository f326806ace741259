"""The contracts of an install in a real browser: what is missing, where, and the file of it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import Install, Reconciliation
from tests.factories import (
    make_contract,
    make_endpoint,
    make_evidence,
    make_finding,
    make_install,
    make_link,
    make_user,
)
from tests.journeys.acting import overflows, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("keys")]
ROW_PX = 44
"""Most height of an ordinary row on a desktop: two short lines."""
LONG = "Annotation of street scenes at night, with bounding boxes and attributes, second review, Rome and Milan"


@pytest.fixture
def acme(transactional_db: None) -> Install:
    """An install with three endpoints and contracts of every kind."""
    now = timezone.now()
    scopes = ["webhooks:manage", "contracts:read", "project-links:read"]
    acme = make_install(name="Acme Labs", token_scopes=scopes, scopes=scopes)
    read = now - timedelta(minutes=3)
    Reconciliation.objects.create(
        install=acme, contracts_read_at=read, links_read_at=read, judged_at=now, due_at=now + timedelta(minutes=7)
    )
    access, billing, _audit = (
        make_endpoint(install=acme, handler_url=f"https://{host}/hooks/opentrain", event_types=types)
        for host, types in (
            ("access.acme-labs.example.com", ["contract.started", "contract.ended"]),
            ("billing.acme-labs.example.com", ["contract.started", "contract.ended"]),
            ("audit.example.com", ["contract.ended"]),
        )
    )
    make_link(install=acme, job_id="job_0198c1f2", external_project_name="Street scenes", opentrain_id="lnk_1")
    make_link(install=acme, job_id="job_0198c1f2", external_project_name="Street scenes, archive", opentrain_id="lnk_2")
    make_link(install=acme, job_id="job_7", external_project_name="x" * 120, opentrain_id="lnk_3", gone_at=now)
    for number in range(6):
        at = now - timedelta(days=number, hours=5)
        contract = make_contract(
            install=acme, opentrain_id=f"con_0198c1f27f3a4b5c{number}", title=f"Label check {number}", status="ended",
            job_id="job_0198c1f2", start_date=at - timedelta(days=40), end_date=at, first_seen_at=at,
            budget_state=("OK", "LOW", "DEPLETED", "", "", "")[number], budget_consumed=0.5,
        )  # fmt: skip
        make_evidence(contract=contract, endpoint=access, event_type="contract.started", taken_at=at)
        make_evidence(contract=contract, endpoint=billing, event_type="contract.started", taken_at=at)
        make_evidence(contract=contract, endpoint=billing, event_type="contract.ended", taken_at=at)
        kind = ("missing", "missing", "failed", "not_seen_yet", "refused", "out_of_order")[number]
        make_finding(
            contract=contract, endpoint=access, kind=kind, consequence="access" if number < 2 else "", happened_at=at
        )
        make_finding(contract=contract, endpoint=billing, kind="retrying", event_type="contract.started")
    make_contract(install=acme, title=LONG, opentrain_id="c" * 180, job_id="j" * 150, status="SUSPENDED_BY_" + "X" * 30)
    make_contract(install=acme, title="", job_id="job_7", start_date=None, gone_at=now)
    return acme


@pytest.fixture
def page(page_as: Callable[..., Page], acme: Install) -> Page:
    page = page_as(make_user(role="support"))
    page.goto(f"/installs/{acme.pk}/")
    expect(page.get_by_role("link", name="View contracts")).to_be_visible()
    return page


def test_who_may_still_have_access_is_found_from_the_install(page: Page, screenshots: Path) -> None:
    take_all(page, screenshots, "install-contracts-count")
    page.get_by_role("link", name="View contracts").click()
    expect(page.get_by_role("row")).to_have_count(9)  # the header and eight contracts
    heights = page.locator(".contracts tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert sorted(heights)[len(heights) // 2] <= ROW_PX, heights
    take_all(page, screenshots, "contracts")
    assert overflows(page) == []
    page.locator("summary", has_text="+").first.click()
    take_all(page, screenshots, "contracts-folded")

    page.get_by_role("navigation", name="Findings").get_by_role("link", name="May still have access 2").click()
    page.wait_for_url("**finding=access**")
    expect(page.get_by_role("heading", name="2 contracts")).to_be_visible()
    take_all(page, screenshots, "contracts-access")

    page.locator("summary").filter(has_text="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV (for spreadsheets)").click()
    assert "con_0198c1f27f3a4b5c1" in download.value.path().read_text()

    page.keyboard.press("Escape")  # closes the menu
    page.locator(".filters-fold > summary").click()
    page.get_by_role("searchbox", name="ID").first.fill("contract: con_0198c1f27f3a4b5c4")
    page.locator("select[name=finding]").select_option("")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="Label check 4").click()
    page.wait_for_url("**/contracts/*/")


def test_endpoint_says_what_is_missing_there(page: Page, acme: Install, screenshots: Path) -> None:
    endpoint = acme.endpoints.get(handler_url__contains="access.")
    page.goto(f"{page.url.partition('/installs/')[0]}/endpoints/{endpoint.pk}/")
    expect(page.get_by_role("heading", name="Missing here")).to_be_visible()
    take_all(page, screenshots, "endpoint-missing")
    assert overflows(page) == []
    page.get_by_role("link", name="2 people may still have access").click()
    expect(page.get_by_role("heading", name="2 contracts")).to_be_visible()


def test_list_works_without_javascript(page: Page, open_page: Callable[..., Page]) -> None:
    plain = open_page(java_script_enabled=False, storage_state=page.context.storage_state())
    plain.goto(page.url)
    plain.get_by_role("link", name="View contracts").click()
    expect(plain.get_by_role("row")).to_have_count(9)
    plain.locator("summary", has_text="+").first.click()
    expect(plain.locator("details[open] li").first).to_be_visible()
    plain.locator(".filters-fold > summary").click()
    plain.locator("select[name=finding]").select_option("access")
    plain.get_by_role("button", name="Filter").click()
    expect(plain.get_by_role("row")).to_have_count(3)


@pytest.mark.parametrize("case", ["scope", "unread", "unlinked", "failed"])
def test_empty_list_has_nothing_that_axe_finds(page: Page, acme: Install, screenshots: Path, case: str) -> None:
    acme.contracts.all().delete()
    acme.project_links.all().delete()
    if case == "scope":
        Install.objects.filter(pk=acme.pk).update(token_scopes=["webhooks:manage"])
    if case == "unread":
        Reconciliation.objects.update(contracts_read_at=None)
    if case == "failed":
        Reconciliation.objects.update(
            error="OpenTrain did not answer within 15 s.", out_of_reach="More than 200 ended."
        )
    page.get_by_role("link", name="View contracts").click()
    expect(page.locator("#list-heading")).to_be_visible()
    take_all(page, screenshots, f"contracts-{case}")
