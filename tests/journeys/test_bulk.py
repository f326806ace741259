"""A bulk run in a real browser, by real processes: filter, start, pause, resume, kill and cancel."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Browser, Page, expect

from dashboard.models import AuditEntry, Endpoint, Run, User
from tests.faults.failed import deliver_requested, failed_deliveries, session_of, wait_until
from tests.faults.serving import Site, serving
from tests.journeys.acting import take_all

pytestmark = [
    pytest.mark.browser,
    pytest.mark.urls("dashboard.partner_api.urls"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("bulk"),
]
COUNT = 120
LOOK_MS = 60_000
"""Timeout on a busy machine. A page polls every three seconds; after a crash, a worker checks for runs every five."""


@pytest.fixture
def endpoint(settings: Any) -> Iterator[Endpoint]:
    with failed_deliveries(count=COUNT, settings=settings) as endpoint:
        yield endpoint


@pytest.fixture
def console(endpoint: Endpoint, postgres_server: Any, settings: Any, tmp_path: Path) -> Iterator[Site]:
    given = {"OPENTRAIN_BASE_URL": settings.OPENTRAIN_BASE_URL, "OPENTRAIN_RUN_INTERVAL_S": "2", "RUN_PACE_MS": "150"}
    url = postgres_server.url(str(connection.settings_dict["NAME"]))
    with serving(tmp_path, database_url=url, **given) as site:
        site.start()
        site.start_worker()
        yield site
    print((tmp_path / "site.log").read_text()[-4000:])  # noqa: T201 - pytest shows it with a failure


@pytest.fixture
def page(browser: Browser, console: Site) -> Iterator[Page]:
    """Ana's browser. Console errors are allowed, because the test kills the server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    address = f"http://127.0.0.1:{console.port}"
    context.add_cookies([{"name": "sessionid", "value": session_of(User.objects.get()), "url": address}])
    page = context.new_page()
    page.goto(f"{address}/deliveries/?state=failed")
    yield page
    context.close()


def asked(page: Page) -> int:
    left = re.search(r"(\d+) not requested", page.locator(".run-legend").inner_text())
    return COUNT - int(left[1] if left else 0)


def await_asked(page: Page, more_than: int) -> None:
    """Wait until the page, without a reload, shows that more deliveries were requested."""
    wait_until(lambda: page.wait_for_timeout(200) is None and asked(page) > more_than)


def test_bulk_run_is_paused_resumed_killed_cancelled_and_continued_to_its_end(
    page: Page, console: Site, endpoint: Endpoint, screenshots: Path
) -> None:
    page.get_by_role("link", name=f"Redeliver these {COUNT}…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Redeliver {COUNT} deliveries")
    page.get_by_label("Note for your team").fill("ticket 4711")
    page.get_by_role("button", name=f"Redeliver {COUNT}").click()
    await_asked(page, 3)

    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".outcome")).to_contain_text("Paused by ana.")
    wait_until(lambda: not Run.objects.get().items.filter(state="asking").exists())
    at_pause = Run.objects.get().items.exclude(state="waiting").count()
    take_all(page, screenshots, "run-bulk-paused")
    run = page.url
    page.goto(f"http://127.0.0.1:{console.port}/endpoints/{endpoint.pk}/delete/")
    expect(page.locator("main")).to_contain_text("A run is active on this endpoint: Redelivery by ana")
    take_all(page, screenshots, "endpoint-delete-with-run")
    page.goto(run)
    page.wait_for_timeout(3500)  # one poll, and time for twenty requests if the run were not paused
    assert Run.objects.get().items.exclude(state="waiting").count() == at_pause
    page.get_by_role("button", name="Resume").click()
    await_asked(page, at_pause)

    # All processes are killed: the page says so, and recovers automatically when they are back.
    console.kill()
    at_kill = Run.objects.get().items.exclude(state="waiting").count()
    expect(page.locator("#lost")).to_be_visible(timeout=LOOK_MS)
    console.start()
    console.start_worker()
    expect(page.locator("#lost")).to_be_hidden(timeout=LOOK_MS)
    await_asked(page, at_kill)

    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".outcome")).to_contain_text("Cancelled by ana.")
    Run.objects.update(pace_ms=0)
    page.get_by_role("button", name="Continue with what is left").click()
    expect(page.locator(".facts")).to_contain_text(
        re.compile(r"deliveries not requested by run \d+ \(State: Failed \(as of ")
    )
    wait_until(lambda: not Run.objects.latest("id").items.filter(state__in=["waiting", "asking"]).exists())
    deliver_requested()
    left = Run.objects.latest("id").items.count()
    expect(page.locator(".run-result")).to_contain_text(f"Done: {left} of {left} delivered in", timeout=LOOK_MS)

    # The list of runs shows both, and nothing was requested twice.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Runs").click()
    expect(page.get_by_role("row").filter(has_text="ticket 4711")).to_have_count(2)
    calls = AuditEntry.objects.filter(action="redeliver in a run", phase="requested")
    assert calls.count() == calls.values("delivery_id").distinct().count() == COUNT


def test_list_of_runs_follows_a_run_without_a_reload(page: Page) -> None:
    page.get_by_role("link", name="Redeliver these").click()
    page.get_by_role("button", name="Redeliver").click()
    expect(page.locator(".run-headline")).to_be_visible()
    run = Run.objects.get()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Runs").click()
    row = page.locator(f"#run-{run.pk}")
    expect(row).to_contain_text("Running")
    Run.objects.update(state="cancelled", why="Cancelled by bob.", ended_at=run.created_at)
    expect(row).to_contain_text("Cancelled by bob.", timeout=LOOK_MS)
