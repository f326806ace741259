"""Managing an endpoint in a real browser: edit, pause, rotate the secret and delete; also without JavaScript."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.acting import RUN_MS, sign_in, take_all
from tests.journeys.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo")]

EVENT_MS = 60_000
"""Timeout for a matching event (one every three seconds, of eight types for two customers) and a delivery run."""


def open_endpoint(page: Page, demo: Demo, handler: str) -> None:
    page.goto(f"{demo.url}/installs/")  # in the inbox, others link it too
    page.get_by_role("link", name="Beta Data").click()
    page.get_by_role("row").filter(has_text=handler).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(handler)


def choose(page: Page, item: str) -> None:
    page.locator("#endpoint-menu summary").click()
    page.locator("#endpoint-menu").get_by_role("link", name=item).click()


def test_endpoint_is_edited_paused_rotated_and_deleted(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    sign_in(page, demo)
    open_endpoint(page, demo, "beta-budgets")
    answer = page.locator("#answer")

    choose(page, "Edit")
    page.get_by_label("milestone.budget_low").uncheck()
    take_all(page, screenshots, "endpoint-edit")
    page.get_by_role("button", name="Save changes").click()
    expect(answer).to_contain_text("Changed: removed milestone.budget_low.")
    expect(page.get_by_label("Event types")).not_to_contain_text("milestone.budget_low")

    choose(page, "Pause")
    take_all(page, screenshots, "endpoint-pause")
    page.get_by_role("button", name="Pause this endpoint").click()
    expect(answer).to_contain_text("Paused. OpenTrain attempts no deliveries")
    expect(page.locator(".head-state")).to_contain_text("Paused")
    answer.get_by_role("button", name="Re-enable").click()
    expect(page.locator(".head-state")).to_contain_text("Active")

    # The secret is shown once. The user can leave the page; the endpoint's page links back.
    choose(page, "Rotate secret")
    page.get_by_role("button", name="Create the new endpoint").click()
    secret = re.search(r"whsec_[\w-]+", page.locator("#secret").inner_text())[0]
    open_endpoint(page, demo, "beta-budgets")
    page.get_by_role("link", name="Continue the rotation").click()
    expect(page.locator("main")).to_contain_text("It receives.", timeout=EVENT_MS)
    take_all(page, screenshots, "rotation")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(answer).to_contain_text("Next, delete the old endpoint.")
    page.get_by_role("button", name="Delete the old endpoint").click()
    expect(page.locator("main")).to_contain_text("You can remove the old secret from your handler now.")
    assert secret not in page.content()
    take_all(page, screenshots, "rotation-done")

    # The new endpoint has replaced the old one; deleting it requires typing its title.
    page.get_by_role("link", name="Open it").click()
    expect(page.locator(".head-state")).to_contain_text("Active")
    choose(page, "Delete")
    page.get_by_label("To confirm, type").fill(page.locator("label code").inner_text())
    take_all(page, screenshots, "endpoint-delete")
    page.get_by_role("button", name="Delete this endpoint").click()
    expect(page.locator(".head-state")).to_have_text("Deleted")
    expect(page.locator("#deliveries-heading ~ table tbody tr").first).to_be_visible()


def test_endpoint_is_managed_without_javascript(demo: Demo, open_page: Callable[..., Page]) -> None:
    page = open_page(java_script_enabled=False)
    sign_in(page, demo)
    open_endpoint(page, demo, "beta-projects")
    answer = page.locator("#answer")
    expect(page.locator("#status-over-time-strip rect").first).to_be_visible()
    page.locator("#over-time-numbers summary").click()
    expect(page.locator("#over-time-table tbody tr")).to_have_count(12)  # the demo is minutes old
    page.get_by_role("link", name="7 days").click()
    page.locator("#over-time-numbers summary").click()
    expect(page.locator("#over-time-table tbody tr")).to_have_count(28)

    choose(page, "Edit")
    page.get_by_label("contract.started").check()
    page.get_by_role("button", name="Save changes").click()
    expect(answer).to_contain_text("Changed: added contract.started.")
    choose(page, "Pause")
    page.get_by_role("button", name="Pause this endpoint").click()
    answer.get_by_role("button", name="Re-enable").click()
    expect(page.locator(".head-state")).to_contain_text("Active")

    choose(page, "Rotate secret")
    page.get_by_role("button", name="Create the new endpoint").click()
    page.get_by_role("link", name="My handler has it: continue").click()
    page.get_by_text("Cancel this rotation…").click()
    page.get_by_role("button", name="Cancel this rotation").click()
    expect(page.locator("main")).to_contain_text("cancelled the last rotation", timeout=RUN_MS)
    open_endpoint(page, demo, "beta-projects")
    expect(page.locator(".head-state")).to_contain_text("Active")
