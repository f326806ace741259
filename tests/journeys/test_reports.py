"""Proof in one click: a summary on the clipboard, a page to print, and a run that says what came of it."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import Run, RunItem, RunStep
from tests.factories import (
    SECRET,
    make_attempt,
    make_endpoint,
    make_entry,
    make_failed_delivery,
    make_install,
    make_run,
    make_user,
)
from tests.journeys.acting import overflows, take_all, violations
from tests.journeys.test_copy import pasted

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("keys")]
PASSWORD = "a-long-password"
LONG = "Acme Labs of street scenes at night, with bounding boxes and attributes, second review, Rome and Milan"
STATES = (
    *["delivered"] * 40,
    *["failed_again"] * 3,
    *["not_seen"] * 2,
    "refused",
    *["requested"] * 4,
    *["waiting"] * 20,
    *["left_out"] * 5,
)


@pytest.fixture
def run(transactional_db: None) -> Run:
    """A recovery that ana paused, with deliveries of every outcome, and long texts from outside."""
    make_user(role="support", username="ana", password=PASSWORD)
    now = timezone.now()
    endpoint = make_endpoint(
        install=make_install(name=LONG, token_scopes=["webhooks:manage"]),
        handler_url=f"https://access.acme-labs.example.com/hooks/opentrain/{'v' * 60}?token=t0ken",
        status="ACTIVE",
    )
    counts = {state: STATES.count(state) for state in set(STATES)}
    run = make_run(
        endpoint=endpoint,
        state="paused",
        step="rest",
        why="Paused by ana.",
        by_person=True,
        note=f"ticket 4711 {SECRET}",
        counts=counts,
        quoted="Requeued deliveries will be attempted on the next delivery run (within ~5 minutes).",
        request_id="9d1f" * 8,
        created_at=now - timedelta(minutes=12),
        ended_at=None,
    )
    for position, state in enumerate(STATES):
        delivery = make_failed_delivery(
            endpoint=endpoint, opentrain_id=f"dlv_{position:032}", event_type="contract.ended"
        )
        settled = state in {"delivered", "failed_again", "not_seen", "refused"}
        RunItem.objects.create(
            run=run, position=position, state=state, delivery=delivery, opentrain_id=delivery.opentrain_id,
            event_type="contract.ended", words="handler returned 503" if state == "failed_again" else "",
            asked_at=now if settled else None, settled_at=now if settled else None,
        )  # fmt: skip
        at = now - timedelta(hours=1)
        make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, received_at=at)
    for number, name in enumerate(("probe", "enable", "canary", "rest")):
        began = now - timedelta(minutes=12 - number)
        ended = None if name == "rest" else began + timedelta(seconds=5)
        RunStep.objects.create(run=run, name=name, began_at=began, ended_at=ended, words="It responds (405 in 3 ms).")
    make_entry(endpoint=endpoint, action="pause run", at=now - timedelta(minutes=1))
    return run


@pytest.fixture
def page(live_server: LiveServer, open_page: Callable[..., Page], run: Run) -> Iterator[Page]:
    page = open_page()
    yield sign_in(page, live_server, f"/runs/{run.pk}/")
    page.goto("about:blank")  # no poll may be in progress when the database is emptied


def sign_in(page: Page, live_server: LiveServer, path: str) -> Page:
    page.goto(f"{live_server.url}{path}")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("main .crumbs")).to_be_visible()
    return page


def test_run_page_says_in_one_sentence_and_one_bar_what_came_of_it(page: Page, screenshots: Path) -> None:
    expect(page.locator(".run-headline")).to_have_text(
        "Paused: 40 of 70 delivered, 3 failed again, 1 refused, 2 with unknown outcome, 4 awaited, 20 not requested."
    )
    expect(page.locator(".run-result")).to_contain_text("Paused by ana.")
    expect(page.get_by_role("img", name="delivered: 40, failed again: 3")).to_be_visible()
    assert page.locator(".run-bar rect").count() == page.locator(".run-legend li").count() == 7
    widths = page.locator(".run-bar rect").evaluate_all("all => all.map((one) => one.getBoundingClientRect().width)")
    assert min(widths) >= 3  # the one that was refused is seen
    take_all(page, screenshots, "run-result")
    assert overflows(page) == []

    expect(page.get_by_role("heading", name="75 deliveries, in the run's order")).to_be_visible()
    expect(page.locator(".run-items tbody tr")).to_have_count(25)
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".run-items tbody tr").first).to_contain_text("Delivered")
    expect(page.locator(".pager")).to_contain_text("Page 2 of 3")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 76


def test_paused_recovery_is_resumed_and_paused_from_its_page(page: Page, run: Run) -> None:
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".run-headline")).to_contain_text("Running: 40 of 70")
    page.get_by_role("button", name="Pause").dblclick()
    expect(page.locator(".run-result")).to_contain_text("Paused by ana.")
    run.refresh_from_db()
    assert (run.state, run.by_person) == ("paused", True)


def test_summary_is_copied_in_one_click_from_each_page(
    page: Page, live_server: LiveServer, run: Run, screenshots: Path
) -> None:
    delivery = run.items.get(position=40).delivery
    for path, said in (
        (f"/runs/{run.pk}/", "Paused: 40 of 70 delivered"),
        (f"/deliveries/{delivery.pk}/", f"Delivery ID: {delivery.opentrain_id}"),
        (f"/endpoints/{run.endpoint_id}/", f"Endpoint ID: {run.endpoint.opentrain_id}"),
    ):
        page.goto(f"{live_server.url}{path}")
        button = page.get_by_role("link", name="Copy summary")
        button.click()
        expect(button.locator(".copied")).to_be_visible()
        text = pasted(page)
        assert said in text
        assert f"Customer: {LONG}" in text
        assert "https://access.acme-labs.example.com/hooks/opentrain/" in text
        assert " UTC" in text
        assert "t0ken" not in text
        assert SECRET not in text
        assert overflows(page) == []
        page.get_by_role("link", name="Report").click()
        expect(page.get_by_role("heading", name="What is missing or not known")).to_be_visible()
        begins = page.locator(".report > h2, .report > table th:first-child").evaluate_all(
            "all => all.map((one) => one.getBoundingClientRect().left + parseFloat(getComputedStyle(one).paddingLeft))"
        )
        assert len(set(begins)) == 1
        take_all(page, screenshots, f"report-{path.split('/')[1]}")
        assert overflows(page) == []
        page.get_by_role("button", name="Copy as Markdown").click()
        expect(page.get_by_role("button", name="Copy as Markdown").locator(".copied")).to_be_visible()
        assert pasted(page).startswith("## ")


def test_summary_without_javascript_is_a_page_with_the_text(
    live_server: LiveServer, open_page: Callable[..., Page], run: Run
) -> None:
    page = sign_in(open_page(java_script_enabled=False), live_server, f"/runs/{run.pk}/")
    page.get_by_role("link", name="Copy summary").click()
    page.get_by_text("As text").click()
    text = page.get_by_label("Plain text").input_value()
    assert "Paused: 40 of 70 delivered" in text
    assert page.get_by_label("Markdown").input_value().startswith("## Recovery")
    expect(page.get_by_role("button", name="Print")).to_be_hidden()


def test_expired_session_leads_to_sign_in_and_then_to_the_report(page: Page, run: Run) -> None:
    page.context.clear_cookies()
    page.get_by_role("link", name="Copy summary").click()
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"^http://[^/]+/runs/{run.pk}/report/$"))


def test_printed_report_has_date_customer_and_whole_ids_and_nothing_else(
    page: Page, live_server: LiveServer, run: Run, screenshots: Path
) -> None:
    page.goto(f"{live_server.url}/runs/{run.pk}/report/")
    page.emulate_media(media="print")
    seen = page.locator("body").inner_text()
    for text in (LONG, run.endpoint.opentrain_id, f"/runs/{run.pk}/", "UTC", "ticket 4711", f"dlv_{74:032}"):
        assert text in seen
    for text in ("Copy", "Print", "Inbox", "Search", "Sign out", "Keyboard", "Skip", "t0ken", SECRET):
        assert text not in seen
    assert violations(page) == []
    page.screenshot(path=screenshots / "report-print.png", full_page=True)
    page.pdf(path=screenshots / "report-print.pdf", format="A4")


def test_printed_run_has_date_customer_and_whole_id(page: Page, run: Run) -> None:
    page.emulate_media(media="print")
    seen = page.locator("body").inner_text()
    for text in (LONG, run.endpoint.opentrain_id, run.created_at.strftime("%Y-%m-%d"), f"Run {run.pk}", "Page opened"):
        assert text in seen
    one = page.locator("#items code").first
    size, content = one.evaluate("one => [getComputedStyle(one).fontSize, getComputedStyle(one, '::after').content]")
    whole = one.get_attribute("title")
    assert (whole, size) == (f"dlv_{0:032}", "0px")
    assert content in {"attr(title)", f'"{whole}"'}
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert re.search(r"Printed at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", page.locator("body").inner_text())
    assert page.get_by_role("link", name="Copy summary").count() == 0
