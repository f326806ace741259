"""Times in a real browser: in its zone, typed and picked in it, with UTC at a tap; and in UTC without JavaScript."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import Endpoint
from dashboard.rules.durations import exactly_utc
from tests.factories import make_delivery, make_endpoint, make_user
from tests.journeys.acting import overflows, take, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("time-zones")]

DISABLED_AT = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
"""In the first of two hours that begin at 02:00 in Berlin."""
SHOWN = {
    "Asia/Kolkata": "since 06:00 UTC+05:30",
    "America/New_York": "since 20:30 EDT",
    "Europe/Berlin": "since 02:30 CEST",
}


@pytest.fixture
def endpoint() -> Endpoint:
    later = timezone.now() + timedelta(hours=1)
    endpoint = make_endpoint(status="DISABLED", disabled_at=DISABLED_AT, consecutive_failures=10)
    type(endpoint.install).objects.update(last_error="Not asked in this test.", last_error_at=later)
    make_delivery(endpoint=endpoint, first_received_at=DISABLED_AT, last_attempt_at=DISABLED_AT)
    return endpoint


@pytest.fixture
def open_in(page_as: Callable[..., Page]) -> Callable[..., Page]:
    """Open the account page in a browser somewhere, signed in. Its zone is known from its first page on."""

    def opener(zone: str, **options: object) -> Page:
        page = page_as(make_user(role="support"), timezone_id=zone, **options)
        page.goto("/accounts/")
        return page

    return opener


def times_of(page: Page) -> dict[str, str]:
    """Return the times in the address."""
    query = parse_qs(urlsplit(page.url).query)
    return {name: query[name][0] for name in ("from", "to") if name in query}


@pytest.mark.parametrize("zone", SHOWN)
def test_times_are_in_the_browsers_zone_and_a_tap_tells_utc(
    zone: str, open_in: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    page = open_in(zone, has_touch=True, viewport={"width": 375, "height": 812}, color_scheme="dark")
    page.goto(f"/endpoints/{endpoint.pk}/")
    head = page.locator(".head")
    expect(head).to_contain_text(SHOWN[zone])
    assert page.locator("html").get_attribute("data-zone").replace("Calcutta", "Kolkata") == zone
    head.locator("time", has_text=SHOWN[zone].removeprefix("since ")).first.tap()
    expect(page.locator("#told")).to_have_text(exactly_utc(DISABLED_AT))
    take(page, screenshots, f"tapped-{zone.rpartition('/')[2]}", full_page=False)
    page.locator("h1").tap()
    expect(page.locator("#told")).to_be_hidden()
    expect(page.locator(".foot")).to_contain_text("hover over one or tap it for exact UTC")


def test_keyboard_goes_from_time_to_time_and_tells_the_utc_of_each(
    open_in: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    page = open_in("Europe/Berlin")
    page.goto(f"/endpoints/{endpoint.pk}/")
    told, times = page.locator("#told"), page.locator("main :is(time[title], [data-utc]):visible")
    assert page.locator("main :is(time, [data-utc])[tabindex]").count() == 0  # none is in the tab order
    page.keyboard.press("t")
    expect(times.first).to_be_focused()
    expect(told).to_have_text(times.first.get_attribute("title"))
    take(page, screenshots, "time-by-key", full_page=False)
    with page.expect_response(re.compile("/live/")):
        pass
    expect(times.first).to_be_focused()  # a poll leaves the focus where it is
    expect(told).to_be_visible()
    page.keyboard.press("t")
    expect(times.nth(1)).to_be_focused()
    page.keyboard.press("Shift+T")
    expect(times.first).to_be_focused()
    page.keyboard.press("Shift+T")
    expect(times.last).to_be_focused()
    expect(told).to_have_text(times.last.get_attribute("title"))
    page.keyboard.press("Escape")
    expect(told).to_be_hidden()


def test_one_button_shows_all_times_in_utc_and_back(
    open_in: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    page = open_in("Europe/Berlin")
    page.goto(f"/endpoints/{endpoint.pk}/")
    page.get_by_role("button", name="Show all in UTC").press("Enter")
    expect(page.locator(".head")).to_contain_text("since 00:30 UTC")
    expect(page.locator(".foot")).to_contain_text("Times are in UTC")
    take_all(page, screenshots, "all-in-utc")
    page.get_by_role("button", name="Show all in Europe/Berlin").click()
    expect(page.locator(".head")).to_contain_text("since 02:30 CEST")


def test_open_page_keeps_its_zone_while_another_tab_shows_utc(open_in: Callable[..., Page], endpoint: Endpoint) -> None:
    page = open_in("Europe/Berlin")
    page.goto(f"/endpoints/{endpoint.pk}/")
    tab = page.context.new_page()
    tab.goto(f"/endpoints/{endpoint.pk}/")
    tab.get_by_role("button", name="Show all in UTC").click()
    expect(tab.locator(".head")).to_contain_text("since 00:30 UTC")
    tab.close()
    page.bring_to_front()
    with page.expect_response(re.compile("/live/")) as polled:
        pass
    assert polled.value.request.headers["x-time-zone"] == "Europe/Berlin"
    expect(page.locator(".head")).to_contain_text("since 02:30 CEST")


def test_times_are_in_utc_without_javascript_and_typed_ones_too(
    open_in: Callable[..., Page], endpoint: Endpoint
) -> None:
    page = open_in("Asia/Kolkata", java_script_enabled=False)
    page.goto(f"/endpoints/{endpoint.pk}/")
    expect(page.locator(".head")).to_contain_text("since 00:30 UTC")
    page.goto("/deliveries/")
    page.get_by_text("Filters", exact=False).first.click()
    page.get_by_label("From (UTC)").fill("25 Oct 2026 00:30")
    page.get_by_role("button", name="Filter", exact=True).click()
    assert times_of(page) == {"from": "2026-10-25T00:30Z"}
    expect(page.locator("main")).to_contain_text("From: 2026-10-25 00:30 UTC")


def test_chosen_zone_counts_without_javascript(open_in: Callable[..., Page], endpoint: Endpoint) -> None:
    page = open_in("Asia/Kolkata", java_script_enabled=False)
    page.get_by_label("Time zone").fill("new york")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("Times are now shown in America/New_York.")
    page.goto(f"/endpoints/{endpoint.pk}/")
    expect(page.locator(".head")).to_contain_text(SHOWN["America/New_York"])


def test_time_is_typed_or_picked_in_the_readers_zone_and_shared_in_utc(
    open_in: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    page = open_in("Asia/Kolkata")
    page.goto("/deliveries/")
    page.get_by_text("Filters", exact=False).first.click()
    page.locator("[name=from]").fill("25 Oct 2026 06:00")
    pick = page.get_by_role("button", name="Pick a time: To")
    expect(pick).to_be_visible()
    page.evaluate(
        """() => {
            const picker = document.querySelector("input[name=to]").closest(".moment").querySelector(".moment-picker");
            picker.value = "2026-10-25T06:30";
            picker.dispatchEvent(new Event("change"));
        }"""
    )
    expect(page.locator("[name=to]")).to_have_value("2026-10-25 06:30")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.wait_for_url(re.compile("from="))
    assert times_of(page) == {"from": "2026-10-25T00:30Z", "to": "2026-10-25T01:00Z"}
    expect(page.locator("main")).to_contain_text("From: 2026-10-25 06:00 UTC+05:30")
    address = page.url
    elsewhere = open_in("Europe/Berlin")
    elsewhere.goto(address)
    expect(elsewhere.locator("main")).to_contain_text("From: 2026-10-25 02:30 CEST")
    expect(elsewhere.locator("main")).to_contain_text("To: 2026-10-25 02:00 CET")
    if not elsewhere.locator("[name=from]").is_visible():
        elsewhere.get_by_text("Filters", exact=False).first.click()
    assert overflows(elsewhere) == []
    take_all(elsewhere, screenshots, "typed-times")


def test_chart_tells_the_hour_that_comes_twice_apart(open_in: Callable[..., Page], endpoint: Endpoint) -> None:
    page, now = open_in("Europe/Berlin"), timezone.now()
    make_delivery(endpoint=endpoint, first_received_at=now, last_attempt_at=now)  # without attempts, no chart is drawn
    first = int(DISABLED_AT.timestamp()) - 1800
    page.goto(f"/endpoints/{endpoint.pk}/?range=1h#over-time")
    expect(page.locator("#over-time-attempts canvas")).to_be_visible()
    marks = page.evaluate(
        """(first) => {
            const marks = [], write = CanvasRenderingContext2D.prototype.fillText;
            CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
                marks.push(text);
                return write.call(this, text, ...rest);
            };
            const table = document.getElementById("over-time-table");
            [...table.tBodies[0].rows].forEach((row, index) => { row.dataset.at = first + 1800 * index; });
            table.dataset.width = 1800;
            document.dispatchEvent(new Event("redeliver:theme")); // draws again
            return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(marks))));
        }""",
        first,
    )
    assert "Europe/Berlin" in marks
    twice = [mark for mark in marks if mark.startswith("02:00")]
    assert twice == ["02:00 +02", "02:00 +01"], marks
    chart = page.locator("#over-time-chart .u-over")
    chart.hover(position={"x": 3, "y": 20})
    expect(page.locator("#over-time-at")).to_contain_text(
        "25 Oct, 02:00 to 02:30 UTC+02:00 (2026-10-25 00:00 to 00:30 UTC)"
    )


def test_account_page_offers_zones_to_search(open_in: Callable[..., Page], screenshots: Path) -> None:
    page = open_in("Europe/Berlin")
    page.reload()
    expect(page.locator("#time-zone")).to_contain_text("your browser's time zone, Europe/Berlin")
    assert page.locator("#time-zones option[value='Asia/Kolkata']").count() == 1
    assert overflows(page) == []
    take_all(page, screenshots, "account-time-zone")
