"""The demo's whole story, by real processes in a real browser: break, notice, repair and recover."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.urls import URLPattern
from playwright.sync_api import Page, expect

from dashboard.urls import urlpatterns
from tests.journeys.acting import (
    RUN_MS,
    billing_row,
    break_billing,
    failed_count,
    more_actions,
    open_disabled,
    overflows,
    redeliver_all_failed,
    sign_in,
    take,
    take_all,
    violations,
)
from tests.journeys.conftest import Demo, start_demo, stop_demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo")]
OWNED = re.compile(r"^(\w+)/<int:\w+>")
"""The start of the URL of one install, endpoint, delivery, ..."""
LISTS = {"contracts": "/installs/1/contracts/"}
"""Where an object of the kind is found, if not in a list of all."""
FILTERED = ["/installs/1/deliveries/?state=failed&from=yesterdy", "/deliveries/?signature=refused"]


def test_broken_endpoint_is_seen_repaired_and_recovers(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    page.goto(demo.url)
    take_all(page, screenshots, "sign-in")
    sign_in(page, demo)
    take_all(page, screenshots, "installs")
    break_billing(page)

    # The page shows at a glance which endpoint is disabled, since when and why.
    row = billing_row(page)
    expect(row.get_by_text("Disabled", exact=True)).to_be_visible(timeout=RUN_MS)
    expect(row).to_contain_text("10 of 10")
    take_all(page, screenshots, "install")
    row.get_by_role("link").first.click()
    expect(page.locator(".causes")).to_contain_text("handler returned 503")
    failed = failed_count(page)
    assert failed >= 1
    take_all(page, screenshots, "endpoint-disabled")

    # Repair, re-enable, redeliver: each result appears at its button.
    page.get_by_role("button", name="Repair handler").click()
    expect(page.locator("#demo-switch")).to_contain_text("works")
    answer = page.locator("#answer")
    more_actions(page).get_by_role("button", name="Re-enable").click()
    expect(answer).to_contain_text(f"The {failed} failed deliveries are not sent again automatically")
    expect(page.locator(".head-state")).to_contain_text("Active")
    asked = page.locator("#activity-heading ~ ul li").filter(has_text="redeliver all failed")
    asked_before = asked.count()
    redeliver_all_failed(page, presses=2)
    expect(answer).to_contain_text(re.compile(r"\d+ requeued[.:]"))
    requeued = int(re.search(r"(\d+) requeued", answer.inner_text())[1])
    assert requeued >= failed  # an auto-disable also fails deliveries that were never attempted
    expect(answer).to_contain_text(
        "Requeued deliveries will be attempted on the next delivery run (within ~2 seconds)."
    )
    expect(answer).to_contain_text(f"All {requeued} arrived and were delivered.", timeout=RUN_MS)

    # No failed delivery is left, and the double click made one call.
    expect(page.locator("#deliveries-heading ~ table").get_by_text("Failed", exact=True)).to_have_count(0)
    expect(asked).to_have_count(asked_before + 1)
    # What was attempted stays as it was: the outage does not vanish from the chart with its repair.
    expect(page.locator("#over-time-summary")).to_contain_text(re.compile(r"[1-9]\d* failed"), timeout=RUN_MS)
    take_all(page, screenshots, "endpoint-recovered")


def test_one_delivery_is_looked_into_and_sent_again(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    sign_in(page, demo)
    page.get_by_role("link", name="Acme Labs").click()
    page.get_by_role("row").filter(has_text="acme-contracts").get_by_role("link").first.click()
    page.locator("#deliveries-heading ~ table tbody").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("contract.")
    expect(page.locator("main")).to_contain_text("Delivered")
    page.get_by_role("button", name="Redeliver this delivery").click()
    answer = page.locator("[data-answer]").first
    expect(answer).to_contain_text("1 requeued.")
    expect(answer).to_contain_text("It arrived and was delivered.", timeout=RUN_MS)
    expect(page.locator("main")).to_contain_text("Attempt 2")
    take_all(page, screenshots, "delivery")


def test_story_without_javascript_works_by_plain_forms(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page(java_script_enabled=False)
    open_disabled(page, demo)
    failed = failed_count(page)

    # Redelivering for a disabled endpoint shows the API's error, with Re-enable beside it.
    redeliver_all_failed(page)
    answer = page.locator("#answer")
    expect(answer).to_contain_text(re.compile(r"\d+ requeued[.:]"))
    assert int(re.search(r"(\d+) requeued", answer.inner_text())[1]) >= failed
    expect(answer).to_contain_text("DISABLED")
    take(page, screenshots, "endpoint-plain-redelivered")
    page.get_by_role("button", name="Repair handler").click()
    more_actions(page).get_by_role("button", name="Re-enable").click()
    expect(answer).to_contain_text("Re-enabled")
    deadline = time.monotonic() + RUN_MS / 1000
    requested = page.locator("#deliveries-heading ~ table").get_by_text("Requested again", exact=True)
    while requested.count() and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        page.reload()
    expect(requested).to_have_count(0)
    expect(page.locator("#deliveries-heading ~ table").get_by_text("Failed", exact=True)).to_have_count(0)
    expect(page.locator(".head-state")).to_contain_text("Active")
    take(page, screenshots, "endpoint-plain-recovered")


def test_new_endpoint_shows_its_secret_once(demo: Demo, open_page: Callable[..., Page], screenshots: Path) -> None:
    page = open_page()
    sign_in(page, demo)
    page.get_by_role("link", name="Connect an install").click()
    take_all(page, screenshots, "connect")
    page.get_by_label("Token").fill("ot_ptk_" + "x" * 32)
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("main")).to_contain_text("OpenTrain refused")
    assert "xxxx" not in page.content()
    take(page, screenshots, "connect-refused")
    page.goto(f"{demo.url}/installs/")
    page.get_by_role("link", name="Beta Data").click()
    page.get_by_role("link", name="Register an endpoint").first.click()
    take_all(page, screenshots, "register")
    page.get_by_role("button", name="None", exact=True).click()
    page.get_by_label("install.revoked").check()  # no events of the story, so it stays empty
    page.get_by_role("button", name="Register").click()
    secret = re.search(r"whsec_[\w-]+", page.locator("main").inner_text() + page.content())[0]
    take_all(page, screenshots, "registered")
    page.get_by_role("link", name="Open the endpoint").click()
    expect(page.locator("main")).to_contain_text("No deliveries yet.")
    take_all(page, screenshots, "endpoint-empty")
    assert secret not in page.content()


def test_no_page_has_anything_that_axe_finds_or_is_too_wide(demo: Demo, open_page: Callable[..., Page]) -> None:
    """Checks every page of the URL map that opens by GET, for one endpoint, delivery and run; some with filters."""
    page = open_page()
    sign_in(page, demo)
    found = {}
    for path in pages_of(page, demo) + FILTERED:
        page.emulate_media(color_scheme="light")
        page.goto(demo.url + path)
        light = violations(page) + overflows(page)
        page.emulate_media(color_scheme="dark")
        found[path] = light + violations(page)
    assert {path: names for path, names in found.items() if names} == {}
    assert len(found) > 20


def pages_of(page: Page, demo: Demo) -> list[str]:
    """Return the path of each URL that a signed-in user can open as a page."""
    page.goto(f"{demo.url}/installs/1/")
    page.get_by_role("row").filter(has_text="acme-contracts").get_by_role("link").first.click()
    endpoint = owner_in(page.url)
    page.locator("#deliveries-heading ~ table tbody").get_by_role("link").first.click()
    page.wait_for_url("**/deliveries/*/")
    owners = {"installs": "1", "endpoints": endpoint, "deliveries": owner_in(page.url), "runs": a_run(page, demo)}
    routes = [str(one.pattern) for one in urlpatterns if isinstance(one, URLPattern)]
    kinds = {match[1] for route in routes if (match := OWNED.match(route))}
    owners |= {kind: first_of(page, demo, kind) for kind in kinds - owners.keys()}
    paths = [OWNED.sub(lambda match: f"{match[1]}/{owners[match[1]]}", route) for route in routes]
    paths = [f"/{path}" for path in paths if "<" not in path] + ["/accounts/password/change/", "/accounts/logout/"]
    return [path for path in paths if is_page(page, demo.url + path)]


def first_of(page: Page, demo: Demo, kind: str) -> str:
    """Return the first object of its kind that its list links to."""
    page.goto(f"{demo.url}{LISTS.get(kind, f'/{kind}/')}")
    leads_to = page.locator("main a[href]").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return next(match[1] for href in leads_to if (match := re.match(rf"/{kind}/(\d+)/", href)))


def a_run(page: Page, demo: Demo) -> str:
    """Return an existing run of another story, or start one on the open endpoint."""
    page.goto(f"{demo.url}/runs/")
    if not page.locator("tbody .row-link").count():
        page.goto(f"{demo.url}/deliveries/redeliver/?event=contract.started&delivered=1")
        page.get_by_role("button", name="Redeliver").click()
        page.goto(f"{demo.url}/runs/")
    page.locator("tbody .row-link").first.click()
    page.wait_for_url("**/runs/*/")
    return owner_in(page.url)


def owner_in(url: str) -> str:
    return urlsplit(url).path.split("/")[2]


def is_page(page: Page, url: str) -> bool:
    """Return whether the URL is a whole page: not a partial, a download or a form target."""
    response = page.request.get(url)
    return response.ok and "<!doctype html>" in response.text()[:100]


def test_stopped_demo_leaves_nothing_and_goes_on_with_its_data(demo: Demo, open_page: Callable[..., Page]) -> None:
    page = open_page()
    sign_in(page, demo)
    page.get_by_role("link", name="Acme Labs").click()
    endpoints = page.get_by_role("row").filter(has_text="/webhooks")
    expect(endpoints.first).to_be_visible()
    before = endpoints.count()
    page.context.close()

    assert stop_demo(demo) < 30  # at most 10 s on an idle machine
    assert demo.process.returncode == 0
    assert processes_of(demo.folder) == []

    again = start_demo(folder=demo.folder, port=demo.port)
    try:
        assert (again.username, again.password) == (demo.username, demo.password)
        page = open_page()
        sign_in(page, again)
        page.get_by_role("link", name="Acme Labs").click()
        expect(page.get_by_role("row").filter(has_text="/webhooks")).to_have_count(before)
        page.get_by_role("row").filter(has_text="acme-contracts").get_by_role("link").first.click()
        expect(page.locator("#deliveries-heading ~ table tbody tr").first).to_be_visible()
        page.context.close()
    finally:
        again.process.send_signal(signal.SIGKILL)
        again.process.wait()
        again.process.stdout.close()
    deadline = time.monotonic() + 60
    while processes_of(demo.folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(demo.folder) == []


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes started with this DATA_DIR."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"DATA_DIR={folder}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except (OSError, ProcessLookupError):
            continue
    return found
