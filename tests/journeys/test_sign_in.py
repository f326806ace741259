"""Sign-in in a real browser: password, authenticator app, passkey, single sign-on; and signing out other sessions.

Chromium's virtual authenticator keeps the passkeys: the browser, its scripts and its signatures are real.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.mfa.models import Authenticator
from django.urls import reverse
from playwright.sync_api import Browser, CDPSession, Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import User
from tests import totp
from tests.factories import make_install, make_user
from tests.journeys.acting import take_all, violations
from tests.journeys.conftest import PATIENCE_MS
from tests.oidc_provider import Provider, running

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("sign-in")]
PASSWORD = "a-long-password"


@pytest.fixture
def ana(transactional_db: None) -> User:
    make_install(name="Acme Labs")
    return make_user(username="ana", email="ana@example.com", password=PASSWORD)


@pytest.fixture
def page(live_server: LiveServer, open_page: Callable[..., Page], ana: User) -> Iterator[Page]:
    page = open_page(base_url=live_server.url)
    yield page
    page.goto("about:blank")  # no poll may be in progress when the database is emptied


@pytest.fixture
def refused(live_server: LiveServer, browser: Browser, ana: User) -> Iterator[Page]:
    """A page that may get 403 and 429 responses, which Chromium logs as errors in its console."""
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


def give_password(page: Page, path: str = "/") -> None:
    page.goto(path)
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def arrive(page: Page, path: str) -> None:
    """Wait until the URL's path is `path`, not only its `next` parameter."""
    page.wait_for_url(lambda url: urlsplit(url).path == path)


