"""The inbox by consequence, and a run that ends with what is missing: in every theme and size, checked by axe."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import Endpoint, EndpointSnapshot
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason
from tests.factories import (
    make_contract,
    make_endpoint,
    make_finding,
    make_install,
    make_reconciliation,
    make_run,
    make_user,
)
from tests.journeys.acting import overflows, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("consequences")]
HOUR = timedelta(hours=1)


@pytest.fixture
def endpoint() -> Endpoint:
    """A paused endpoint that lacks the ends of two contracts and the start of one, and waits for the end of another."""
    now = timezone.now()
    scopes = ["webhooks:manage", "contracts:read", "project-links:read"]
    install = make_install(name="Acme Labs", token_scopes=scopes, checked_at=now)
    make_reconciliation(
        install=install, contracts_read_at=now, links_read_at=now, judged_at=now, due_at=now + timedelta(minutes=9)
    )
    types = ["contract.started", "contract.ended"]
    endpoint = make_endpoint(
        install=install, event_types=types, status="DISABLED", handler_url="https://acme.example.com/hooks/opentrain"
    )
    for ago, status in ((80 * HOUR, "ACTIVE"), (73 * HOUR, "DISABLED")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=now - ago, status=status)
    for ago, columns in (
        (5 * HOUR, {"consequence": Consequence.ACCESS}),
        (72 * HOUR, {"consequence": Consequence.ACCESS}),
        (2 * HOUR, {"consequence": Consequence.PROVISION, "event_type": Event.STARTED}),
        (HOUR, {"kind": Kind.NOT_SEEN_YET, "reason": "", "until": now + HOUR}),
    ):
        ended = columns.get("event_type") != Event.STARTED
        contract = make_contract(
            install=install,
            status="ended" if ended else "active",
            created_at=now - (900 * HOUR if ended else ago),
            first_seen_at=now - (900 * HOUR if ended else ago),
            end_date=now - ago if ended else None,
            active_seen_at=now - ago,
            ended_seen_at=now - ago if ended else None,
        )
        found = {"reason": Reason.PAUSED, "happened_at": now - ago} | columns
        make_finding(contract=contract, endpoint=endpoint, **found)
    return endpoint


@pytest.fixture
def page(page_as: Callable[..., Page], endpoint: Endpoint) -> Page:
    page = page_as(make_user(role="support"))
    page.goto("/")
    expect(page.get_by_role("link", name="Inbox")).to_have_attribute("aria-current", "page")
    return page


def test_inbox_by_consequence_leads_to_the_contracts_behind_each_sentence(
    page: Page, endpoint: Endpoint, screenshots: Path
) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("3 contracts need attention")
    access = page.get_by_role("listitem").filter(has_text="2 people may still have access to Acme Labs")
    expect(access).to_contain_text("their contracts ended 5 h and 3 days ago")
    expect(page.get_by_role("listitem").filter(has_text="never provisioned")).to_have_count(1)
    expect(page.get_by_role("listitem").filter(has_text="not seen yet; it may come until")).to_have_count(1)
    take_all(page, screenshots, "inbox-contracts")
    assert overflows(page) == []
    access.get_by_role("link", name="Open contracts").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Contracts of Acme Labs")
    expect(page.locator("main")).to_contain_text("May still have access")
    expect(page.locator("main")).to_contain_text("2 contracts")


def test_stopped_endpoint_and_its_run_say_what_is_missing(page: Page, endpoint: Endpoint, screenshots: Path) -> None:
    now = timezone.now()
    page.goto(f"/endpoints/{endpoint.pk}/")
    expect(page.locator("main")).to_contain_text(
        "3 contracts ended and 1 contract started while nothing was sent (from"
    )
    take_all(page, screenshots, "endpoint-stopped")
    assert overflows(page) == []
    page.goto(f"/endpoints/{endpoint.pk}/recover/")
    expect(page.locator("main")).to_contain_text("The handler never took contract.ended of 2 contracts")
    take_all(page, screenshots, "recover-stopped")
    run = make_run(endpoint=endpoint, created_at=now - HOUR / 2, ended_at=now, why="6 of 6 delivered in 9 s.")
    run.steps.create(name="watch", began_at=now - HOUR / 2, ended_at=now, words="6 of 6 delivered in 9 s.")
    page.goto(f"/runs/{run.pk}/")
    expect(page.locator("#step-ending")).to_contain_text(
        "3 missing: the handler never took contract.ended of 2 contracts"
    )
    take_all(page, screenshots, "run-missing")
    assert overflows(page) == []
    page.goto("/runs/")
    expect(page.get_by_role("row").filter(has_text="6 of 6")).to_contain_text("3 missing")
    take_all(page, screenshots, "runs-missing")
    assert overflows(page) == []
    page.get_by_role("link", name="3 missing").click()
    expect(page.locator(".filter-chips")).to_contain_text("after run")


def test_pause_says_whom_it_concerns(page: Page, endpoint: Endpoint, screenshots: Path) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(status="ACTIVE")
    page.goto(f"/endpoints/{endpoint.pk}/pause/")
    expect(page.locator("main")).to_contain_text(
        "If the active contract ends meanwhile, the handler may never learn of it"
    )
    take_all(page, screenshots, "pause-contracts")
    assert overflows(page) == []
