"""Pages whose names are as long as they may be: nothing is printed over something else, on a phone and on a desk."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page

from dashboard.actions.alerts import watch
from dashboard.models import Alert, AlertDelivery, AlertNews, Endpoint, User
from tests.factories import (
    make_alert,
    make_attempt,
    make_channel,
    make_contract,
    make_endpoint,
    make_entry,
    make_failed_delivery,
    make_finding,
    make_grant,
    make_handover,
    make_install,
    make_run,
    make_user,
)
from tests.journeys.acting import overprinted, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("long-names")]
NAMES = {"one-word": "W" * 200, "words": "A customer with a very long name " * 6 + "x"}
NOT_OF_AN_OBJECT = (
    "home", "install-list", "delivery-list", "run-list", "activity", "alert-list", "alert-channel-list",
    "alert-channel-create", "member-list", "member-invite", "account", "session-list", "install-connect",
)  # fmt: skip


@pytest.fixture(params=[pytest.param(name, id=key) for key, name in NAMES.items()])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """An endpoint in trouble, of an install with that name, with channels, members and runs that have it too."""
    name: str = request.param
    install = make_install(name=name, app_name=name, token_name=name)
    url = f"https://{'a' * 60}.{'b' * 60}.example.com/{name.replace(' ', '-')}"
    endpoint = make_endpoint(install=install, status="DISABLED", name=name[:80], url=url, consecutive_failures=10)
    delivery = make_failed_delivery(endpoint=endpoint, resource_id=f"con_{'x' * 60}")
    make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, handler_status=503)
    for state in ("sent", "given_up", "waiting"):
        make_channel(name=name[:100], install=install, quiet_start="00:00", quiet_end="23:59")
        make_channel(
            name=f"{state} {name}"[:100],
            made_by_name=name[:150],
            email=f"{'e' * 60}@example.com",
            shown_as=f"{'e' * 60}@example.com",
        )
    now = timezone.now()
    watch.watch(now=now)
    make_alert(
        endpoint=endpoint,
        kind="overdue",
        opened_at=now - timedelta(hours=1),
        cleared_at=now,
        words=name,
        cleared_words=name,
    )
    for alert, state in zip(Alert.objects.order_by("pk"), ("sent", "given_up", "waiting"), strict=False):
        for channel in endpoint.install.alert_channels.all():
            words = "" if state == "sent" else name
            told = AlertDelivery.objects.create(
                channel=channel,
                channel_name=channel.name,
                state=state,
                attempts=3,
                created_at=now,
                ended_at=now,
                words=words,
            )
            AlertNews.objects.update_or_create(
                alert=alert, channel=channel, event="opened", defaults={"delivery": told}
            )
    make_run(endpoint=endpoint, actor_name=name[:150], why=name, chosen=name)
    make_entry(endpoint=endpoint, actor_name=name[:150], words=name)
    contract = make_contract(install=install, status="ended")
    make_finding(contract=contract, endpoint=endpoint)
    make_handover(contract=contract, endpoint=endpoint)
    return endpoint


@pytest.fixture
def lead(endpoint: Endpoint) -> User:
    user = make_user(username=endpoint.install.name.replace(" ", "-")[:150], role="support_lead")
    make_grant(user=make_user(username=f"z{user.username}"[:150], role="partner_admin"), install=endpoint.install)
    return user


def addresses(endpoint: Endpoint) -> list[str]:
    install, channel = endpoint.install, endpoint.install.alert_channels.first()
    member = User.objects.get(role="partner_admin")
    of_install = ("install-detail", "install-deliveries", "install-contracts", "endpoint-create")
    of_endpoint = (
        "endpoint-detail",
        "endpoint-deliveries",
        "endpoint-recover",
        "endpoint-edit",
        "endpoint-delete",
        "observation-key",
        "handover-all",
        "rotation-detail",
    )
    return [
        *map(reverse, NOT_OF_AN_OBJECT),
        *(reverse(name, args=[install.pk]) for name in of_install),
        *(reverse(name, args=[endpoint.pk]) for name in of_endpoint),
        *(reverse(name, args=[channel.pk]) for name in ("alert-channel-edit", "alert-channel-delete")),
        *(reverse(name, args=[member.pk]) for name in ("member-detail", "member-role", "member-deactivate")),
        reverse("run-detail", args=[endpoint.runs.get().pk]),
        reverse("contract-detail", args=[install.contracts.get().pk]),
        reverse("delivery-detail", args=[endpoint.deliveries.get().pk]),
    ]


def test_no_name_is_printed_over_anything(
    endpoint: Endpoint, lead: User, page_as: Callable[..., Page], screenshots: Path
) -> None:
    page = page_as(lead)
    found = {}
    for path in addresses(endpoint):
        response = page.goto(path)
        assert response is not None
        assert response.ok, path
        if wrong := overprinted(page):
            found[path] = wrong
        if os.environ.get("SCREENSHOTS"):
            name = f"long-{path.strip('/').replace('/', '-') or 'inbox'}"
            page.screenshot(path=screenshots / f"{name}.png", full_page=True)
            page.set_viewport_size({"width": 375, "height": 812})
            page.screenshot(path=screenshots / f"{name}-phone.png", full_page=True)
            page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/alerts/")
    assert violations(page) == []
    assert found == {}, "\n".join(f"{path}: {one}" for path, wrong in found.items() for one in wrong)
