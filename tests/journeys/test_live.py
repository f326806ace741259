"""Live pages: they poll only while visible, and highlight changes; and printed pages."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import Delivery, Endpoint, Install
from dashboard.presenters.install_page import SHOWN
from tests.factories import make_endpoint, make_endpoints, make_failed_delivery, make_install, make_user
from tests.journeys.acting import overflows, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("live")]

MOVED_CLOCK = """
    const real = Date;
    window.movedBy = %d;
    window.Date = class extends real {
      constructor(...given) { given.length ? super(...given) : super(real.now() + window.movedBy); }
      static now() { return real.now() + window.movedBy; }
    };
"""
"""A browser whose clock is some ms ahead of the server's."""
MINUTES_MS = 60_000

SOME_POLLS_MS = 10_000
"""Time to advance the page's own clock; a page polls every three seconds."""


@pytest.fixture
def endpoint() -> Endpoint:
    hour_ago = timezone.now() - timedelta(hours=1)
    endpoint = make_endpoint(consecutive_failures=4, handler_url="https://acme.example.com/hook")
    make_failed_delivery(endpoint=endpoint, first_received_at=hour_ago, last_attempt_at=hour_ago)
    in_an_hour = timezone.now() + timedelta(hours=1)
    Install.objects.update(last_error="Not asked in this test.", last_error_at=in_an_hour)  # prevents a refresh
    return endpoint


@pytest.fixture
def open_endpoint(page_as: Callable[..., Page], endpoint: Endpoint) -> Callable[..., Page]:
    def opener(*, clock: bool = False, ahead_ms: int = 0, **options: str) -> Page:
        page = page_as(make_user(role="support"), **options)
        if clock:
            page.clock.install()
        if ahead_ms:
            page.add_init_script(MOVED_CLOCK % ahead_ms)
        page.goto(f"/endpoints/{endpoint.pk}/")
        return page

    return opener


def hide(page: Page, *, hidden: bool) -> None:
    """Hide the page's tab, or show it again."""
    value = "true" if hidden else "false"
    page.evaluate(f"Object.defineProperty(document, 'hidden', {{configurable: true, get: () => {value}}})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_page_asks_for_news_only_while_somebody_looks(open_endpoint: Callable[..., Page]) -> None:
    page = open_endpoint(clock=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/live/") else None)
    with page.expect_response("**/live/"):
        page.clock.run_for(SOME_POLLS_MS)
    hide(page, hidden=True)
    before = len(asked)
    page.clock.run_for(10 * SOME_POLLS_MS)
    assert len(asked) == before
    with page.expect_response("**/live/"):
        hide(page, hidden=False)


@pytest.mark.parametrize("ahead_ms", [-5 * MINUTES_MS, 90 * MINUTES_MS])
def test_times_count_from_the_servers_clock_whatever_the_browsers_says(
    ahead_ms: int, open_endpoint: Callable[..., Page]
) -> None:
    page = open_endpoint(ahead_ms=ahead_ms)
    assert abs(page.evaluate("Date.now()") - time.time() * 1000 - ahead_ms) < MINUTES_MS
    assert counted(page) == "60 min ago"
    page.evaluate(f"window.movedBy = {20 * MINUTES_MS}")  # someone sets the clock while the page is open
    etags = []
    for _ in range(2):  # the second is answered 304
        with page.expect_response("**/live/") as polled:
            pass
        etags.append(polled.value.headers["etag"])
    polled.value.finished()
    assert etags[0] == etags[1]
    assert counted(page) == "60 min ago"


def counted(page: Page) -> str:
    """Return the words that the script gives a delivery's time. Polls bring no words of the server meanwhile."""
    first = page.locator("tbody time").first
    words = first.evaluate("""time => new Promise((tell) => {
        time.textContent = "";
        document.addEventListener("htmx:beforeSwap", (event) => { event.detail.shouldSwap = false; });
        new MutationObserver(() => tell(time.textContent)).observe(time, { childList: true });
    })""")
    return str(words)


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "flash"), ("reduce", "none")])
def test_row_that_changed_shows_it_and_moves_only_for_who_wants_it(
    motion: str, animation: str, open_endpoint: Callable[..., Page], endpoint: Endpoint
) -> None:
    page = open_endpoint(reduced_motion=motion)
    with page.expect_response("**/live/"):
        pass  # one poll before the change: the first content is not highlighted
    Delivery.objects.update(attempt_count=6)
    changed = page.locator("tr.flash[data-row='failed-6']")
    assert changed.evaluate("row => getComputedStyle(row).animationName") == animation


def test_paper_has_the_facts_and_no_buttons(open_endpoint: Callable[..., Page]) -> None:
    page = open_endpoint()
    page.emulate_media(media="print")
    expect(page.locator(".going-on")).to_be_visible()
    expect(page.get_by_text("handler returned 503").first).to_be_visible()
    for what in (".bar", ".foot", ".head-actions", ".crumbs"):
        expect(page.locator(what)).to_be_hidden()


def test_search_beside_the_inbox_keeps_what_is_typed_and_finds_it(
    open_endpoint: Callable[..., Page], live_server: LiveServer
) -> None:
    for name in ("Acme Labs", "Beta Data"):
        make_install(name=name)
    page = open_endpoint()
    page.goto(live_server.url)
    field = page.get_by_label("Search installs by name or ID")
    field.fill("bet")
    for _ in range(2):  # two polls later it is still there
        with page.expect_response("**/inbox/live/**"):
            pass
    expect(field).to_have_value("bet")
    expect(field).to_be_focused()
    field.press("Enter")
    expect(page.locator("#fleet tbody tr")).to_have_count(1)
    with page.expect_response("**/inbox/live/?q=bet"):
        pass
    expect(page.locator("#fleet tbody tr")).to_have_text(re.compile("Beta Data"))


def test_page_of_many_endpoints_polls_itself_alone_and_keeps_what_is_typed(
    open_endpoint: Callable[..., Page], endpoint: Endpoint, live_server: LiveServer, screenshots: Path
) -> None:
    path = f"{live_server.url}/installs/{endpoint.install_id}/"
    make_endpoints(install=endpoint.install, count=2 * SHOWN)
    page = open_endpoint()
    page.goto(path)
    expect(page.locator("tbody tr")).to_have_count(SHOWN)
    assert overflows(page) == []
    take_all(page, screenshots, "many-endpoints")
    page.get_by_role("link", name="Next").click()
    with page.expect_response("**/live/?page=2"):
        field = page.get_by_label("Search endpoints by name, URL or ID")
        field.fill("acme")
    for _ in range(2):  # two polls later it is still there
        with page.expect_response("**/live/?page=2"):
            pass
    expect(field).to_have_value("acme")
    expect(field).to_be_focused()
    expect(page.locator(".pager")).to_contain_text("26 to 50 of 51")
    field.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Paused").click()
    expect(page.get_by_text("No endpoint in this view matches “acme”.")).to_be_visible()
    page.get_by_role("link", name="Show all 51").first.click()
    expect(page.locator("tbody tr")).to_have_count(SHOWN)