def is_it_you(page: Page) -> None:
    expect(page.get_by_role("heading", name="Confirm it's you")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def sign_out(page: Page) -> None:
    page.locator("summary").filter(has_text="ana").click()
    page.locator(".menu").get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def to_account(page: Page) -> None:
    page.locator("summary").filter(has_text="ana").click()
    page.get_by_role("link", name="Your account").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def with_authenticator(page: Page) -> tuple[CDPSession, str]:
    """Add a virtual authenticator that stores passkeys and always approves; return its session and ID."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    return cdp, cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]


def keys_in(cdp: CDPSession, authenticator: str) -> list[dict[str, Any]]:
    return cdp.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]


def add_passkey(page: Page, *, name: str, passwordless: bool) -> None:
    page.goto(reverse("mfa_add_webauthn"))
    is_it_you(page)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Use it to sign in without a password").set_checked(passwordless)
    page.get_by_role("button", name="Add passkey").click()


def test_authenticator_app_from_setting_it_up_to_signing_in(page: Page, ana: User, screenshots: Path) -> None:
    page.goto("/")
    take_all(page, screenshots, "sign-in")
    give_password(page)
    to_account(page)
    take_all(page, screenshots, "account")
    page.get_by_role("link", name="Set up an app").click()
    take_all(page, screenshots, "is-it-you")
    is_it_you(page)
    page.get_by_text("Can't scan it?").click()
    secret = page.locator(".secret code").inner_text()
    take_all(page, screenshots, "totp-activate")
    assert page.locator(".qr img").evaluate("image => image.naturalWidth") > 100
    page.get_by_label("Code from the app").fill(totp.wrong(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    take_all(page, screenshots, "totp-wrong")
    page.get_by_label("Code from the app").fill(totp.code(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("Authenticator app on")).to_be_visible()
    take_all(page, screenshots, "recovery-codes")
    codes = page.locator(".codes code").all_inner_texts()
    page.get_by_role("link", name="I've saved them").click()
    expect(page.get_by_role("link", name="Inbox")).to_have_attribute("aria-current", "page")
    sign_out(page)

    give_password(page, "/deliveries/")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    take_all(page, screenshots, "second-factor")
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    arrive(page, "/deliveries/")
    to_account(page)
    expect(page.locator(".ways").first).to_contain_text("9 of 10 left")
    take_all(page, screenshots, "account-protected")
    page.get_by_role("link", name="Generate new codes…").click()
    is_it_you(page)
    take_all(page, screenshots, "recovery-codes-new")
    page.goto(reverse("mfa_view_recovery_codes"))
    take_all(page, screenshots, "recovery-codes-seen")
    page.goto(reverse("mfa_deactivate_totp"))
    take_all(page, screenshots, "totp-deactivate")
    page.get_by_role("button", name="Remove app").click()
    expect(page.get_by_text("Authenticator app removed.")).to_be_visible()


def test_passkey_signs_in_without_a_password(page: Page, ana: User, screenshots: Path) -> None:
    cdp, authenticator = with_authenticator(page)
    give_password(page)
    page.goto(reverse("mfa_add_webauthn"))
    is_it_you(page)
    take_all(page, screenshots, "passkey-add")
    page.get_by_label("Name", exact=True).fill("Work laptop")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_text("Passkey added.")).to_be_visible()
    [key] = keys_in(cdp, authenticator)
    assert (key["isResidentCredential"], key["rpId"]) == (True, "localhost")
    page.get_by_role("link", name="I've saved them").click()
    sign_out(page)

    page.goto("/runs/")  # sign-in leads back to this page
    page.get_by_role("button", name="Use a passkey instead").click()
    arrive(page, "/runs/")
    assert Authenticator.objects.get(type="webauthn").last_used_at is not None

    to_account(page)
    page.get_by_role("link", name="View passkeys").click()
    row = page.get_by_role("row").filter(has_text="Work laptop")
    expect(row).to_contain_text("Sign-in without a password")
    take_all(page, screenshots, "passkeys")
    row.get_by_role("link", name="Rename").click()
    is_it_you(page)
    take_all(page, screenshots, "passkey-rename")
    page.get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Remove… Old laptop").click()
    take_all(page, screenshots, "passkey-remove")
    page.get_by_role("button", name="Remove passkey").click()
    expect(page.get_by_text("No passkeys yet.")).to_be_visible()
    assert not Authenticator.objects.exists()
    sign_out(page)
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("That passkey was not accepted. Try again, or sign in another way.")).to_be_visible()


def test_passkey_is_a_second_factor_after_the_password(page: Page, ana: User) -> None:
    cdp, authenticator = with_authenticator(page)
    give_password(page)
    add_passkey(page, name="Blue key", passwordless=False)
    expect(page.get_by_text("Passkey added.")).to_be_visible()
    assert [key["isResidentCredential"] for key in keys_in(cdp, authenticator)] == [False]
    page.get_by_role("link", name="I've saved them").click()
    sign_out(page)
    give_password(page, "/installs/")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    arrive(page, "/installs/")

    page.goto(reverse("mfa_add_webauthn"))  # a passkey also confirms the user's identity
    page.get_by_role("link", name="Use a passkey").click()
    assert violations(page) == []
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Add a passkey")).to_be_visible()


def test_passkey_that_is_refused_is_said_in_words_and_changes_nothing(page: Page, ana: User) -> None:
    cdp, authenticator = with_authenticator(page)
    give_password(page)
    cdp.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    add_passkey(page, name="Work laptop", passwordless=True)
    expect(page.get_by_text("No passkey was used: you cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Add passkey")).to_be_enabled()
    assert violations(page) == []
    assert not Authenticator.objects.exists()


def test_role_that_needs_a_second_factor_is_led_to_it(page: Page, ana: User, settings: Any, screenshots: Path) -> None:
    settings.MFA_REQUIRED_ROLES = ["support"]
    give_password(page, "/installs/")
    expect(page.get_by_text("Set up a second factor to continue.")).to_be_visible()
    take_all(page, screenshots, "account-required")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Installs").click()
    expect(page.get_by_text("Set up a second factor to continue.")).to_be_visible()
    page.get_by_role("link", name="Set up an app").click()
    is_it_you(page)
    page.get_by_text("Can't scan it?").click()
    page.get_by_label("Code from the app").fill(totp.code(page.locator(".secret code").inner_text()))
    page.get_by_role("button", name="Turn on").click()
    page.get_by_role("link", name="I've saved them").click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Installs").click()
    expect(page.get_by_role("heading", name="Installs")).to_be_visible()


def test_session_ended_elsewhere_leads_an_open_page_to_sign_in_and_back(
    page: Page, live_server: LiveServer, open_page: Callable[..., Page], screenshots: Path
) -> None:
    give_password(page, "/installs/")
    expect(page.get_by_role("heading", name="Installs")).to_be_visible()
    other = open_page(
        base_url=live_server.url,
        user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile Safari/604.1",
    )
    give_password(other, reverse("session-list"))
    expect(other.get_by_role("row").filter(has_text="This session")).to_contain_text("Safari on iPhone")
    take_all(other, screenshots, "sessions")
    other.get_by_role("button", name="End the session of Chrome on Linux").click()
    expect(other.get_by_text("Ended: Chrome on Linux from 127.0.0.1 is signed out.")).to_be_visible()
    arrive(page, "/accounts/login/")  # by the page's next poll
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    arrive(page, "/installs/")


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with running() as provider:
        for name, value in provider.settings.items():
            setattr(settings, name, value)
        yield provider


def test_company_sign_in_goes_there_and_comes_back(page: Page, provider: Provider, screenshots: Path) -> None:
    page.goto("/runs/")
    take_all(page, screenshots, "sign-in-oidc")
    page.get_by_role("button", name="Sign in with Example SSO").click()
    arrive(page, "/runs/")
    to_account(page)
    page.get_by_role("link", name="Disconnect…").click()
    take_all(page, screenshots, "oidc-connected")
    page.get_by_role("button", name="Disconnect").click()
    is_it_you(page)
    page.get_by_role("button", name="Disconnect").click()  # nothing was done yet: the form is back
    expect(page.get_by_text("Disconnected. You can no longer sign in with it.")).to_be_visible()
    take_all(page, screenshots, "oidc-connect")
    provider.claims |= {"email": "private@example.org"}
    page.get_by_role("button", name="Connect Example SSO").click()
    expect(page.get_by_text("Connected. You can now sign in with it.")).to_be_visible()


def test_company_sign_in_of_somebody_without_an_account_says_whom_to_ask(
    refused: Page, provider: Provider, screenshots: Path
) -> None:
    provider.claims |= {"email": "eve@example.com"}
    refused.goto("/accounts/login/")
    refused.get_by_role("button", name="Sign in with Example SSO").click()
    expect(refused.get_by_role("heading", name="No account found")).to_be_visible()
    take_all(refused, screenshots, "oidc-no-account")


def test_pages_that_are_rarely_seen_look_like_the_others(page: Page, ana: User, screenshots: Path) -> None:
    give_password(page)
    page.goto(reverse("account_change_password"))
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Nothing was saved.")).to_be_visible()
    take_all(page, screenshots, "password-change")
    page.goto(reverse("account_logout"))
    take_all(page, screenshots, "sign-out")
    sign_out(page)
    page.goto(reverse("account_inactive"))
    take_all(page, screenshots, "account-closed")


def test_too_many_tries_are_said_in_words(refused: Page, screenshots: Path) -> None:
    for _ in range(6):
        refused.goto("/accounts/login/")
        refused.get_by_label("User name").fill("ana")
        refused.get_by_label("Password").fill("wrong")
        with refused.expect_navigation():
            refused.get_by_role("button", name="Sign in", exact=True).click()
    expect(refused.get_by_role("heading", name="Too many attempts")).to_be_visible()
    take_all(refused, screenshots, "too-many")


def test_sign_in_and_authenticator_app_work_without_javascript(
    live_server: LiveServer, open_page: Callable[..., Page], ana: User
) -> None:
    page = open_page(base_url=live_server.url, java_script_enabled=False)
    give_password(page, reverse("mfa_activate_totp"))
    is_it_you(page)
    secret = re.sub(r"\s", "", page.locator(".secret code").text_content() or "")
    page.get_by_label("Code from the app").fill(totp.code(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    page.goto(reverse("mfa_add_webauthn"))
    expect(page.get_by_text("Passkeys need JavaScript, which is off in this browser.")).to_be_visible()
