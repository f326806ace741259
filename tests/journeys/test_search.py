"""The quick search, a delivery's page and the inbox's count in a real browser: what came to which endpoint."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import Delivery, Endpoint, EndpointSnapshot, Install
from tests.factories import (
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_install,
    make_refused_attempt,
    make_user,
)
from tests.journeys.acting import overflows, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("lists")]

CONTRACT = "con_0198c1f27f3a4b5c7001"
EVENT = "evt_0198c1f27f3a4b5c9001"
LONG = "Access and identity of annotators in the Rome office, production"
TYPES = ["contract.started", "contract.ended"]


@pytest.fixture
def acme(transactional_db: None) -> Install:
    """An install with an endpoint for each thing that can become of an event."""
    now = timezone.now()
    asked = {"last_error": "Not asked in this test.", "last_error_at": now + timedelta(hours=1)}  # prevents a refresh
    acme = make_install(name="Acme Labs", **asked)
    at = now - timedelta(hours=5)
    access = hook(acme, "access", name=LONG)
    make_attempt(delivery=ended(access, at=at, make=make_delivery), received_at=at)
    ended(hook(acme, "failing"), at=at, make=make_failed_delivery)
    off = hook(acme, "billing", auto_disabled_at=at - timedelta(minutes=2))
    for minutes, status, failures in ((-300, "ACTIVE", 0), (-2, "DISABLED", 10), (3, "ACTIVE", 0)):
        tell(off, at=at + timedelta(minutes=minutes), status=status, consecutive_failures=failures)
    tell(hook(acme, "lost"), at=at - timedelta(hours=5))
    tell(hook(acme, "starts-only", event_types=TYPES[:1]), at=at - timedelta(hours=5), event_types=TYPES[:1])
    direct = f"https://direct.acme-labs.example.com/{'very-long-part-of-a-path/' * 8}"
    make_endpoint(install=acme, receiver_key=None, url=direct, event_types=TYPES, created_at=at - timedelta(days=9))
    refusing = hook(acme, "refusing")
    tell(refusing, at=at - timedelta(hours=5))
    make_refused_attempt(
        endpoint=refusing, received_at=at + timedelta(seconds=9), claimed_event_type="contract.ended",
        claimed_delivery_id="dlv_refused_9x",
    )  # fmt: skip
    return acme


def hook(install: Install, host: str, **columns: object) -> Endpoint:
    made = timezone.now() - timedelta(days=9)
    known = {"event_types": TYPES, "created_at": made, "snapshot_at": timezone.now()}
    handler = f"https://{host}.acme-labs.example.com/hooks/opentrain"
    return make_endpoint(install=install, handler_url=handler, **known | columns)


def ended(endpoint: Endpoint, *, at: datetime, make: Callable[..., Delivery]) -> Delivery:
    host = endpoint.handler_url.removeprefix("https://").partition(".")[0]
    columns = {"event_type": "contract.ended", "event_id": EVENT, "resource_id": CONTRACT}
    times = {"first_received_at": at, "last_attempt_at": at, "event_created_at": at - timedelta(seconds=2)}
    return make(endpoint=endpoint, opentrain_id=f"dlv_ended_{host}", **columns, **times)


def tell(endpoint: Endpoint, *, at: datetime, **columns: object) -> None:
    known = {"status": "ACTIVE", "event_types": TYPES, "is_received": True, "not_before": at - timedelta(minutes=1)}
    EndpointSnapshot.objects.create(endpoint=endpoint, at=at, **known | columns)


@pytest.fixture
def page(page_as: Callable[..., Page], acme: Install) -> Page:
    page = page_as(make_user(role="support"))
    page.goto("/runs/")
    return page


def test_result_names_its_endpoint_and_its_page_tells_of_every_other(page: Page, screenshots: Path) -> None:
    page.keyboard.press("/")
    field = page.locator("#search-field")
    field.fill(f"why did {EVENT.upper()}… not come?")
    results = page.locator("#search-field-results")
    expect(results.get_by_text(f"at {LONG}")).to_be_visible()
    expect(results.get_by_text("received 5 h ago")).to_have_count(2)
    take_all(page, screenshots, "search-event")
    field.fill(CONTRACT)
    results.get_by_role("link").filter(has_text=LONG).click()
    page.wait_for_url("**/deliveries/*/")

    rows = page.get_by_role("region", name="This event at each endpoint").locator("tbody tr")
    states = {
        LONG: "Delivered",
        "failing.acme": "Failed",
        "billing.acme": "None seen; disabled then",
        "lost.acme": "None seen",
        "starts-only.acme": "Not subscribed",
        "direct.acme": "Direct: not seen here",
        "refusing.acme": "None accepted; refused then",
    }
    expect(rows).to_have_count(len(states))
    for name, state in states.items():
        expect(rows.filter(has_text=name).locator(".chip")).to_have_text(state)
    expect(page).to_have_title(f"contract.ended …d_access · {LONG[:59]}… · Redeliver")
    take_all(page, screenshots, "delivery-event")
    assert overflows(page) == []


def test_search_page_finds_a_name_a_refused_request_and_an_id_in_capitals(page: Page, screenshots: Path) -> None:
    page.goto("/search/?q=annotators")
    expect(page.get_by_role("link").filter(has_text=LONG)).to_be_visible()
    page.goto("/search/?q=DLV_REFUSED_9X")
    expect(page.get_by_role("heading", name="Refused requests")).to_be_visible()
    page.goto(f"/search/?q={CONTRACT.upper()}")
    expect(page.get_by_text("received 5 h ago")).to_have_count(2)
    take_all(page, screenshots, "search-page")
    assert overflows(page) == []
    page.goto("/why/?q=dlv_refused_9x")
    expect(page.get_by_text("The handler did not get it.")).to_be_visible()
    take_all(page, screenshots, "why-refused")
    assert overflows(page) == []


def test_count_of_the_inbox_follows_on_every_page_and_in_its_title(page: Page, screenshots: Path) -> None:
    inbox = page.get_by_role("navigation", name="Main").get_by_role("link", name="Inbox")
    expect(inbox).to_have_accessible_name("Inbox 1 needs attention")
    assert overflows(page) == []
    inbox.click()
    expect(page).to_have_title("(1) Inbox · Redeliver")
    Endpoint.objects.filter(handler_url__contains="lost").update(status="DISABLED", consecutive_failures=10)
    expect(page).to_have_title("(2) Inbox · Redeliver")
    expect(inbox.locator("[data-inbox-count]")).to_have_text("2")
    take_all(page, screenshots, "inbox-count")
    Endpoint.objects.all().delete()
    expect(page).to_have_title("Inbox · Redeliver")
    expect(inbox.locator("[data-inbox-count]")).to_have_count(0)
    assert overflows(page) == []


def test_page_that_outlives_its_session_loses_the_count_and_stays(page: Page) -> None:
    """A form may be half filled in: what asks for the count must not lead to the sign-in page."""
    inbox = page.get_by_role("navigation", name="Main").get_by_role("link", name="Inbox")
    expect(inbox.locator("[data-inbox-count]")).to_have_text("1")
    page.goto("/help/keys/")
    expect(inbox.locator("[data-inbox-count]")).to_have_text("1")
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(inbox.locator("[data-inbox-count]")).to_have_count(0)
    assert page.url.endswith("/help/keys/")
