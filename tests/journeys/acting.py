"""Steps that the stories share: sign in, break a handler, check a page in every theme and size."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import Demo

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
DISABLED_MS = 90_000
"""Timeout for ten consecutive failures. With an event every three seconds and retries, they take about a quarter."""
WIDTHS = (320, 375, 768, 1024, 1280, 3840)
# On narrow screens a row is a card, and the column's name stands beside each of its cells.
_LABEL_TALLER_THAN_CELL = """[...document.querySelectorAll(".table.cards td")].some(
    (cell) => cell.clientHeight + 1 < parseFloat(getComputedStyle(cell, "::before").height))"""
RUN_MS = 60_000
"""Timeout for a few delivery runs of two seconds, on a busy machine."""


def sign_in(page: Page, demo: Demo) -> None:
    page.goto(demo.url)
    page.get_by_label("User name").fill(demo.username)
    page.get_by_label("Password").fill(demo.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Inbox")).to_have_attribute("aria-current", "page")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Installs").click()
    expect(page.get_by_role("heading", name="Installs", level=1)).to_be_visible()


def break_billing(page: Page) -> None:
    """Break the billing handler as the signed-in user, and wait until its endpoint is disabled.

    Every story that needs it disabled begins with this, because another may have repaired it. Ends on Acme Labs' page.
    """
    page.get_by_role("link", name="Acme Labs").first.click()
    install = urlsplit(page.url)._replace(query="", fragment="").geturl()
    billing_row(page).get_by_role("link").first.click()
    expect(page.locator("#demo-switch")).to_be_visible()
    if page.get_by_role("button", name="Break handler").count():
        page.get_by_role("button", name="Break handler").click()
    expect(page.locator("#demo-switch")).to_contain_text("broken")
    wait_for(page, ".head-state", "Disabled", timeout_ms=DISABLED_MS)
    page.goto(install)


def open_disabled(page: Page, demo: Demo) -> None:
    """Sign in and open the disabled billing endpoint."""
    sign_in(page, demo)
    break_billing(page)
    billing_row(page).get_by_role("link").first.click()
    expect(page.locator(".head-state")).to_contain_text("Disabled")


def wait_for(page: Page, selector: str, text: str, *, timeout_ms: int) -> None:
    """Wait by reloading, which also works without JavaScript."""
    for _ in range(timeout_ms // 500):
        if text in page.locator(selector).first.inner_text():
            return
        page.wait_for_timeout(500)
        page.reload()
    expect(page.locator(selector).first).to_contain_text(text)


def billing_row(page: Page) -> Locator:
    return page.get_by_role("row").filter(has_text="acme-billing")


def more_actions(page: Page) -> Locator:
    """Open the menu of an endpoint's page."""
    menu = page.locator("#endpoint-menu")
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    return menu


def failed_count(page: Page) -> int:
    button = page.locator("#endpoint-menu button").filter(has_text="Redeliver all failed")
    return int(re.search(r"\((\d+)\)", button.text_content() or "")[1])


def redeliver_all_failed(page: Page, *, presses: int = 1) -> None:
    """Press the button this often, and confirm if the page asks first: a contract of a failed start may have ended."""
    more_actions(page).get_by_role("button", name="Redeliver all failed").click(click_count=presses)
    answered = page.locator("#answer").filter(has_text=re.compile(r"\d+ requeued[.:]"))
    question = page.get_by_role("heading", name="Redeliver all failed?")
    expect(answered.or_(question)).to_be_visible()
    if question.is_visible():
        page.get_by_role("button", name="Redeliver all failed anyway").click()


def take(page: Page, screenshots: Path, name: str, *, full_page: bool = True) -> None:
    """Save a screenshot if SCREENSHOTS is set; without it, skip the slow step."""
    if os.environ.get("SCREENSHOTS"):
        page.screenshot(path=screenshots / f"{name}.png", full_page=full_page)


