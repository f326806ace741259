"""The main tasks by keyboard alone: sign in, view, repair and search."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.actions.installs import sync
from dashboard.models import Delivery, Endpoint
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_attempt, make_failed_delivery, make_user
from tests.journeys.test_story import take_all, violations
from tests.views.conftest import register

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("keys")]

PASSWORD = "a-long-password"
MOST_TABS = 60
NO_SIGN = "nonenone"
SHIFT = 0.05
"""Maximum layout shift while the page loads; above 0.1 it no longer counts as good."""


@pytest.fixture
def disabled(fake_opentrain: FakeOpenTrain) -> Endpoint:
    """An endpoint that was disabled an hour ago, with two failed deliveries."""
    ana, hour_ago = make_user(role="support", username="ana", password=PASSWORD), timezone.now() - timedelta(hours=1)
    token = fake_opentrain.add_install()
    _outcome, install = sync.connect(
        actor=ana, token=token, name="Acme Labs", now=timezone.now(), operation=uuid.uuid4()
    )
    assert install is not None
    endpoint = register(install, ana, handler_url="https://acme.example.com/hook")
    for opentrain_id in fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=2):
        delivery = make_failed_delivery(
            endpoint=endpoint, opentrain_id=opentrain_id, first_received_at=hour_ago, last_attempt_at=hour_ago
        )
        make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, received_at=hour_ago)
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    sync.refresh(install=install, now=timezone.now())
    return endpoint


@pytest.fixture
def page(live_server: LiveServer, open_page: Callable[..., Page], disabled: Endpoint) -> Iterator[Page]:
    page = open_page()
    page.goto(live_server.url)
    yield page
    page.goto("about:blank")  # no poll may be in progress when the database is emptied


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with this name has the focus, and assert that its focus is visible."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        label = page.evaluate(
            "(e => e.labels?.[0]?.innerText ?? e.getAttribute('aria-label') ?? e.innerText)"
            "(document.activeElement === document.body ? document.createElement('p') : document.activeElement)"
        )
        if name in (label or ""):
            assert (
                page.evaluate("(s => s.outlineStyle + s.boxShadow)(getComputedStyle(document.activeElement))")
                != NO_SIGN
            )
            return
    pytest.fail(f"Tab does not lead to {name}.")


def sign_in(page: Page) -> None:
    page.get_by_label("User name").focus()
    page.keyboard.type("ana")
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="1 endpoint needs attention", level=1)).to_be_visible()
    page.wait_for_load_state()  # the scripts have loaded


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.innerText")


def test_endpoint_is_repaired_by_keyboard_alone(page: Page, disabled: Endpoint, screenshots: Path) -> None:
    sign_in(page)
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="acme.example.com/hook", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".head-state")).to_contain_text("Disabled")
    tab_to(page, "More actions")
    page.keyboard.press("Enter")
    tab_to(page, "Re-enable")
    page.keyboard.press("Enter")
    answer = page.locator("#answer")
    expect(answer).to_contain_text("The 2 failed deliveries are not sent again automatically")
    expect(page.locator(".head-state")).to_contain_text("Active")
    expect(answer).to_be_focused()  # the button is gone, so the focus moves to the result
    tab_to(page, "More actions")
    page.keyboard.press("Enter")
    tab_to(page, "Redeliver all failed (2)")
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("2 requeued.")
    shifted = (
        "new Promise(done => new PerformanceObserver(list => done(list.getEntries().filter(e => !e.hadRecentInput)"
    )
    shifted += ".reduce((sum, e) => sum + e.value, 0))).observe({type: 'layout-shift', buffered: true}))"
    page.reload()
    moved = page.evaluate(f"Promise.race([{shifted}, new Promise(done => setTimeout(() => done(0), 1500))])")
    assert moved <= SHIFT

    # A row opens in place, and stays open and focused while the page updates.
    page.keyboard.press("j")
    page.keyboard.press("o")
    below = page.locator(".row-more:visible")
    expect(below).to_contain_text("Attempt 1: handler returned 503")
    with page.expect_response("**/endpoints/*/live/"):
        pass
    with page.expect_response("**/endpoints/*/live/"):
        Delivery.objects.filter(endpoint=disabled).update(attempt_count=4)
    expect(page.get_by_role("img", name="4 attempts").first).to_be_visible()
    expect(below).to_contain_text("Attempt 1: handler returned 503")
    assert focused(page) == "contract.started"
    take_all(page, screenshots, "endpoint-row-open")
    page.keyboard.press("o")
    expect(below).to_have_count(0)


def test_search_finds_and_opens_by_keyboard_alone(page: Page, disabled: Endpoint, screenshots: Path) -> None:
    sign_in(page)
    newest = disabled.deliveries.newest_first()[0]

    page.keyboard.press("/")
    window = page.get_by_role("dialog", name="Search")
    page.keyboard.type("acm")
    expect(window.get_by_role("link")).to_have_count(2)
    assert violations(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(window.get_by_role("link", name="Acme Labs").last).to_be_focused()
    take_all(page, screenshots, "search")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(newest.opentrain_id)
    expect(window.get_by_role("heading", name="Deliveries")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/deliveries/{newest.pk}/")

    # A pasted token is not sent, and shortcuts are plain letters in a text field.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("/")
    page.keyboard.type("ot_ptk_gdj?/")
    expect(window).to_contain_text("looks like a token or secret")
    page.keyboard.press("Enter")
    assert [url for url in asked if "gdj" in url] == []
    page.keyboard.press("Escape")
    expect(window).to_be_hidden()


def test_shortcuts_lead_around_and_can_be_switched_off(page: Page, screenshots: Path) -> None:
    sign_in(page)
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/deliveries/")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    page.keyboard.press("Control+j")
    expect(page.locator("tr[data-row] .row-link").first).to_be_focused()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_contain_text("Go to inbox")
    assert violations(page) == []
    take_all(page, screenshots, "keys")
    tab_to(page, "Enable single-key shortcuts in this browser")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.keyboard.press("/")
    expect(page.get_by_role("dialog", name="Search")).to_be_hidden()
    assert page.url.endswith("/deliveries/")


def test_search_works_without_javascript(
    live_server: LiveServer, open_page: Callable[..., Page], disabled: Endpoint
) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(f"{live_server.url}/search/")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Search for an install").fill("hook")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="acme.example.com/hook").click()
    expect(page.locator(".head-state")).to_contain_text("Disabled")
    page.get_by_role("link", name="Search").click()
    page.get_by_label("Search for an install").fill(disabled.opentrain_id)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/endpoints/{disabled.pk}/")
    page.get_by_role("link", name="Keyboard shortcuts").click()
    expect(page.locator("main")).to_contain_text("JavaScript is off")
