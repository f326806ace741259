"""From a refused request to the reason for it, in a real browser."""

import hashlib
import hmac
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.vault import Secret
from tests.factories import make_endpoint, make_install, make_refused_attempt, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("doctor")]

PASSWORD = "a-long-password"
SECRET = "whsec_" + "c" * 32
SIGNED, RECEIVED = b'{"id":"evt_1","data":{}}', b'{\r\n  "id": "evt_1",\r\n  "data": {}\r\n}'


@pytest.mark.parametrize("javascript", [True, False], ids=["htmx", "plain form"])
def test_support_finds_out_why_a_request_was_refused(
    live_server: LiveServer, open_page: Callable[..., Page], javascript: bool
) -> None:
    make_user(username="ana", password=PASSWORD, role="support")
    now = timezone.now()
    endpoint = make_endpoint(install=make_install(checked_at=now), secret=Secret(SECRET), snapshot_at=now)
    stamp = int(now.timestamp())
    digest = hmac.new(SECRET.encode(), b"%d." % stamp + SIGNED, hashlib.sha256).hexdigest()
    refused = make_refused_attempt(
        endpoint=endpoint,
        received_at=now,
        request_headers=[["X-OpenTrain-Signature", f"t={stamp},v1={digest}"]],
        body_size=len(RECEIVED),
        body_sha256=hashlib.sha256(RECEIVED).hexdigest(),
    )
    page = open_page(java_script_enabled=javascript)
    page.goto(f"{live_server.url}/endpoints/{endpoint.pk}/")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Find out why").click()
    expect(page.get_by_role("heading", name="Why was this request refused?")).to_be_visible()
    page.get_by_label("Body", exact=True).fill(RECEIVED.decode())
    page.get_by_role("button", name="Examine").click()
    answer = page.get_by_role("status").filter(has_text="What to do")
    expect(answer).to_contain_text("The signature matches this body written as JSON without spaces.")
    expect(answer).to_contain_text("This is exactly the refused body.")
    expect(answer).to_contain_text("express.raw")
    assert page.url.partition("#")[0] == f"{live_server.url}/endpoints/{endpoint.pk}/doctor/?refused={refused.pk}"
