"""An observation key in a real browser: from the endpoint's page to a handler that reports observations."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.factories import make_endpoint, make_install, make_user
from tests.receiver.observing import observe

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("observation-key")]

PASSWORD = "a-long-password"


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without"])
def test_partner_admin_issues_a_key_and_sees_what_the_handler_reports(
    live_server: LiveServer, open_page: Callable[..., Page], javascript: bool
) -> None:
    make_user(username="ana", password=PASSWORD, role="support")
    now = timezone.now()
    install = make_install(checked_at=now)
    endpoint = make_endpoint(
        install=install, snapshot_at=now, receiver_key=None, secret=None, url="https://partner.example.com/hook"
    )
    page = open_page(java_script_enabled=javascript)
    page.goto(f"{live_server.url}/endpoints/{endpoint.pk}/")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="have the handler report them").click()
    page.get_by_role("button", name="Issue key").click()
    expect(page.get_by_role("heading", name="Observation key issued")).to_be_visible()
    key = page.locator("#secret").inner_text()
    assert key not in page.url
    seen = {
        "deliveryId": "dlv_1",
        "eventType": "contract.started",
        "receivedAt": timezone.now().isoformat(),
        "status": 503,
        "latencyMs": 35,
    }
    answer = observe(key=key, items=[seen])
    assert answer.json() == {"stored": 1, "known": 0}
    page.get_by_role("link", name="I've stored it").click()
    expect(page.get_by_role("row").filter(has_text="contract.started")).to_contain_text("503")
    page.goto(f"{live_server.url}/endpoints/{endpoint.pk}/observation-key/")
    page.get_by_text("Revoke key…").click()
    page.locator("#id_revoke").check()
    page.get_by_role("button", name="Revoke key").click()
    expect(page.locator("#answer")).to_contain_text("The observation key was revoked")
    refused = observe(key=key, items=[seen])
    assert refused.status_code == 401
