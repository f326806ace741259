"""A support lead invites a viewer, who sets a password and sees the granted install, but no buttons."""

from collections.abc import Callable
from pathlib import Path

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import Install
from tests.factories import (
    make_channel,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_grant,
    make_install,
    make_user,
)
from tests.journeys.acting import more_actions, take_all, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("members")]

PASSWORD = "a-long-password"


@pytest.fixture
def beta(transactional_db: None) -> Install:
    """An install with a disabled endpoint and failed deliveries, on which users with permission see many buttons."""
    now = timezone.now()
    make_install(name="Acme Labs", checked_at=now)
    beta = make_install(name="Beta Data", checked_at=now)
    endpoint = make_endpoint(install=beta, status="DISABLED", consecutive_failures=10, snapshot_at=now)
    make_failed_delivery(endpoint=endpoint)
    make_delivery(endpoint=endpoint)
    make_user(username="lea", password=PASSWORD, role="support_lead")
    return beta


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without"])
def test_support_lead_invites_a_viewer_who_sees_the_install_and_no_button(
    live_server: LiveServer, open_page: Callable[..., Page], beta: Install, javascript: bool
) -> None:
    lead = open_page(java_script_enabled=javascript)
    lead.goto(f"{live_server.url}/members/")
    sign_in(lead, "lea", PASSWORD)
    lead.get_by_role("link", name="Invite member").click()
    lead.get_by_label("User name").fill("vera")
    lead.get_by_label("Viewer").check()
    lead.get_by_role("button", name="Create invitation").click()
    link = lead.locator("#secret").inner_text()
    lead.get_by_role("link", name="Done: grant installs").click()
    lead.get_by_label("Find an install to grant").fill("beta")
    if not javascript:
        lead.get_by_role("button", name="Search", exact=True).click()
    lead.get_by_role("button", name="Grant Beta Data").click()
    expect(lead.get_by_role("link", name="Beta Data", exact=True)).to_be_visible()

    vera = open_page(java_script_enabled=javascript)
    vera.goto(link)
    if not javascript:
        vera.get_by_label("Your link").fill(link)
        vera.get_by_role("button", name="Continue").click()
    expect(vera.get_by_text("This link is for the account of vera, viewer.")).to_be_visible()
    assert "#" not in vera.url or not javascript
    assert not javascript or violations(vera) == []  # without scripts axe never ends
    vera.get_by_label("New password").fill("a-quite-long-password")
    vera.get_by_label("Confirm password").fill("a-quite-long-password")
    vera.get_by_role("button", name="Set password").click()
    expect(vera.get_by_text("Your password is set. Sign in as vera.")).to_be_visible()
    sign_in(vera, "vera", "a-quite-long-password")
    expect(vera.get_by_role("heading", name="1 endpoint needs attention", level=1)).to_be_visible()
    expect(vera.get_by_text("Acme Labs")).to_have_count(0)
    vera.get_by_role("link", name="redeliver.example.com").first.click()
    expect(vera.get_by_text("To repair it, ask a partner admin of this install or support.")).to_be_visible()
    main = vera.locator("main")
    expect(main.locator("form")).to_have_count(0)
    for word in ("Re-enable", "Recover", "Redeliver all failed"):
        expect(main.get_by_role("button", name=word)).to_have_count(0)
        expect(main.get_by_role("link", name=word)).to_have_count(0)


def test_viewer_whose_page_still_shows_a_button_is_told_whom_to_ask_where_it_was_pressed(
    live_server: LiveServer, browser: Browser, beta: Install
) -> None:
    paul = make_user(username="paul", password=PASSWORD, role="partner_admin")
    make_grant(user=paul, install=beta)
    page = browser.new_page()  # not `open_page`: the browser logs an error for each 403
    page.goto(f"{live_server.url}/endpoints/{beta.endpoints.get().pk}/")
    sign_in(page, "paul", PASSWORD)
    more_actions(page)
    expect(page.get_by_role("button", name="Re-enable")).to_be_visible()
    page.route("**/live/", lambda route: route.abort())  # the page must not update before the press
    type(paul).objects.filter(pk=paul.pk).update(role="viewer")
    page.get_by_role("button", name="Re-enable").click()
    said = page.get_by_text("Nothing changed: your role does not allow this.")
    expect(said).to_be_visible()
    page.close()


def test_pages_of_members_have_nothing_that_axe_finds(
    live_server: LiveServer, open_page: Callable[..., Page], beta: Install, screenshots: Path
) -> None:
    vic = make_user(username="vic", role="viewer")
    make_grant(user=vic, install=beta)
    TOTP.activate(vic, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(vic)
    make_channel(install=beta, made_by=vic, made_by_name="vic", name="Night shift")
    dora = make_user(username="dora", role="partner_admin", is_active=False)
    make_channel(install=beta, made_by=dora, made_by_name="dora", name="Dora's phone")
    page = open_page()
    page.goto(f"{live_server.url}/members/")
    sign_in(page, "lea", PASSWORD)
    paths = {
        "members": "/members/",
        "member-invite": "/members/new/",
        "member": f"/members/{vic.pk}/?q=acme",
        "member-role": f"/members/{vic.pk}/role/?role=support",
        "member-factors": f"/members/{vic.pk}/second-factors/",
        "member-deactivate": f"/members/{vic.pk}/deactivate/",
        "channels": "/alerts/channels/",
        "set-password": "/accounts/set-password/",
    }
    for name, path in paths.items():
        page.goto(live_server.url + path)
        take_all(page, screenshots, name)
