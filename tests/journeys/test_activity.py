"""Reviewing activity in a real browser: to the page by keyboard, a filter, the details, and a download."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import Install
from tests.factories import make_endpoint, make_entry, make_install, make_run, make_user
from tests.journeys.acting import overflows, take_all, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("keys")]
PASSWORD = "a-long-password"
ROW_PX = 44
"""Most height of a row on a desktop: one line."""
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def acme(transactional_db: None) -> Install:
    """An install with activity of several people."""
    ana, ago = make_user(role="support", username="ana", password=PASSWORD), timezone.now
    make_entry(
        actor=ana,
        action="sign in",
        words="Signed in.",
        address="2001:db8:85a3:8d3:1319:8a2e:370:7348",
        at=ago() - timedelta(days=2),
    )
    acme, gone = make_install(name="Acme Labs"), make_install(name="Gamma")
    endpoint = make_endpoint(install=acme, handler_url="https://acme.example.com/hooks/opentrain/deliveries")
    here = {"endpoint": endpoint, "actor": ana, "address": "192.0.2.7", "agent": AGENT}
    form = uuid.uuid4()
    make_entry(phase="requested", words="", operation=form, at=ago() - timedelta(hours=3, seconds=2), **here)
    make_entry(
        phase="refused", words="This token lacks webhooks:manage. Ask the customer to reconnect with that scope.",
        quoted="Missing scope webhooks:manage", code="FORBIDDEN", request_id=str(uuid.uuid4()), operation=form,
        at=ago() - timedelta(hours=3), **here,
    )  # fmt: skip
    make_entry(
        action="redeliver", delivery_id="dlv_0198c1f27f3a", phase="unknown", words="OpenTrain did not answer.", **here
    )
    make_entry(action="pause endpoint", phase="requested", words="", at=ago() - timedelta(minutes=9), **here)
    make_entry(install=gone, actor_name="paul", action="connect install", words="Gamma is connected.")
    gone.delete()
    return acme


@pytest.fixture
def page(live_server: LiveServer, open_page: Callable[..., Page], acme: Install) -> Iterator[Page]:
    page = open_page()
    page.goto(live_server.url)
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Activity")).to_be_visible()
    page.wait_for_load_state()
    yield page
    page.goto("about:blank")  # no poll may be in progress when the database is emptied


def test_who_did_what_is_found_and_opened(page: Page, acme: Install, screenshots: Path) -> None:
    page.keyboard.press("g")
    page.keyboard.press("v")
    page.wait_for_url("**/activity/")
    expect(page.get_by_role("row")).to_have_count(7)  # the header, five operations, and this sign-in
    heights = page.locator("tr[data-row]").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert max(heights) <= ROW_PX, heights
    take_all(page, screenshots, "activity")
    assert overflows(page) == []

    make_entry(install=acme, action="stop run", words="Recovery 7.", at=timezone.now())
    expect(page.get_by_role("link", name="stopped a run on")).to_be_visible()  # automatically

    page.locator(".filters-fold > summary").click()
    page.get_by_label("Outcome").select_option("refused")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**outcome=refused**")
    expect(page.get_by_role("row")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Re-enable endpoint", level=1)).to_be_visible()
    expect(page.locator("main")).to_contain_text("OpenTrain: Missing scope webhooks:manage")
    expect(page.locator("main")).to_contain_text("192.0.2.7")
    expect(page.get_by_role("button", name="Copy request ID")).to_be_visible()
    take_all(page, screenshots, "activity-detail")

    page.goto(page.url.partition("/activity/")[0] + "/activity/?who=nobody&from=24h")
    expect(page.locator("main")).to_contain_text("No activity matches these filters.")
    take_all(page, screenshots, "activity-nothing")

    page.get_by_role("link", name="Clear all", exact=True).click()
    page.locator("summary").filter(has_text="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV (for spreadsheets)").click()
    assert "Missing scope webhooks:manage" in download.value.path().read_text()


def test_run_is_one_row_that_opens_what_it_requested(page: Page, acme: Install, screenshots: Path) -> None:
    run, now = make_run(endpoint=acme.endpoints.get()), timezone.now()
    make_entry(endpoint=run.endpoint, run=run, action="start run", words=f"Recovery #{run.pk}.", at=now)
    for number in range(38):
        one = {"endpoint": run.endpoint, "run": run, "folded": True, "operation": uuid.uuid4(), "at": now}
        for phase in ("requested", "done"):
            make_entry(action="redeliver in a run", phase=phase, delivery_id=f"dlv_{number}", **one)
    page.goto(page.url.partition("/accounts/")[0].rstrip("/") + "/activity/")
    expect(page.get_by_role("row")).to_have_count(8)  # the run's start, and what was there
    light = violations(page)
    page.emulate_media(color_scheme="dark")
    assert light + violations(page) == []
    take_all(page, screenshots, "activity-run")
    opens = page.get_by_role("link", name="38 redeliveries")
    expect(opens).to_have_css("text-decoration-line", "underline")  # it is among words, so its colour is not enough
    opens.click()
    page.wait_for_url(f"**/activity/?run={run.pk}")
    expect(page.get_by_role("row")).to_have_count(40)  # the header, the start, and each of them
    take_all(page, screenshots, "activity-run-opened")
    assert overflows(page) == []
