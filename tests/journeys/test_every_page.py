"""Pages that the walk through the demo (test_story.py) does not reach: those of accounts, and of more than one object.

Both read the URL map, so together they open every page, and each new one automatically.
"""

import re
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import User
from tests.attacks.walking import addresses
from tests.factories import make_endpoint, make_install, make_user
from tests.journeys.acting import overflows, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("every-page")]
NUMBER = re.compile(r"(?<=/)\d+(?=/)")


@pytest.fixture
def lea() -> User:
    """A support lead with every second factor, so that the pages about each of them open."""
    lea = make_user(username="lea", role="support_lead")
    TOTP.activate(lea, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(lea)
    Authenticator.objects.create(user=lea, type="webauthn", data={"name": "Work laptop"})
    return lea


def pages_of(page: Page, paths: dict[str, str]) -> dict[str, str]:
    """Return those that are whole pages of their own: no partials, downloads, form targets or redirects."""
    found = {}
    for name, path in paths.items():
        response = page.request.get(path)
        if response.ok and response.url.endswith(path) and "<!doctype html>" in response.text()[:100]:
            found[name] = path
    return found


def test_pages_have_nothing_that_axe_finds_and_are_never_too_wide(
    lea: User, live_server: LiveServer, page_as: Callable[..., Page], open_page: Callable[..., Page]
) -> None:
    endpoint = make_endpoint(install=make_install(name="Acme Labs", checked_at=timezone.now()))
    key = Authenticator.objects.get(type="webauthn").pk
    paths = {one.name: one.path for one in addresses(endpoint=endpoint)}
    paths |= {name: reverse(name, args=[key]) for name in ("mfa_edit_webauthn", "mfa_remove_webauthn")}
    rest = {
        name: path for name, path in paths.items() if path.startswith("/accounts/") or len(NUMBER.findall(path)) > 1
    }
    page, stranger = page_as(lea), open_page(base_url=live_server.url)
    page.goto(reverse("account_reauthenticate"))
    page.get_by_label("Password").fill("a-long-password")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Confirm it's you")).to_have_count(0)
    theirs, strangers = pages_of(page, rest), pages_of(stranger, rest)
    found = {("lea", name): wrong_with(page, path) for name, path in theirs.items()}
    found |= {("nobody", name): wrong_with(stranger, path) for name, path in strangers.items()}
    assert {who: wrong for who, wrong in found.items() if wrong} == {}
    assert {"account", "mfa_deactivate_totp", "mfa_edit_webauthn", "handover-preview"} <= theirs.keys()
    assert {"account_login", "set-password"} <= strangers.keys()


def wrong_with(page: Page, path: str) -> list[str]:
    page.emulate_media(color_scheme="light")
    page.goto(path)
    light = violations(page) + overflows(page)
    page.emulate_media(color_scheme="dark")
    return light + violations(page)
