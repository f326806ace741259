"""Recovery by real processes in a real browser: completed, stopped automatically, and without JavaScript."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.acting import RUN_MS, open_disabled, sign_in, take, take_all, wait_for
from tests.journeys.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo")]

RECOVERED_MS = 60_000
"""Timeout for three waves of two-second delivery runs, and deliveries that OpenTrain failed without an attempt."""

ENDINGS = re.compile(
    r"Nothing (?:needed is )?missing|No (?:needed )?contract event is missing|\d+ missing|Not known|"
    r"Will be checked again"
)
"""A run ends with one of these four. Which one depends on whether the demo lost an event."""


def test_recovery_goes_from_broken_to_all_delivered(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    open_disabled(page, demo)
    page.get_by_role("button", name="Repair handler").click()
    expect(page.locator("#demo-switch")).to_contain_text("works")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Inbox").click()
    need = page.get_by_role("listitem").filter(has_text="acme-billing")
    expect(need).to_contain_text("OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped")
    expect(need).to_contain_text(re.compile(r"\d+ deliver(y|ies) failed: handler returned 503"))
    take_all(page, screenshots, "inbox")
    need.get_by_role("link", name="Recover…").click()
    expect(page.locator("main")).to_contain_text("One delivery is requested again, the oldest of the")
    page.get_by_label("Note for your team").fill("ticket 4711, handler repaired")
    take_all(page, screenshots, "recover")

    page.get_by_role("button", name="Start the recovery").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recovery of")
    expect(page.locator("main")).to_contain_text("The handler is reachable: it answered 405 in", timeout=RUN_MS)
    take(page, screenshots, "run-under-way")
    run = page.url
    expect(page.locator(".run-result")).to_contain_text(
        re.compile(r"Done: (\d+) of \1 delivered in \d+ s\."), timeout=RECOVERED_MS
    )
    expect(page.locator(".timeline li.tone-ok:not(#step-ending)")).to_have_count(6)
    expect(page.locator("#step-ending")).to_contain_text(ENDINGS)
    expect(page.locator("main")).to_contain_text(re.compile(r"milestone|contract.*delivered\."))
    expect(page.locator(".flash")).to_have_count(0)  # the highlight of changes ends
    left_out = int((re.search(r"(\d+) left out", page.locator(".run-result").inner_text()) or [0, 0])[1])
    take_all(page, screenshots, "run-done")

    # The summary has a URL, appears in the list, and the endpoint's page mentions it.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Runs").click()
    expect(page.get_by_role("row").filter(has_text="ticket 4711")).to_contain_text("Done")
    take_all(page, screenshots, "runs")
    page.goto(run)
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").last.click()
    expect(page.locator(".run-line")).to_contain_text("Recovery by")
    expect(page.locator(".head-state")).to_contain_text("Active")
    # What a later event has overtaken is left out, and stays failed.
    expect(page.locator("#deliveries-heading ~ table").get_by_text("Failed", exact=True)).to_have_count(left_out)
    take(page, screenshots, "endpoint-after-recovery")


def test_recovery_of_a_handler_that_stays_broken_stops_by_itself(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    open_disabled(page, demo)
    page.get_by_role("link", name="Recover…").click()
    page.get_by_role("button", name="Start the recovery").click()
    expect(page.locator(".outcome")).to_contain_text(
        "The handler returned 503 to HEAD. Nothing changed. Repair the handler, then start again. "
        "If it takes deliveries and fails only this check, recover without it.",
        timeout=RUN_MS,
    )
    take_all(page, screenshots, "run-stopped")
    page.get_by_role("link", name="Recover what is left…").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recover this endpoint")
    expect(page.locator(".head-state")).to_contain_text("Disabled")


def test_recovery_without_javascript_works_by_plain_forms(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page(java_script_enabled=False)
    open_disabled(page, demo)
    page.get_by_role("button", name="Repair handler").click()
    page.get_by_role("link", name="Recover…").click()
    page.get_by_role("button", name="Start the recovery").click()
    wait_for(page, ".run-result", "delivered in", timeout_ms=RECOVERED_MS)
    expect(page.locator(".run-result")).to_contain_text("Done:")
    take(page, screenshots, "run-plain")


def test_filtered_deliveries_are_previewed_and_redelivered_as_a_run(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    sign_in(page, demo)
    page.get_by_role("link", name="Acme Labs").click()
    page.get_by_role("row").filter(has_text="acme-contracts").get_by_role("link").first.click()
    page.get_by_role("link", name="All deliveries, filters and export").click()
    page.locator(".filters-fold > summary").click()
    page.get_by_label("Event type").fill("contract.started")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".filter-chips")).to_contain_text("contract.started")
    # All were delivered, except for some that later events may have overtaken: the link says which of both it leads to.
    page.get_by_role("link", name=re.compile(r"Send delivered ones again…|Redeliver \d+ overtaken…")).click()

    # Several endpoints get one run each, once a second endpoint that can redeliver has received an event.
    here = re.sub("[?&]delivered=1", "", page.url)
    for _ in range(60):
        page.goto(f"{demo.url}/deliveries/redeliver/?delivered=1")
        if "runs, one for each endpoint" in page.locator("main").inner_text():
            break
        page.wait_for_timeout(2000)
    expect(page.locator("main")).to_contain_text("runs, one for each endpoint")
    take_all(page, screenshots, "run-bulk-endpoints")
    page.goto(here)

    # Delivered ones are left out unless requested.
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile(r"Nothing to redeliver|Redeliver \d+ overtaken deliver(y|ies)\?")
    )
    expect(page.locator("main")).to_contain_text("already delivered")
    take(page, screenshots, "run-bulk-left-out")
    page.get_by_role("link", name="Include delivered ones").click()
    many = int(re.search(r"Redeliver (\d+)", page.get_by_role("heading", level=1).inner_text())[1])
    page.get_by_label("Note for your team").fill("the handler lost them")
    take_all(page, screenshots, "run-bulk")
    # Where an overtaken one is left out, the button names no number: a box may add it.
    page.get_by_role("button", name=re.compile(rf"^Redeliver( {many})?$")).click()
    # A contract that ended since the preview is left out.
    expect(page.locator(".run-result")).to_contain_text(
        re.compile(r"Done: ([1-9]\d*) of \1 delivered in"), timeout=RECOVERED_MS
    )
    expect(page.locator("main")).to_contain_text("Event type: contract.started (as of ")
    expect(page.locator(".timeline li.tone-ok:not(#step-ending)")).to_have_count(2)
    expect(page.locator("#step-ending")).to_contain_text(ENDINGS)
    take_all(page, screenshots, "run-bulk-done")
