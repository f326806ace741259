"""Names of endpoints and installs, registering and disconnecting, in a real browser in every theme and width."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import Endpoint, Install
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint, make_user
from tests.faults.failed import session_of
from tests.journeys.acting import overflows, take_all
from tests.views.conftest import connected, register

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("names")]
__all__ = ["connected"]

LONG = "Zugänge und Verträge der Straßenszenen, ohneeinenumbruchgeschrieben, Produktion"
HOOK = "https://hooks-for-annotation-and-review.acme-labs.example.com/webhooks/opentrain/deliveries"


@pytest.fixture
def support() -> Any:
    return make_user(username="ana")


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, support: Any) -> Iterator[Page]:
    """A page whose console is not watched: a form that is refused is an answer with an error status."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": session_of(support), "url": live_server.url}])
    yield context.new_page()
    context.close()


def check(page: Page, screenshots: Path, name: str) -> None:
    take_all(page, screenshots, name)
    assert overflows(page) == []


def test_two_endpoints_of_one_url_are_told_apart_and_named(
    page: Page, live_server: LiveServer, connected: Install, support: Any, screenshots: Path
) -> None:
    Install.objects.update(name="Acme Labs " + "and its many subsidiaries " * 5)
    one, two = (register(connected, support, handler_url=HOOK) for _ in range(2))
    one.refresh_from_db()
    page.goto(live_server.url + reverse("install-detail", args=[connected.pk]))
    for each in (one, two):
        expect(page.locator(f"#endpoint-{each.pk}").get_by_role("link", name=each.title)).to_be_visible()
    check(page, screenshots, "install-twins")
    page.goto(live_server.url + reverse("endpoint-rename", args=[one.pk]))
    check(page, screenshots, "endpoint-rename")
    page.get_by_label("Name").fill(LONG[:80])
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(LONG[:80])
    check(page, screenshots, "endpoint-named")
    page.goto(live_server.url + reverse("endpoint-rename", args=[two.pk]))
    page.get_by_label("Name").fill(LONG[:80].upper())
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("Another endpoint of this install is called")
    check(page, screenshots, "endpoint-rename-taken")
    page.goto(live_server.url + reverse("endpoint-delete", args=[one.pk]))
    page.get_by_label("To confirm, type").fill(LONG[:80])
    check(page, screenshots, "endpoint-delete-named")
    page.get_by_role("button", name="Delete this endpoint").click()
    expect(page.locator(".head-state")).to_have_text("Deleted")
    two.refresh_from_db()
    assert two.title == HOOK.removeprefix("https://")[:79] + ("…" if len(HOOK) - 8 > 80 else HOOK[87:])


def test_registering_starts_from_an_endpoint_and_asks_before_events_come_twice(
    page: Page, live_server: LiveServer, connected: Install, support: Any, screenshots: Path
) -> None:
    endpoint = register(connected, support, handler_url=HOOK)
    page.goto(live_server.url + reverse("endpoint-detail", args=[endpoint.pk]))
    page.locator("#endpoint-menu summary").click()
    page.get_by_role("link", name="Register a similar one").click()
    expect(page.get_by_label("Your handler's URL")).to_have_value(HOOK)
    check(page, screenshots, "endpoint-register-like")
    page.get_by_role("button", name="Register with OpenTrain").click()
    expect(page.locator("main")).to_contain_text("this handler has an endpoint already")
    check(page, screenshots, "endpoint-register-twice")
    page.get_by_label("Register it all the same").check()
    page.get_by_role("button", name="Register with OpenTrain").click()
    expect(page.get_by_role("heading", name="The endpoint is registered")).to_be_visible()
    check(page, screenshots, "endpoint-registered")


def test_install_is_renamed_disconnected_and_connected_again(
    page: Page,
    live_server: LiveServer,
    connected: Install,
    support: Any,
    fake_opentrain: FakeOpenTrain,
    screenshots: Path,
) -> None:
    token = connected.token
    behind = register(connected, support, handler_url=HOOK)
    address = live_server.url + reverse("install-detail", args=[connected.pk])
    page.goto(address)
    page.locator("#install-menu summary").click()
    check(page, screenshots, "install-menu")
    page.get_by_role("link", name="Rename…").click()
    page.get_by_label("Name").fill("Acme & Sons")
    check(page, screenshots, "install-rename")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Acme & Sons", level=1)).to_be_visible()

    page.locator("#install-menu summary").click()
    page.get_by_role("link", name="Disconnect…").click()
    expect(page.locator("main")).to_contain_text("its deliveries go through Redeliver")
    expect(page.get_by_role("button", name="Disconnect this install")).to_have_count(0)
    check(page, screenshots, "install-disconnect-in-the-way")
    Endpoint.objects.filter(pk=behind.pk).update(deleted_at=timezone.now())
    make_endpoint(install=connected, receiver_key=None, url=HOOK, status="DISABLED", consecutive_failures=10)
    page.reload()
    check(page, screenshots, "install-disconnect")
    page.get_by_role("button", name="Disconnect this install").click()
    expect(page.locator("main")).to_contain_text("Disconnected by ana at")
    check(page, screenshots, "install-disconnected")
    page.goto(live_server.url + reverse("install-list") + "?show=disconnected")
    check(page, screenshots, "installs-disconnected")

    page.goto(address)
    page.get_by_role("link", name="Connect again…").click()
    page.get_by_label("Install token").fill(token.reveal())
    check(page, screenshots, "install-connect-again")
    page.get_by_role("button", name="Connect again").click()
    expect(page.locator("#answer")).to_contain_text("Acme & Sons is connected.")
    expect(page.locator("main")).not_to_contain_text("Disconnected by ana")
