"""A session that ends while someone types: after sign-in the form is back, nothing was started, and it is sent once."""

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import AlertChannel, AlertDelivery, User
from tests.factories import make_channel, make_endpoint, make_install, make_user
from tests.journeys.acting import overflows, violations
from tests.journeys.conftest import PATIENCE_MS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("signed-out")]
PASSWORD = "a-long-password"
NEW = "/alerts/channels/new/"


@pytest.fixture
def ana() -> User:
    return make_user(username="ana", password=PASSWORD, role="support")


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def page(request: pytest.FixtureRequest, ana: User, live_server: LiveServer, open_page: Callable[..., Page]) -> Page:
    page = open_page(base_url=live_server.url, java_script_enabled=request.param)
    page.set_default_timeout(PATIENCE_MS)
    page.goto("/alerts/channels/")
    sign_in(page)
    expect(page.get_by_role("heading", name="Channels", level=1)).to_be_visible()
    yield page
    page.goto("about:blank")


def sign_in(page: Page, *, username: str = "ana") -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def banner(page: Page) -> object:
    return page.locator("#kept-form").get_by_text("Nothing was started.")


def type_channel(page: Page) -> None:
    page.goto(NEW)
    page.get_by_label("Name", exact=True).fill('On-call "night" & <b>')
    page.get_by_label("Email address").fill("oncall@example.com")
    page.get_by_label("Signatures refused").set_checked(True)
    page.get_by_label("Deliveries overdue").set_checked(False)


def test_channel_is_back_with_what_was_typed_and_is_added_once(page: Page) -> None:
    type_channel(page)
    Session.objects.all().delete()
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_text("Nothing was started: you were signed out.")).to_be_visible()
    assert not AlertChannel.objects.exists()
    sign_in(page)
    expect(banner(page)).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value('On-call "night" & <b>')
    expect(page.get_by_label("Email address")).to_have_value("oncall@example.com")
    expect(page.get_by_label("Signatures refused")).to_be_checked()
    expect(page.get_by_label("Deliveries overdue")).not_to_be_checked()
    assert not AlertChannel.objects.exists()
    page.get_by_role("button", name="Add channel").dblclick()
    expect(page.get_by_text('On-call "night" & <b>').first).to_be_visible()  # its page, or the list that has it
    expect(page).not_to_have_url(f"{NEW}#kept-form")
    assert AlertChannel.objects.count() == 1
    page.goto(NEW)
    expect(page.get_by_label("Name", exact=True)).to_have_value("")


def test_next_person_gets_an_empty_form(page: Page) -> None:
    make_user(username="ben", password=PASSWORD, role="support")
    type_channel(page)
    Session.objects.all().delete()
    page.get_by_role("button", name="Add channel").click()
    sign_in(page, username="ben")
    expect(page.get_by_role("heading", name="Add a channel")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("")
    expect(page.locator("#kept-form")).to_have_count(0)


def test_endpoint_to_register_is_back(page: Page) -> None:
    page.goto(f"/installs/{make_install(name='Acme Labs').pk}/endpoints/new/")
    page.locator("input[name=handler_url]").fill("https://acme.example.com/hook?a=1&b=2")
    Session.objects.all().delete()
    page.locator("form[data-action].stack button[type=submit]").first.click()
    sign_in(page)
    expect(banner(page)).to_be_visible()
    expect(page.locator("input[name=handler_url]")).to_have_value("https://acme.example.com/hook?a=1&b=2")


def test_button_that_was_pressed_says_that_nothing_was_started(page: Page) -> None:
    channel = make_channel(install=make_endpoint().install)
    page.goto(f"/alerts/channels/{channel.pk}/")
    Session.objects.all().delete()
    page.get_by_role("button", name="Send test").click()
    sign_in(page)
    expect(banner(page)).to_be_visible()
    assert not AlertDelivery.objects.exists()


def test_note_of_a_recovery_is_back(page: Page) -> None:
    endpoint = make_endpoint(status="DISABLED")
    page.goto(f"/endpoints/{endpoint.pk}/recover/")
    page.locator("[name=note]").fill("Ticket 4711")
    Session.objects.all().delete()
    page.locator("form[action$='/recover/'] button[type=submit]").click()
    sign_in(page)
    expect(banner(page)).to_be_visible()
    expect(page.locator("[name=note]")).to_have_value("Ticket 4711")


@pytest.mark.parametrize("page", [True], indirect=True, ids=["script"])
def test_banner_can_be_read_by_everybody(page: Page) -> None:
    type_channel(page)
    Session.objects.all().delete()
    page.get_by_role("button", name="Add channel").click()
    sign_in(page)
    expect(banner(page)).to_be_visible()
    assert overflows(page) == []
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
