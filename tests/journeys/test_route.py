"""An endpoint goes behind the receiver, is recovered there, and leaves it again: real processes, a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.acting import DISABLED_MS, sign_in, take_all, wait_for
from tests.journeys.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo")]

VERIFIED_MS = 60_000
"""Timeout for the next event of eight types, one every three seconds, and a delivery run of two."""
RECOVERED_MS = 60_000
IN_ONE_FORM = ("beta-first", "beta-second")


class Clicks:
    """Clicks as a person does, and counts."""

    def __init__(self) -> None:
        self._count = 0

    def on(self, what: Locator) -> None:
        what.click()
        self._count += 1

    def taken(self) -> int:
        """Return the clicks since the last call."""
        count, self._count = self._count, 0
        return count


def register_directly(page: Page, *, handler: str) -> str:
    """Register an endpoint of Beta Data that OpenTrain delivers to a handler of the demo; return its secret.

    Ends on the install's page.
    """
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Installs").click()
    page.get_by_role("link", name="Beta Data").first.click()
    install = page.url
    shown = page.locator("main").inner_text().replace("\u200b", "")
    found = re.search(r"(localhost:\d+)/beta-", shown)
    assert found is not None
    page.get_by_role("link", name="Register an endpoint").click()
    page.get_by_label("Directly to my URL").check()
    page.get_by_label("Your URL").fill(f"http://{found[1]}/{handler}/webhooks")
    page.get_by_role("button", name="Register with OpenTrain").click()
    secret = re.search(r"whsec_[\w-]+", page.locator("#secret").inner_text())
    assert secret is not None
    page.goto(install)
    return secret[0]


def link_of(page: Page, handler: str) -> Locator:
    """Return the link to an endpoint on its install's page."""
    return page.get_by_role("row").filter(has_text=handler).get_by_role("link").first


def test_endpoint_is_routed_verified_recovered_and_taken_out(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page, clicks = open_page(), Clicks()
    sign_in(page, demo)
    secret = register_directly(page, handler="beta-direct")

    # Route: three clicks from the install's page to the first delivery that verified.
    clicks.on(link_of(page, "beta-direct"))
    expect(page.locator("main")).to_contain_text("OpenTrain can't list them")
    clicks.on(page.get_by_role("link", name="route them through Redeliver"))
    expect(page.locator("main")).to_contain_text("The handler is reachable: it answered 405 in")
    expect(page.locator("main")).to_contain_text("Checked from the receiver.")
    take_all(page, screenshots, "route")
    page.get_by_label("Signing secret").fill(secret)
    clicks.on(page.get_by_role("button", name="Route through Redeliver"))
    expect(page.locator("#answer")).to_contain_text("OpenTrain delivers to Redeliver now")
    expect(page.locator(".way")).to_contain_text(
        "The signing secret is right: a delivery verified.", timeout=VERIFIED_MS
    )
    assert clicks.taken() == 3
    assert secret not in page.content()
    take_all(page, screenshots, "routed")
    endpoint = page.url.partition("?")[0]

    # Recover: the log shows what failed, because deliveries pass through now.
    page.get_by_role("button", name="Break handler").click()
    wait_for(page, ".head-state", "Disabled", timeout_ms=DISABLED_MS)
    page.get_by_role("button", name="Repair handler").click()
    expect(page.locator("#demo-switch")).to_contain_text("works")
    clicks.on(page.get_by_role("link", name="Recover…").first)
    clicks.on(page.get_by_role("button", name="Start the recovery"))
    expect(page.locator(".run-result")).to_contain_text(
        re.compile(r"Done: (\d+) of \1 delivered in \d+ s\."), timeout=RECOVERED_MS
    )
    assert clicks.taken() == 2

    # Bypass: OpenTrain delivers to the handler again, and the log stays.
    page.goto(endpoint)
    clicks.on(page.locator("#endpoint-menu summary"))
    clicks.on(page.locator("#endpoint-menu").get_by_role("link", name="Take Redeliver out of the path…"))
    take_all(page, screenshots, "bypass")
    clicks.on(page.get_by_role("button", name="Take Redeliver out"))
    expect(page.locator("#answer")).to_contain_text(re.compile(r"OpenTrain delivers to \S+ itself now\."))
    expect(page.locator("main")).to_contain_text("Redeliver was taken out of this endpoint's path")
    assert clicks.taken() == 3
    expect(page.locator(".head-state")).to_contain_text("Active")
    expect(page.locator("#deliveries-heading ~ table tbody tr").first).to_be_visible()
    take_all(page, screenshots, "bypassed")


def test_wrong_secret_stops_no_delivery_and_is_entered_anew(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    sign_in(page, demo)
    secret = register_directly(page, handler="beta-mistyped")
    link_of(page, "beta-mistyped").click()
    page.get_by_role("link", name="route them through Redeliver").click()
    page.get_by_label("Signing secret").fill(f"{secret[:-1]}{'a' if secret[-1] != 'a' else 'b'}")
    page.get_by_role("button", name="Route through Redeliver").click()
    banner = page.locator(".banner").filter(has_text="Routed through Redeliver")
    expect(banner).to_contain_text("The signing secret does not fit what arrives.", timeout=VERIFIED_MS)
    expect(page.locator("#deliveries-heading ~ table")).to_contain_text("Delivered (200)")
    take_all(page, screenshots, "secret-does-not-fit")
    own_page = page.url
    banner.get_by_role("link", name="Signature doctor").click()
    expect(page.get_by_label("Headers")).to_have_value(re.compile("X-OpenTrain-Signature: t="))
    page.get_by_role("button", name="Examine").click()
    expect(page.locator("#answer")).to_contain_text("What to do:")
    take_all(page, screenshots, "secret-examined")
    page.goto(own_page)
    banner.get_by_role("link", name="Enter signing secret…").click()
    page.get_by_label("Signing secret").fill(secret)
    page.get_by_role("button", name="Store the secret").click()
    expect(page.locator(".way")).to_contain_text(
        "The signing secret is right: a delivery verified.", timeout=VERIFIED_MS
    )


def test_install_is_routed_in_one_form_although_a_secret_is_missing(
    demo: Demo, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page, clicks = open_page(), Clicks()
    sign_in(page, demo)
    secret, _missing = (register_directly(page, handler=name) for name in IN_ONE_FORM)
    clicks.on(page.get_by_role("link", name="Route through Redeliver…"))
    for box in page.get_by_role("group").get_by_role("checkbox").all():  # other stories' endpoints are left as they are
        chosen = box.locator("..").inner_text().replace("\u200b", "")
        box.set_checked(any(name in chosen for name in IN_ONE_FORM))
    page.get_by_role("group", name=IN_ONE_FORM[0]).get_by_label("Signing secret").fill(secret)
    take_all(page, screenshots, "route-install")
    clicks.on(page.get_by_role("button", name="Route through Redeliver"))
    expect(page.get_by_role("heading", level=1)).to_have_text("1 of 2 endpoints routed.")
    lines = page.locator(".outcome")
    expect(lines.filter(has_text="Not routed.")).to_contain_text("Paste the signing secret, or tick")
    take_all(page, screenshots, "routed-install")
    clicks.on(lines.filter(has_text="OpenTrain delivers to Redeliver now").get_by_role("link"))
    expect(page.locator(".way")).to_contain_text(
        "The signing secret is right: a delivery verified.", timeout=VERIFIED_MS
    )
    assert clicks.taken() == 3
