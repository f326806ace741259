"""Copy buttons say what is true, on https and on plain http, and copy the exact text."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.factories import make_delivery, make_endpoint, make_user
from tests.faults.failed import session_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("copy")]

NO_COMMAND = "document.execCommand = () => false;"
REFUSING_CLIPBOARD = (
    "if (navigator.clipboard) navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'));"
)


@pytest.fixture
def open_endpoint(live_server: LiveServer, browser: Browser, settings: Any) -> Iterator[Callable[..., Page]]:
    settings.ALLOWED_HOSTS = ["*"]
    context = browser.new_context()
    endpoint = make_endpoint(opentrain_id="whe_to_copy")
    delivery = make_delivery(endpoint=endpoint, body=BODY.encode())
    complaints: list[str] = []

    def opener(*, host: str, script: str = "", of: str = "endpoint") -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        server = f"http://{host}:{urlsplit(live_server.url).port}"
        context.add_cookies([{"name": "sessionid", "value": session_of(make_user(role="support")), "url": server}])
        if script:
            page.add_init_script(script)
        page.goto(f"{server}/endpoints/{endpoint.pk}/" if of == "endpoint" else f"{server}/deliveries/{delivery.pk}/")
        return page

    yield opener
    for page in context.pages:
        page.goto("about:blank")  # no poll may be in progress when the database is emptied
    context.close()
    assert complaints == []


BODY = '\n{"n": 1250.00,\r\n "n": "\u202e\u200b\ufeff\u00a0\\\\u0041"}\r'


def copy_button(page: Page) -> Locator:
    button = page.get_by_role("button", name="Copy endpoint ID")
    if not button.is_visible():
        page.locator("#endpoint-facts > summary").click()
    return button


def pasted(page: Page) -> str:
    """Return what a paste finds on the clipboard, exactly."""
    page.evaluate(
        "document.addEventListener('paste', (e) => { window.pasted = e.clipboardData.getData('text/plain'); })"
    )
    page.keyboard.press("Control+V")
    return str(page.evaluate("window.pasted"))


@pytest.mark.parametrize(
    ("host", "is_secure", "script"),
    [("plain.test", False, ""), ("localhost", True, ""), ("localhost", True, REFUSING_CLIPBOARD)],
    ids=["on plain http", "on a secure origin", "where the clipboard is refused"],
)
def test_button_copies_and_says_so(host: str, is_secure: bool, script: str, open_endpoint: Callable[..., Page]) -> None:
    page = open_endpoint(host=host, script=script)
    assert page.evaluate("window.isSecureContext") is is_secure
    copy_button(page).click()
    expect(copy_button(page).locator(".copied")).to_be_visible()
    expect(copy_button(page)).to_be_focused()
    assert pasted(page) == "whe_to_copy"


@pytest.mark.parametrize("host", ["plain.test", "localhost"])
def test_body_is_copied_as_it_was_sent_while_the_page_shows_what_nobody_sees(
    host: str, open_endpoint: Callable[..., Page]
) -> None:
    page = open_endpoint(host=host, of="delivery")
    expect(page.locator("#tree")).to_contain_text(r'n: "⟨U+202E⟩⟨U+200B⟩⟨U+FEFF⟩⟨U+00A0⟩')
    expect(page.locator("#raw pre")).to_contain_text("1250.00,⟨U+000D⟩")
    button = page.get_by_role("button", name="Copy body")
    button.click()
    expect(button.locator(".copied")).to_be_visible()
    assert pasted(page) == BODY


def test_button_that_cannot_copy_selects_the_text_and_says_what_to_press(open_endpoint: Callable[..., Page]) -> None:
    page = open_endpoint(host="plain.test", script=NO_COMMAND)
    copy_button(page).click()
    dialog = page.get_by_role("dialog", name="Not copied")
    expect(dialog).to_contain_text("press Ctrl+C")
    expect(page.locator(".copied:visible")).to_have_count(0)
    page.keyboard.press("Control+C")
    dialog.get_by_role("button", name="Close").click()
    expect(copy_button(page)).to_be_focused()
    assert pasted(page) == "whe_to_copy"
