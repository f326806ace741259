"""Two tabs of one browser: signing in and out in both, and a form that was opened before a new sign-in."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import AlertChannel, User
from tests.factories import make_install, make_user
from tests.faults.failed import session_of
from tests.journeys.conftest import PATIENCE_MS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("two-tabs")]
PASSWORD = "a-long-password"


@pytest.fixture
def ana() -> User:
    make_install(name="Acme Labs")
    return make_user(username="ana", password=PASSWORD, role="support")


@pytest.fixture
def context(ana: User, live_server: LiveServer, browser: object) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=live_server.url)  # type: ignore[attr-defined]
    context.set_default_timeout(PATIENCE_MS)
    yield context
    for page in context.pages:
        page.goto("about:blank")  # no poll may be in progress when the database is emptied
    context.close()


@pytest.fixture
def tab(context: BrowserContext) -> Callable[[str], Page]:
    def opened(path: str) -> Page:
        page = context.new_page()
        page.goto(path)
        return page

    return opened


def sign_in(page: Page) -> None:
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.locator("summary").filter(has_text="ana").click()
    page.locator(".menu").get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_sign_in_and_out_in_both_tabs(tab: Callable[[str], Page]) -> None:
    first, second = tab("/installs/"), tab("/alerts/")
    sign_in(first)
    expect(first.get_by_role("heading", name="Installs", level=1)).to_be_visible()
    sign_in(second)
    expect(second.get_by_role("heading", name="Alerts", level=1)).to_be_visible()
    sign_out(first)
    sign_out(second)


def test_form_from_before_a_new_sign_in_is_sent_with_one_more_press(
    tab: Callable[[str], Page], context: BrowserContext, live_server: LiveServer, ana: User
) -> None:
    cookie = {"name": "sessionid", "value": session_of(ana), "url": live_server.url}
    context.add_cookies([cookie])
    form = tab("/alerts/channels/new/")
    form.get_by_label("Name", exact=True).fill("On-call")
    other = tab("/deliveries/")
    sign_out(other)
    other.goto("/deliveries/")
    sign_in(other)
    expect(other.get_by_role("heading", name="Deliveries", level=1)).to_be_visible()
    form.locator("form[data-action] button[type=submit]").last.click()
    expect(form.get_by_role("heading", name="This page has expired")).to_be_visible()
    form.get_by_role("button", name="Send it again").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("On-call")
    assert AlertChannel.objects.count() == 0  # its form has errors, which it says as ever
