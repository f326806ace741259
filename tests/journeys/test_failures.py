"""Pages while OpenTrain misbehaves: in a real browser, against a misbehaving server."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.models import Endpoint
from dashboard.services.opentrain import call
from tests.factories import make_delivery, make_endpoint, make_install, make_user
from tests.journeys.acting import more_actions, take
from tests.services.misbehaving import Behaviour, answer, misbehaving, silent

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("failures")]

PASSWORD = "a-long-password"
REQUEST_ID = "9d1f2a77-52c3-4a0e-9c55-0c3b5a1f0d11"


def envelope(status: int, code: str, error: str, *headers: str) -> Behaviour:
    body = {"error": error, "code": code, "requestId": REQUEST_ID, "details": {}}
    return answer(status, json.dumps(body).encode(), headers=headers)


FAILURES = {
    "timeout": (silent, "OpenTrain did not answer within", "The request may have been taken."),
    "401": (
        envelope(401, "UNAUTHORIZED", "The token was revoked."),
        "The token was revoked.",
        "Ask the customer to connect again",
    ),
    "403": (
        envelope(403, "FORBIDDEN", "The token lacks webhooks:manage."),
        "The token lacks webhooks:manage.",
        "Check that the install is active",
    ),
    "404": (
        envelope(404, "NOT_FOUND", "There is no such endpoint."),
        "There is no such endpoint.",
        "It may have been deleted",
    ),
    "429": (
        envelope(429, "RATE_LIMITED", "Slow down.", "Retry-After: 40"),
        "OpenTrain gets too many requests",
        "Try again in 40 s",
    ),
    "500": (
        envelope(500, "INTERNAL_ERROR", "Something broke."),
        "Something broke.",
        "It may have taken effect anyway.",
    ),
    "html": (
        answer(502, b"<html><h1>Bad Gateway</h1>", content_type="text/html"),
        "status 502",
        "It may have taken effect anyway.",
    ),
}


@pytest.fixture
def endpoint() -> Endpoint:
    """A disabled endpoint with two failed deliveries, last synced an hour ago."""
    hour_ago = timezone.now() - timedelta(hours=1)
    endpoint = make_endpoint(
        install=make_install(name="Acme Labs", checked_at=hour_ago),
        status="DISABLED",
        consecutive_failures=10,
        disabled_at=hour_ago,
        disabled_reason="10 consecutive failures",
        snapshot_at=hour_ago,
    )
    for _ in range(2):
        make_delivery(
            endpoint=endpoint,
            last_ok=False,
            last_status=503,
            last_cause="status",
            attempts_in_round=5,
            attempt_count=5,
            abandoned_at=hour_ago,
        )
    return endpoint


@pytest.fixture
def support_page(live_server: LiveServer, open_page: Callable[..., Page], endpoint: Endpoint) -> Iterator[Page]:
    user = make_user(role="support", password=PASSWORD)
    page = open_page()
    page.goto(live_server.url)
    page.get_by_label("User name").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="1 endpoint needs attention", level=1)).to_be_visible()
    yield page
    page.goto("about:blank")  # no poll may be in progress when the database is emptied


@pytest.mark.parametrize("failure", FAILURES)
def test_failure_of_opentrain_is_told_in_words(
    failure: str,
    support_page: Page,
    live_server: LiveServer,
    endpoint: Endpoint,
    settings: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    screenshots: Path,
) -> None:
    behaviour, said, advice = FAILURES[failure]
    hurried = {"read_s": 0.5, "total_s": 1.5} if behaviour is silent else {}
    quick = dataclasses.replace(call.LIMITS, pause_s=0.05, **hurried)
    monkeypatch.setattr(call, "LIMITS", quick)
    with misbehaving(behaviour) as server:
        settings.OPENTRAIN_BASE_URL = server.url
        support_page.goto(f"{live_server.url}/endpoints/{endpoint.pk}/")
        # The page still shows the stored data, and its age.
        expect(support_page.locator(".head-state")).to_contain_text("Disabled")
        more_actions(support_page)
        expect(support_page.get_by_role("button", name="Redeliver all failed (2)")).to_be_visible()
        stale = support_page.locator("#live .banner").first
        expect(stale).to_contain_text("60 min ago")
        support_page.get_by_role("button", name="Redeliver all failed (2)").click()
        outcome = support_page.locator("#answer")
        expect(outcome).to_contain_text(said)
        expect(outcome).to_contain_text(advice)
        take(support_page, screenshots, f"failure-{failure}")
        writes = [request for request in server.requests if request.method == "POST"]
        assert len(writes) == 1
        support_page.goto("about:blank")