def take_all(page: Page, screenshots: Path, name: str) -> None:
    """Take screenshots in light and dark, at desktop and phone size. Fails if axe finds a violation in either theme."""
    page.wait_for_load_state()  # a click waits only until the next page begins
    take(page, screenshots, name)
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    take(page, screenshots, f"{name}-dark")
    found += violations(page)
    desktop = page.viewport_size
    page.set_viewport_size({"width": 375, "height": 812})
    take(page, screenshots, f"{name}-phone-dark")
    take(page, screenshots, f"{name}-phone-dark-top", full_page=False)
    page.emulate_media(color_scheme="light")
    take(page, screenshots, f"{name}-phone")
    page.set_viewport_size(desktop)
    assert found == [], f"{name}: {found}"


def overflows(page: Page) -> list[str]:
    """Return the widths, from the smallest phone to 4K, at which the page scrolls horizontally or labels overlap."""
    before, found = page.viewport_size, []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found.append(f"wider than {width} px")
        if page.evaluate(_LABEL_TALLER_THAN_CELL):
            found.append(f"a cell's label covers the next one at {width} px")
    page.set_viewport_size(before)
    return found


_OVERPRINTED = """() => {
  const shown = [];
  const within = (box, element) => {  // what is left of it by the edges that cut it
    let { left, right, top, bottom } = box;
    for (let parent = element; parent && parent !== document.body; parent = parent.parentElement) {
      if (getComputedStyle(parent).overflowX === "visible") continue;
      const outer = parent.getBoundingClientRect();
      [left, right] = [Math.max(left, outer.left), Math.min(right, outer.right)];
      [top, bottom] = [Math.max(top, outer.top), Math.min(bottom, outer.bottom)];
    }
    return { left, right, top, bottom };
  };
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("svg, dialog, .visually-hidden, select, textarea, [hidden]")) continue;
    const style = getComputedStyle(element);
    if (!element.checkVisibility() || style.visibility === "hidden" || style.position === "absolute") continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const text = node.data.trim().slice(0, 40);
    for (const whole of range.getClientRects()) {
      const box = within(whole, element);
      if (box.right - box.left > 1 && box.bottom - box.top > 1) shown.push({ ...box, node, text });
    }
  }
  shown.sort((a, b) => a.top - b.top);
  const found = [];
  shown.forEach((a, at) => {
    for (const b of shown.slice(at + 1)) {
      if (b.top >= a.bottom - 3) break;
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (a.node !== b.node && across > 2 && down > (a.bottom - a.top) / 2) found.push(`“${a.text}” and “${b.text}”`);
    }
  });
  for (const one of document.querySelectorAll("main .chip")) {
    const leaves = one.clientWidth && one.scrollWidth > one.clientWidth + 1;
    if (leaves) found.push(`“${one.textContent.trim().slice(0, 40)}” leaves its own box`);
  }
  if (document.documentElement.scrollWidth > window.innerWidth) {
    const ends = [...document.body.querySelectorAll("*")].filter((one) => {
      const box = one.getBoundingClientRect();
      return within(box, one.parentElement).right > window.innerWidth + 1;
    });
    found.push(`wider than the window: ${ends.at(-1)?.outerHTML.slice(0, 120)}`);
  }
  return [...new Set(found)];
}"""


def overprinted(page: Page, *, widths: tuple[int, ...] = (375, 1280)) -> list[str]:
    """Return which texts are printed over each other, and which chips are too small for their own."""
    before, found = page.viewport_size, []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        found += [f"{width} px: {one}" for one in page.evaluate(_OVERPRINTED)]
    page.set_viewport_size(before)
    return found


def violations(page: Page) -> list[str]:
    """Return axe's violations on a page: each rule with the first element that breaks it."""
    page.wait_for_load_state()  # a click waits only until the next page begins
    page.emulate_media(reduced_motion="reduce")  # no transitions: mid-way colours belong to neither theme
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")  # all rules, details of violations only
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in result["violations"]]
