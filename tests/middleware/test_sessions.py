"""Session limits, and required second factors."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from dashboard.middleware.sessions import POLLED, SecondFactor
from dashboard.models import Endpoint, Install, User
from tests import totp
from tests.factories import make_endpoint

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 6, 12, 9, 0, tzinfo=UTC)
ACCOUNT = reverse("account")


class Clock:
    """The clock of the session middleware and of sign-in."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def go_on(self, **by: float) -> None:
        self.time += timedelta(**by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("dashboard.middleware.sessions.timezone", clock)
    monkeypatch.setattr("dashboard.auth.adapters.timezone", clock)
    return clock


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


@pytest.fixture
def ana(clock: Clock, support: User, client: Client) -> Client:
    client.force_login(support)
    return client


def poll(client: Client, endpoint: Endpoint) -> Any:
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver/endpoints/{endpoint.pk}/?a=1"}
    return client.get(reverse("endpoint-live", args=[endpoint.pk]), headers=headers)


# --- Session limits --------------------------------------------------------------------------------------------------


def test_session_in_use_goes_on_until_it_has_lasted_its_time(ana: Client, clock: Clock) -> None:
    for _ in range(13):
        clock.go_on(hours=11)  # never 12 h without use
        assert ana.get("/help/keys/").status_code == 200
    clock.go_on(hours=24 * 7 - 13 * 11, microseconds=-1)
    assert ana.get("/help/keys/").status_code == 302  # now idle for too long
    assert "You were signed out after 12 h without use." in ana.get("/accounts/login/").content.decode()


def test_session_ends_after_its_longest_time_although_it_is_in_use(ana: Client, clock: Clock) -> None:
    for _ in range(16):
        clock.go_on(hours=10)
        assert ana.get("/help/keys/").status_code == 200
    clock.go_on(hours=7, minutes=59)
    assert ana.get("/help/keys/").status_code == 200
    clock.go_on(minutes=1)
    assert ana.get("/help/keys/")["Location"] == "/accounts/login/?next=/help/keys/"
    page = ana.get("/accounts/login/").content.decode()
    assert "You were signed out: a session lasts 7 days at most. Sign in again." in page


def test_page_polling_its_own_url_does_not_keep_a_session_alive(ana: Client, clock: Clock, endpoint: Endpoint) -> None:
    page = reverse("endpoint-recover", args=[endpoint.pk])
    for _ in range(72):
        assert ana.get(page, headers={"X-Redeliver-Poll": "1"}).status_code == 200
        clock.go_on(minutes=10)
    assert ana.get(page)["Location"] == f"/accounts/login/?next={page}"


def test_idle_session_ends_to_the_minute_and_leads_back(ana: Client, clock: Clock) -> None:
    clock.go_on(hours=11, minutes=59)
    assert ana.get("/help/keys/").status_code == 200
    clock.go_on(hours=12)
    assert ana.get("/help/keys/")["Location"] == "/accounts/login/?next=/help/keys/"
    assert "_auth_user_id" not in ana.session


def test_polling_does_not_keep_a_session_alive(ana: Client, clock: Clock, endpoint: Endpoint) -> None:
    for _ in range(72):
        assert poll(ana, endpoint).status_code == 200
        clock.go_on(minutes=10)
    response = poll(ana, endpoint)
    assert response["HX-Redirect"] == f"/accounts/login/?next=/endpoints/{endpoint.pk}/%3Fa%3D1"
    assert response.content == b""
    page = ana.get(response["HX-Redirect"]).content.decode()
    assert "You were signed out after 12 h without use. Sign in to continue." in page
    assert f'value="/endpoints/{endpoint.pk}/?a=1"' in page


def test_button_pressed_after_the_end_does_nothing_and_leads_to_sign_in(
    ana: Client, clock: Clock, endpoint: Endpoint, fake_opentrain: Any
) -> None:
    clock.go_on(hours=12)
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver/endpoints/{endpoint.pk}/"}
    response = ana.post(reverse("endpoint-enable", args=[endpoint.pk]), headers=headers)
    assert response["HX-Redirect"] == f"/accounts/login/?next=/endpoints/{endpoint.pk}/"
    assert fake_opentrain.calls == []


def test_page_opened_counts_as_use_and_is_written_down_once_a_minute(
    client: Client, clock: Clock, django_assert_max_num_queries: Any, support: User
) -> None:
    client.post("/accounts/login/", {"login": "ana", "password": "a-long-password"})
    clock.go_on(hours=1)
    client.get("/help/keys/")
    assert UserSession.objects.get().last_seen_at == clock.now()
    clock.go_on(seconds=59)
    with django_assert_max_num_queries(2):  # the session and the user
        client.get("/help/keys/")
    assert UserSession.objects.get().last_seen_at == clock.now() - timedelta(seconds=59)


def test_limits_are_settings(ana: Client, clock: Clock, settings: Any) -> None:
    settings.SESSION_IDLE_MINUTES = 15
    clock.go_on(minutes=15)
    assert ana.get("/help/keys/").status_code == 302


def lasts(client: Client) -> timedelta:
    """Return how long the database keeps the session."""
    kept = Session.objects.get(pk=client.session.session_key)
    return timedelta(seconds=round((kept.expire_date - timezone.now()).total_seconds()))


def test_what_is_noted_of_a_stranger_is_kept_for_minutes_and_a_session_for_its_time(
    client: Client, support: User
) -> None:
    TOTP.activate(support, "JBSWY3DPEHPK3PXP")
    client.get("/accounts/2fa/webauthn/login/", headers={"Accept": "application/json"})
    assert lasts(client) <= timedelta(minutes=15)
    client.post("/accounts/login/", {"login": "ana", "password": "a-long-password"})
    assert lasts(client) <= timedelta(minutes=15)
    client.post("/accounts/2fa/authenticate/", {"code": totp.code("JBSWY3DPEHPK3PXP")})
    assert client.get("/help/keys/").status_code == 200
    assert lasts(client) > timedelta(days=6, hours=23)


def test_visit_alone_notes_nothing_of_a_stranger(client: Client, support: User) -> None:
    client.get("/")
    client.get("/accounts/login/")
    assert not Session.objects.exists()


def test_session_from_before_there_were_limits_ends(ana: Client) -> None:
    session = ana.session
    del session["signed_in_at"]
    session.save()
    assert ana.get("/help/keys/").status_code == 302


def test_everything_that_pages_poll_is_known_as_polled() -> None:
    polled = set()
    for template in ROOT.glob("templates/**/*.html"):
        for tag in re.findall(r"<[^>]*data-poll[^>]*>", template.read_text()):
            [asked] = re.findall(r'hx-get="\{[%{] (?:(?:page_)?url \')?([\w-]+)', tag)
            if asked == "request":  # the page polls its own URL
                assert "X-Redeliver-Poll" in tag, template
            else:
                polled.add(asked)
    # The lists' variables hold the URLs of such names.
    assert {"live_url", "redeliverable_live_url"} <= polled
    assert [name for name in polled if not (name.endswith(("-live", "live_url")) or name in POLLED)] == []
    named = {one.name for one in get_resolver().url_patterns if getattr(one, "name", None)}
    assert set(POLLED) <= named


# --- Second factors required by role ---------------------------------------------------------------------------------


@pytest.fixture
def _required(settings: Any) -> None:
    settings.MFA_REQUIRED_ROLES = ["support", "support_lead"]


@pytest.mark.usefixtures("_required")
def test_person_who_needs_a_second_factor_is_led_to_it_from_everywhere(ana: Client, endpoint: Endpoint) -> None:
    for path in ("/", "/installs/", f"/endpoints/{endpoint.pk}/", "/accounts/password/change/", "/accounts/sessions/"):
        assert ana.get(path)["Location"] == ACCOUNT, path
    page = ana.get(ACCOUNT).content.decode()
    assert "Set up a second factor to continue." in page


@pytest.mark.usefixtures("_required")
def test_person_who_needs_a_second_factor_is_led_to_it_by_htmx_too(ana: Client, endpoint: Endpoint) -> None:
    response = poll(ana, endpoint)
    assert (response.status_code, response["HX-Redirect"], response.content) == (200, ACCOUNT, b"")
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/"}
    pressed = ana.post(reverse("endpoint-enable", args=[endpoint.pk]), headers=headers)
    assert (pressed["HX-Redirect"], pressed.content) == (ACCOUNT, b"")


@pytest.mark.usefixtures("_required")
def test_person_who_needs_a_second_factor_can_do_nothing_else(
    ana: Client, endpoint: Endpoint, fake_opentrain: Any
) -> None:
    assert ana.post(reverse("endpoint-enable", args=[endpoint.pk]))["Location"] == ACCOUNT
    assert ana.post("/installs/connect/", {"token": "ot_ptk_1"})["Location"] == ACCOUNT
    assert ana.get("/deliveries/export/")["Location"] == ACCOUNT
    assert fake_opentrain.calls == []


@pytest.mark.usefixtures("_required")
def test_person_with_a_second_factor_comes_in(ana: Client, support: User) -> None:
    TOTP.activate(support, "JBSWY3DPEHPK3PXP")
    assert ana.get("/installs/").status_code == 200
    support.authenticator_set.all().delete()
    assert ana.get("/installs/")["Location"] == ACCOUNT


@pytest.mark.usefixtures("_required")
def test_recovery_codes_alone_are_no_second_factor(ana: Client, support: User) -> None:
    support.authenticator_set.create(type="recovery_codes", data={"seed": "", "used_mask": 0})
    assert ana.get("/installs/")["Location"] == ACCOUNT


@pytest.mark.usefixtures("_required")
def test_role_that_needs_none_comes_in_without(client: Client, partner_admin: User) -> None:
    client.force_login(partner_admin)
    assert client.get("/installs/").status_code == 200


@pytest.mark.usefixtures("_required")
def test_person_who_needs_a_second_factor_can_sign_out(ana: Client) -> None:
    assert ana.post(reverse("account_logout"))["Location"] == reverse("account_login")
    assert ana.get("/installs/")["Location"] == "/accounts/login/?next=/installs/"


def test_role_that_is_mistyped_stops_the_start(settings: Any) -> None:
    settings.MFA_REQUIRED_ROLES = ["support", "suport_lead"]
    with pytest.raises(ImproperlyConfigured, match=r"^MFA_REQUIRED_ROLES has unknown roles: suport_lead\.$"):
        SecondFactor(lambda _request: HttpResponse())
