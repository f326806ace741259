"""The figures and the chart of an endpoint in a real browser: an outage that was repaired, in both themes."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import Endpoint, EndpointSnapshot
from tests.factories import make_attempt, make_delivery, make_endpoint, make_install, make_user
from tests.journeys.acting import overflows, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("keys")]
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
_COLOURS = """(selector) => {
    const canvas = document.querySelector(selector);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const theme = getComputedStyle(document.documentElement);
    const wanted = ["--ok-fill", "--bad-fill"].map((name) => theme.getPropertyValue(name).trim());
    const hex = (part) => part.toString(16).padStart(2, "0");
    const found = new Set();
    for (let at = 0; at < data.length; at += 4) {
        found.add("#" + hex(data[at]) + hex(data[at + 1]) + hex(data[at + 2]));
    }
    return wanted.map((one) => found.has(one));
}"""
"""Whether delivered and failed attempts are drawn in the chart."""


def history(endpoint: Endpoint, *rows: tuple[datetime, str, int]) -> None:
    EndpointSnapshot.objects.bulk_create(
        EndpointSnapshot(endpoint=endpoint, at=at, not_before=at, status=status, consecutive_failures=failures)
        for at, status, failures in rows
    )


@pytest.fixture
def endpoint(transactional_db: None) -> Endpoint:
    """An endpoint whose outage of two hours was repaired, beside one that delivers directly, and a quiet one."""
    now, long_ago = timezone.now(), timezone.now() - timedelta(days=60)
    acme = make_install(name="Acme Labs", checked_at=now)
    billing = make_endpoint(
        install=acme,
        handler_url="https://billing.acme-labs.example.com/hooks/opentrain",
        created_at=long_ago,
        snapshot_at=now,
    )
    make_endpoint(install=acme, receiver_key=None, snapshot_at=now)
    make_endpoint(install=acme, created_at=now - HOUR, snapshot_at=now)
    for number in range(60):
        at = now - timedelta(minutes=20 * number + 1)
        if timedelta(hours=5) < now - at < timedelta(hours=7):
            taken_at = now - timedelta(hours=4, minutes=number)
            delivery = make_delivery(endpoint=billing, first_received_at=at, last_attempt_at=taken_at, attempt_count=2)
            make_attempt(delivery=delivery, received_at=at, ok=False, cause="status", answered_status=503)
            make_attempt(delivery=delivery, number=2, received_at=taken_at)
        else:
            make_delivery(endpoint=billing, first_received_at=at, last_attempt_at=at, last_latency_ms=30 + number)
    history(
        billing,
        (now - timedelta(days=3), "ACTIVE", 0),
        (now - timedelta(hours=7), "ACTIVE", 3),
        (now - timedelta(hours=6, minutes=40), "ACTIVE", 8),
        (now - timedelta(hours=6, minutes=20), "DISABLED", 10),
        (now - timedelta(hours=4), "ACTIVE", 0),
    )
    return billing


@pytest.fixture
def page(page_as: Callable[..., Page], endpoint: Endpoint) -> Page:
    page = page_as(make_user(role="support"))
    page.goto("/")
    return page


def test_repaired_outage_stays_in_chart_strip_and_figures(page: Page, endpoint: Endpoint, screenshots: Path) -> None:
    page.goto(f"/endpoints/{endpoint.pk}/")
    expect(page.locator("#over-time-summary")).to_have_text("Attempts of the last 24 hours: 60 delivered, 6 failed.")
    expect(page.locator("#status-over-time-summary")).to_contain_text("Disabled for 2 h")
    chart = page.locator("#over-time-chart canvas")
    expect(chart).to_be_visible()
    assert page.evaluate(_COLOURS, "#over-time-chart canvas") == [True, True]
    expect(page.locator(".figures-facts")).to_contain_text("Success, last 24 h 90.9%")
    take_all(page, screenshots, "endpoint-figures")
    assert overflows(page) == []

    page.locator("#over-time-numbers").scroll_into_view_if_needed()
    # The strip is as wide as the plot above it, and says what is under the pointer, as the chart does.
    plot, strip = page.locator("#over-time-chart .u-over").bounding_box(), page.locator("[data-strip]").bounding_box()
    assert plot["x"] == pytest.approx(strip["x"], abs=1.5)
    assert plot["width"] == pytest.approx(strip["width"], abs=2)
    said, disabled = page.locator("#over-time-at"), page.locator("[data-strip] rect.tone-bad").bounding_box()
    page.mouse.move(disabled["x"] + disabled["width"] / 2, disabled["y"] + 3)
    expect(said).to_contain_text("UTC: Disabled")
    page.mouse.move(disabled["x"] + disabled["width"] / 2, plot["y"] + 20)
    expect(said).to_have_text(re.compile(r"UTC: \d+ delivered, \d+ failed$"))

    page.get_by_role("link", name="7 days").click()
    expect(page.locator("#over-time-summary")).to_contain_text("Attempts of the last 7 days")
    expect(page.locator("#status-over-time-summary")).to_contain_text("Disabled for 2 h")


def test_times_of_the_axis_are_in_the_readers_zone(page_as: Callable[..., Page], endpoint: Endpoint) -> None:
    page = page_as(make_user(role="support"), timezone_id="Asia/Kathmandu")
    page.goto(f"/endpoints/{endpoint.pk}/")
    page.reload()  # the first page tells the browser's zone
    expect(page.locator("#over-time-chart canvas")).to_be_visible()
    page.locator("#over-time-chart .u-over").hover(position={"x": 200, "y": 30})
    expect(page.locator("#over-time-at")).to_contain_text("UTC+05:45")
    # Hours of UTC begin at a quarter to, or past, an hour there.
    expect(page.locator("#over-time-at")).to_contain_text(":45")


def test_chart_and_figures_can_be_read_without_javascript(page_as: Callable[..., Page], endpoint: Endpoint) -> None:
    page = page_as(make_user(role="support"), java_script_enabled=False)
    page.goto(f"/endpoints/{endpoint.pk}/")
    expect(page.locator("[data-strip] rect.tone-bad")).to_be_visible()
    page.get_by_text("View attempts as table").click()
    expect(page.locator("#over-time-table tbody tr")).to_have_count(24)
    page.get_by_text("View status as table").click()
    expect(page.locator("#status-over-time-table tbody")).to_contain_text("Disabled")
    page.goto("/")
    expect(page.locator(".lately .spark").first).to_be_visible()


def test_healthy_inbox_and_lists_show_the_last_24_hours(page: Page, screenshots: Path) -> None:
    expect(page.get_by_role("heading", name="Endpoints, last 24 hours")).to_be_visible()
    rows = page.locator(".lately tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("90.9%")
    expect(page.locator(".lately")).to_contain_text("Not known: its deliveries don't pass through Redeliver")
    take_all(page, screenshots, "inbox-healthy")
    assert overflows(page) == []
    for path, name in (("/installs/", "installs-figures"), ("Acme Labs", "install-figures")):
        page.goto(path) if path.startswith("/") else page.get_by_role("link", name=path).click()
        expect(page.locator("tbody tr").filter(has=page.locator(".spark")).first).to_contain_text("%")
        take_all(page, screenshots, name)
        assert overflows(page) == []
