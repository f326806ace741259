"""Lists in a real browser: how much a screen shows, tabs, filters behind one button, and nothing that is too wide."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import Endpoint
from tests.factories import (
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_install,
    make_refused_attempt,
    make_run,
    make_user,
)
from tests.journeys.acting import WIDTHS, overflows, take_all, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("lists")]

ROW_PX = 44
"""Most height of an ordinary row on a desktop: one line."""
LINES_MORE_PX = 24
"""Most that the list moves when the link above it comes, where its reason takes several lines."""
LONG_HOST = "hooks-for-annotation-and-review-of-street-scenes.acme-labs.example.com"
LONG_EVENT = "milestone." + "budget_of_a_very_long_name_" * 3


@pytest.fixture
def endpoint() -> Endpoint:
    """An endpoint with deliveries in every state, some with very long names, and refused requests."""
    now = timezone.now()
    later = now + timedelta(hours=1)
    asked = {"last_error": "Not asked in this test.", "last_error_at": later}  # prevents a refresh
    acme = make_install(name="Acme Labs", **asked)
    make_endpoint(install=make_install(name="Beta Data " + "and its many subsidiaries " * 6, **asked))
    endpoint = make_endpoint(install=acme, handler_url=f"https://{LONG_HOST}/webhooks/opentrain/deliveries")
    make_run(endpoint=endpoint, created_at=now, why="6 of 6 delivered in 9 s. " * 12)
    make_run(
        endpoint=endpoint, created_at=now, state="stopped", kind="bulk", note="ticket 4711 " * 20, actor_name="a" * 90
    )
    fill(endpoint, now=now)
    fill(Endpoint.objects.exclude(pk=endpoint.pk).get(), now=now)
    return endpoint


def fill(endpoint: Endpoint, *, now: datetime) -> None:
    minutes = iter(range(1, 100))
    recent = {"last_ok": False, "last_cause": "timeout", "last_status": 504, "attempt_count": 2, "attempts_in_round": 2}
    for columns in (
        {},
        {"event_type": LONG_EVENT, "resource_id": "c" * 180, "opentrain_id": f"d{endpoint.pk}" + "0" * 150},
        {**recent, "last_latency_ms": 9850},  # retrying
        {**recent, "attempts_in_round": 1, "event_type": LONG_EVENT},
        {"requested_at": now, "last_ok": False, "last_cause": "status", "last_status": 503},
        {"last_signature": "unchecked"},
        {"attempt_count": 40, "attempts_in_round": 40},
    ):
        at = now - timedelta(minutes=next(minutes))
        delivery = make_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at, **columns)
        for number in range(1, delivery.attempt_count + 1):
            make_attempt(delivery=delivery, number=number, ok=number == delivery.attempt_count and delivery.last_ok)
    old = now - timedelta(days=3)
    make_delivery(endpoint=endpoint, first_received_at=old, last_attempt_at=old, **recent)  # overdue
    for _ in range(5):
        at = now - timedelta(minutes=next(minutes))
        make_failed_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at)
    make_refused_attempt(endpoint=endpoint, received_at=now, explanation="It is too old. " * 15)
    make_refused_attempt(
        endpoint=endpoint, received_at=now, claimed_event_type=LONG_EVENT, claimed_delivery_id="dlv_" + "x" * 180
    )


@pytest.fixture
def open_list(page_as: Callable[..., Page], endpoint: Endpoint) -> Callable[..., Page]:
    """Open a page of the console as support."""

    def opener(path: str, **options: object) -> Page:
        page = page_as(make_user(role="support"), **options)
        page.goto(path)
        return page

    return opener


def row_heights(page: Page) -> list[int]:
    """Return the height of each row of the page's tables, in px."""
    rows = page.locator("main .table.compact > tbody > tr:not([hidden])")
    return rows.evaluate_all("rows => rows.map(row => Math.ceil(row.getBoundingClientRect().height))")


def chip_heights(page: Page) -> list[int]:
    """Return the height of each row's state, in px."""
    chips = page.locator("main .table.compact .c-state .chip")
    return chips.evaluate_all("all => all.map(one => Math.ceil(one.getBoundingClientRect().height))")


