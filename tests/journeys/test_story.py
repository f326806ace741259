"""The demo's whole story, by real processes and in a real browser: broken, seen, repaired, recovered."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import Demo, start_demo, stop_demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo")]

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
PAGES = [
    "/", "/installs/1/", "/installs/connect/", "/installs/1/endpoints/new/",
    "/deliveries/", "/installs/1/deliveries/?state=failed&from=yesterdy", "/endpoints/1/deliveries/?signature=refused",
]  # fmt: skip

DISABLED_MS = 90_000
"""Ten failures in a row, with an event every three seconds and their retries, take about a quarter of this."""
RUN_MS = 30_000
"""A few delivery runs of two seconds, on a busy machine."""


def sign_in(page: Page, demo: Demo) -> None:
    page.goto(demo.url)
    page.get_by_label("User name").fill(demo.username)
    page.get_by_label("Password").fill(demo.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Inbox")).to_have_attribute("aria-current", "page")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Installs").click()
    expect(page.get_by_role("heading", name="Installs", level=1)).to_be_visible()


def billing_row(page: Page) -> Locator:
    return page.get_by_role("row").filter(has_text="acme-billing")


def failed_count(page: Page) -> int:
    label = page.get_by_role("button", name="Redeliver all failed").inner_text()
    return int(re.search(r"\((\d+)\)", label)[1])


def take(page: Page, screenshots: Path, name: str) -> None:
    page.screenshot(path=screenshots / f"{name}.png", full_page=True)


def take_all(page: Page, screenshots: Path, name: str) -> None:
    """Take the page in light and dark, on a desktop and on a phone."""
    take(page, screenshots, name)
    page.emulate_media(color_scheme="dark")
    take(page, screenshots, f"{name}-dark")
    desktop = page.viewport_size
    page.set_viewport_size({"width": 375, "height": 812})
    take(page, screenshots, f"{name}-phone-dark")
    page.screenshot(path=screenshots / f"{name}-phone-dark-top.png")
    page.emulate_media(color_scheme="light")
    take(page, screenshots, f"{name}-phone")
    page.set_viewport_size(desktop)


def test_broken_endpoint_is_seen_repaired_and_recovers(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    page.goto(demo.url)
    take_all(page, screenshots, "sign-in")
    sign_in(page, demo)
    take_all(page, screenshots, "installs")

    # At a glance: which endpoint, since when, why.
    page.get_by_role("link", name="Acme Labs").click()
    row = billing_row(page)
    expect(row.get_by_text("Disabled", exact=True)).to_be_visible(timeout=DISABLED_MS)
    expect(row).to_contain_text("10 of 10")
    take_all(page, screenshots, "install")
    row.get_by_role("link").first.click()
    expect(page.locator(".causes")).to_contain_text("503 from your handler")
    failed = failed_count(page)
    assert failed >= 2
    take_all(page, screenshots, "endpoint-disabled")

    # Repair, re-enable, redeliver: each answers where it was pressed.
    page.get_by_role("button", name="Repair the handler").click()
    expect(page.locator("#demo-switch")).to_contain_text("works")
    answer = page.locator("#answer")
    page.get_by_role("button", name="Re-enable").click()
    expect(answer).to_contain_text(f"The {failed} failed deliveries are not sent again by themselves")
    expect(page.locator(".head-state")).to_contain_text("Active")
    asked = page.locator("#activity-heading ~ ul li").filter(has_text="redeliver all failed")
    asked_before = asked.count()
    page.get_by_role("button", name="Redeliver all failed").dblclick()
    expect(answer).to_contain_text(re.compile(r"\d+ requeued\."))
    requeued = int(re.search(r"(\d+) requeued", answer.inner_text())[1])
    assert requeued >= failed  # an auto-disable also fails what it never attempted
    expect(answer).to_contain_text(
        "Requeued deliveries will be attempted on the next delivery run (within ~2 seconds)."
    )
    expect(answer).to_contain_text(f"All {requeued} arrived and were delivered.", timeout=RUN_MS)

    # The proof: no delivery is failed any more, and the double click was one call.
    expect(page.locator("#deliveries-heading ~ table").get_by_text("Failed", exact=True)).to_have_count(0)
    expect(asked).to_have_count(asked_before + 1)
    expect(page.locator("#over-time-summary")).to_contain_text("0 failed", timeout=RUN_MS)
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
    sign_in(page, demo)
    page.get_by_role("link", name="Acme Labs").click()
    billing_row(page).get_by_role("link").first.click()
    expect(page.locator("#demo-switch")).to_be_visible()
    if page.get_by_role("button", name="Break the handler").count():  # it is broken still where no story ran before
        page.get_by_role("button", name="Break the handler").click()
    expect(page.locator("#demo-switch")).to_contain_text("broken")
    deadline = time.monotonic() + DISABLED_MS / 1000
    while "Disabled" not in page.locator(".head-state").inner_text() and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        page.reload()
    expect(page.locator(".head-state")).to_contain_text("Disabled")
    failed = failed_count(page)

    # Redelivering a disabled endpoint: what the API says of it, and Re-enable beside it.
    page.get_by_role("button", name="Redeliver all failed").click()
    answer = page.locator("#answer")
    expect(answer).to_contain_text(re.compile(r"\d+ requeued\."))
    assert int(re.search(r"(\d+) requeued", answer.inner_text())[1]) >= failed
    expect(answer).to_contain_text("DISABLED")
    take(page, screenshots, "endpoint-plain-redelivered")
    page.get_by_role("button", name="Repair the handler").click()
    page.get_by_role("button", name="Re-enable").first.click()
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
    page.get_by_label("install.revoked").check()  # nothing of the story's events: it stays empty
    page.get_by_role("button", name="Register").click()
    secret = re.search(r"whsec_[\w-]+", page.locator("main").inner_text() + page.content())[0]
    take_all(page, screenshots, "registered")
    page.get_by_role("link", name="Open the endpoint").click()
    expect(page.locator("main")).to_contain_text("No delivery has arrived yet.")
    take_all(page, screenshots, "endpoint-empty")
    assert secret not in page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_anything_that_axe_finds(scheme: str, demo: Demo, open_page: Callable[..., Page]) -> None:
    page = open_page(color_scheme=scheme)
    page.goto(demo.url)
    found = {"sign-in": violations(page)}
    sign_in(page, demo)
    delivery = first_delivery(page, demo)
    for path in PAGES + delivery:
        page.goto(demo.url + path)
        found[path] = violations(page)
    assert {path: names for path, names in found.items() if names} == {}


def first_delivery(page: Page, demo: Demo) -> list[str]:
    """Return the paths of an endpoint that has deliveries, and of its newest one."""
    page.goto(f"{demo.url}/installs/1/")
    page.get_by_role("row").filter(has_text="acme-contracts").get_by_role("link").first.click()
    endpoint = urlsplit(page.url).path
    page.locator("#deliveries-heading ~ table tbody").get_by_role("link").first.click()
    page.wait_for_url("**/deliveries/*/")
    return [endpoint, urlsplit(page.url).path]


def violations(page: Page) -> list[str]:
    """Return what axe has against a page: each rule with the first element that breaks it."""
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document)")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in result["violations"]]


def test_stopped_demo_leaves_nothing_and_goes_on_with_its_data(demo: Demo, open_page: Callable[..., Page]) -> None:
    page = open_page()
    sign_in(page, demo)
    page.get_by_role("link", name="Acme Labs").click()
    endpoints = page.get_by_role("row").filter(has_text="/webhooks")
    expect(endpoints.first).to_be_visible()
    before = endpoints.count()
    page.context.close()

    assert stop_demo(demo) < 10
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
    deadline = time.monotonic() + 10
    while processes_of(demo.folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(demo.folder) == []


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of every process that was started with this DATA_DIR."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"DATA_DIR={folder}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except (OSError, ProcessLookupError):
            continue
    return found
