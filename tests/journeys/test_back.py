"""The browser's Back button: a page of someone who signed out is not shown again, and typed text is not lost."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import Endpoint
from tests.factories import make_endpoint, make_install, make_user
from tests.journeys.conftest import CHROMIUM_FLAGS, PATIENCE_MS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("back")]
PASSWORD = "a-long-password"


@pytest.fixture
def endpoint() -> Endpoint:
    make_user(username="ana", password=PASSWORD, role="support")
    return make_endpoint(install=make_install(name="Acme Labs"))


@pytest.fixture(params=[True, False], ids=["with the back/forward cache", "without it"])
def page(request: pytest.FixtureRequest, browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """A page of a browser whose back/forward cache is on, as people's is; Playwright's own has none."""
    off = ["--disable-back-forward-cache"]
    own = browser.browser_type.launch(
        executable_path=shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"),
        args=CHROMIUM_FLAGS,
        ignore_default_args=off if request.param else None,
    )
    page = own.new_context(base_url=live_server.url).new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.goto("about:blank")  # no poll may be in progress when the database is emptied
    own.close()


def sign_in(page: Page, path: str) -> None:
    page.goto(path)
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.parametrize("path", ["/installs/{install}/", "/endpoints/{endpoint}/", "/activity/", "/help/keys/"])
def test_back_after_signing_out_shows_the_sign_in_page(page: Page, endpoint: Endpoint, path: str) -> None:
    path = path.format(install=endpoint.install_id, endpoint=endpoint.pk)
    sign_in(page, path)
    expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)
    page.goto("/accounts/")
    page.goto(path)
    page.locator("summary").filter(has_text="ana").click()
    page.locator(".menu").get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.evaluate("history.back()")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "ana" not in page.locator("body").inner_text().split()


def test_back_to_a_form_keeps_what_was_typed(page: Page, endpoint: Endpoint) -> None:
    sign_in(page, f"/installs/{endpoint.install_id}/endpoints/new/")
    page.get_by_label("Your handler's URL").fill("https://acme.example.com/typed")
    page.get_by_role("link", name="Inbox").click()
    expect(page.get_by_role("heading", name="All clear")).to_be_visible()
    page.evaluate("history.back()")
    expect(page.get_by_label("Your handler's URL")).to_have_value("https://acme.example.com/typed")