ENDPOINT_PX = {1024: 100, 1280: 170, 1920: 180}
"""Least width of the endpoint's column by the window's: less says nothing but "Be…"."""
LISTS = {
    "fleet": "/deliveries/",
    "fleet-retrying": "/deliveries/?state=retrying",
    "fleet-refused": "/deliveries/?signature=refused",
    "install": "/installs/{install}/deliveries/",
    "endpoint": "/endpoints/{endpoint}/deliveries/",
    "endpoint-refused": "/endpoints/{endpoint}/deliveries/?signature=refused",
    "endpoint-page": "/endpoints/{endpoint}/",
    "runs": "/runs/",
}


@pytest.mark.parametrize("name", LISTS)
def test_rows_are_one_line_and_no_table_is_wider_than_the_window(
    name: str, open_list: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    page = open_list(LISTS[name].format(install=endpoint.install_id, endpoint=endpoint.pk))
    heights = row_heights(page)
    assert len(heights) > 1
    assert max(heights) <= ROW_PX, heights
    assert overflows(page) == []
    assert wider_tables(page) == []
    take_all(page, screenshots, f"list-{name}")
    page.set_viewport_size({"width": 375, "height": 812})
    assert [chip for chip in chip_heights(page) if chip > ROW_PX] == []  # a long name beside it leaves it its place


@pytest.mark.parametrize("width", ENDPOINT_PX)
def test_each_column_has_room_for_its_heading_and_for_the_name_of_the_endpoint(
    width: int, open_list: Callable[..., Page], endpoint: Endpoint
) -> None:
    page = open_list("/", viewport={"width": width, "height": 900})
    narrow = {}
    for name, path in LISTS.items():
        page.goto(path.format(install=endpoint.install_id, endpoint=endpoint.pk))
        headings = page.locator("main .table.compact th")
        narrow[name] = headings.evaluate_all(
            """(all, least) => all.filter((one) => one.scrollWidth > one.clientWidth
                || (one.matches(".c-endpoint") && one.clientWidth < least)).map((one) => one.textContent)""",
            ENDPOINT_PX[width],
        )
    assert {name: found for name, found in narrow.items() if found} == {}


def wider_tables(page: Page) -> list[int]:
    """Return the widths of the window at which a table, or a cell of one, is wider than its card."""
    before, found = page.viewport_size, []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if page.locator("main .table.compact").evaluate_all(
            """tables => tables.some(table => {
                const card = table.closest(".card").getBoundingClientRect();
                return [table, ...table.querySelectorAll("td")].some(
                    one => one.getClientRects().length && one.getBoundingClientRect().right > card.right + 1);
            })"""
        ):
            found.append(width)
    page.set_viewport_size(before)
    return found


def test_tabs_lead_to_a_state_and_keep_the_other_filters(open_list: Callable[..., Page]) -> None:
    page = open_list("/deliveries/?event=contract.started")
    tabs = page.get_by_role("navigation", name="States")
    expect(tabs.get_by_role("link", name="All")).to_have_attribute("aria-current", "page")
    tabs.get_by_role("link", name="Failed").click()
    page.wait_for_url("**/deliveries/?state=failed&event=contract.started")
    expect(tabs.get_by_role("link", name="Failed")).to_have_attribute("aria-current", "page")
    expect(page.locator(".filter-chips")).to_contain_text("State: Failed")
    expect(page.locator("tr[data-row^='failed']")).to_have_count(10)
    page.get_by_role("link", name="Remove the filter State: Failed").click()
    page.wait_for_url("**/deliveries/?event=contract.started")
    tabs.get_by_role("link", name="Refused").click()
    expect(tabs.get_by_role("link", name="Refused")).to_have_attribute("aria-current", "page")


def test_filters_are_behind_one_button_that_says_how_many_are_set(
    open_list: Callable[..., Page], screenshots: Path
) -> None:
    page = open_list("/deliveries/?event=contract.started&from=24h")
    expect(page.locator("input[name=event]")).to_be_hidden()
    button = page.locator(".filters-fold > summary")
    expect(button).to_contain_text("2")
    button.press("Enter")
    page.locator("input[name=cause]").fill("503")
    take_all(page, screenshots, "list-filters")
    assert overflows(page) == []
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**cause=503**")
    page.get_by_role("link", name="Clear all", exact=True).click()
    page.wait_for_url("**/deliveries/")
    expect(page.locator(".filter-chips")).to_have_count(0)
    page.goto("/deliveries/?from=yesterdy")  # a filter that makes no sense is shown where it can be corrected
    expect(page.get_by_label("From (UTC)")).to_have_value("yesterdy")


@pytest.mark.parametrize("width", [1024, 1280])
def test_link_to_redeliver_does_not_move_the_list_when_it_comes(
    width: int, open_list: Callable[..., Page], endpoint: Endpoint
) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED")
    page = open_list("/", viewport={"width": width, "height": 900})
    page.route("**/redeliverable/live/**", lambda route: route.fulfill(body=""))
    path = f"/deliveries/?install={endpoint.install.opentrain_id}"  # its only endpoint is disabled: the reason is long
    page.goto(path)
    before = page.locator("#live").bounding_box()["y"]
    page.unroute("**/redeliverable/live/**")
    page.goto(path)
    expect(page.locator(".list-action")).to_contain_text("The endpoint is disabled or paused")
    assert page.locator("#live").bounding_box()["y"] - before <= LINES_MORE_PX
    assert violations(page) == []


def test_names_of_installs_are_suggested_once_somebody_comes_to_their_field(open_list: Callable[..., Page]) -> None:
    page = open_list("/deliveries/")
    names = page.locator("#installs option")
    expect(names).to_have_count(0)
    page.locator(".filters-fold > summary").click()
    page.get_by_role("combobox", name="Install").focus()
    expect(names.first).to_have_attribute("value", "Acme Labs")


def test_list_comes_first_on_a_phone(open_list: Callable[..., Page], endpoint: Endpoint, screenshots: Path) -> None:
    page = open_list(
        f"/installs/{endpoint.install_id}/deliveries/", viewport={"width": 375, "height": 812}, has_touch=True
    )
    first, causes = (
        page.locator(what).first.bounding_box()["y"] for what in (".table.deliveries tbody tr", ".list-causes")
    )
    assert first < 400
    assert first < causes
    assert violations(page) == []


def test_attempts_open_below_their_row_and_the_keyboard_walks_the_rows(open_list: Callable[..., Page]) -> None:
    page = open_list("/deliveries/?signature=refused")
    page.keyboard.press("j")
    expect(page.locator("tr[data-row] .row-link").first).to_be_focused()
    page.goto("/deliveries/?state=retrying")
    page.keyboard.press("j")
    page.keyboard.press("o")
    more = page.locator("tr.row-more:not([hidden])")
    expect(more).to_contain_text("View headers and body")
    row, below = page.locator("tr[data-row]").first.bounding_box(), more.bounding_box()
    assert abs(row["width"] - below["width"]) < 1  # below all columns


def test_lists_work_without_javascript(open_list: Callable[..., Page]) -> None:
    page = open_list("/deliveries/", java_script_enabled=False)
    expect(page.get_by_role("link", name="Redeliver these…")).to_be_visible()
    page.get_by_role("navigation", name="States").get_by_role("link", name="Failed").click()
    page.locator(".filters-fold > summary").click()
    page.locator("input[name=cause]").fill("503")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tr[data-row]")).to_have_count(10)
    expect(page.locator(".filter-chips li")).to_have_count(3)
    assert max(row_heights(page)) <= ROW_PX


def test_list_without_results_says_why_and_what_to_do(open_list: Callable[..., Page], screenshots: Path) -> None:
    page = open_list("/deliveries/?delivery=dlv_nothing&from=24h&event=contract.paused")
    causes = page.locator(".no-results")
    expect(causes).to_contain_text("The filter is too narrow.")
    take_all(page, screenshots, "list-nothing")
    assert overflows(page) == []
    causes.get_by_role("link", name="Search everywhere").click()
    expect(page.locator("main .no-results")).to_contain_text("use the complete ID")
    take_all(page, screenshots, "search-nothing")
    assert overflows(page) == []
