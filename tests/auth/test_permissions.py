"""Roles: the table of permissions, and its effect on pages and messages. tests/matrix.py covers roles per URL."""

import re

import pytest
from django.conf import settings
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone

from dashboard.actions.runs import steps
from dashboard.auth.permissions import WHO_MAY
from dashboard.models import AlertChannel, AuditEntry, Endpoint, Install, Role, User
from tests.attacks.walking import addresses
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_channel,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_run,
    make_user,
)

CHANNEL_PAGES = ("edit", "delete", "test")


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


def test_table_says_who_may_do_what() -> None:
    """Repeats the table as people read it; docs/security.md shows the same."""
    assert {permission.value: [role.value for role in Role if role in who] for permission, who in WHO_MAY.items()} == {
        "see": ["support_lead", "support", "partner_admin", "viewer"],
        "operate": ["support_lead", "support", "partner_admin"],
        "manage_endpoints": ["support_lead", "support", "partner_admin"],
        "allow_handovers": ["partner_admin"],
        "manage_installs": ["support_lead", "support", "partner_admin"],
        "manage_channels": ["support_lead", "support", "partner_admin"],
        "manage_members": ["support_lead"],
    }


def test_docs_show_the_table() -> None:
    page = re.sub(r" +", " ", (settings.BASE_DIR / "docs/security.md").read_text())
    for permission, who in WHO_MAY.items():
        cells = " | ".join("yes" if role in who else "" for role in Role if role)
        words = f"{permission.words[0].upper()}{permission.words[1:]}"
        assert re.sub(r" +", " ", f"| {words} | {cells} |") in page


def test_stranger_is_sent_to_sign_in_and_back(endpoint: Endpoint, client: Client) -> None:
    response = client.get(reverse("endpoint-detail", args=[endpoint.pk]))
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next=/endpoints/{endpoint.pk}/")


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_form_of_who_was_signed_out_says_that_nothing_was_started(
    endpoint: Endpoint, client: Client, headers: dict[str, str]
) -> None:
    client.post(f"/endpoints/{endpoint.pk}/enable/", headers=headers)
    said = "Nothing was started: you were signed out. Sign in and try again."
    assert said in client.get("/accounts/login/").content.decode()
    assert said not in client.get("/accounts/login/").content.decode()


def test_stranger_polling_is_sent_to_sign_in_as_a_whole_page(endpoint: Endpoint, client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver/endpoints/{endpoint.pk}/"}
    response = client.get(reverse("endpoint-live", args=[endpoint.pk]), headers=headers)
    assert response["HX-Redirect"] == f"/accounts/login/?next=/endpoints/{endpoint.pk}/"
    assert response.content == b""


@pytest.mark.parametrize("name", ["endpoint-enable", "endpoint-redeliver", "rotation-start"])
def test_stranger_pressing_a_button_changes_nothing(
    name: str, endpoint: Endpoint, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    response = client.post(reverse(name, args=[endpoint.pk]))
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/")
    assert fake_opentrain.calls == []


def test_person_without_a_role_sees_whom_to_ask_and_nothing_else(endpoint: Endpoint, client: Client) -> None:
    client.force_login(make_user(role=""))
    guarded = [one.path for one in addresses(endpoint=endpoint) if hasattr(one.view, "permission")]
    for path in guarded:
        response = client.get(path)
        page = b"".join(response).decode()
        assert response.status_code in {403, 405}
        assert ("You have no access yet" in page) is (response.status_code == 403)
        assert "Acme Labs" not in page
    assert len(guarded) > 60


def test_outsiders_writes_reach_neither_opentrain_nor_what_is_kept(
    endpoint: Endpoint, outsider: User, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    client.force_login(outsider)
    channels = [make_channel(install=endpoint.install), make_channel(install=None)]
    of_channels = [reverse(f"alert-channel-{name}", args=[one.pk]) for one in channels for name in CHANNEL_PAGES]
    guarded = [one.path for one in addresses(endpoint=endpoint) if hasattr(one.view, "permission")]
    objects = [path for path in guarded if re.search(r"/[0-9]+/", path)]
    form = {"path": "receiver", "event_types": ["contract.started"], "confirmed": "yes"}
    before = AuditEntry.objects.count()
    assert {client.post(path, form).status_code for path in [*objects, *of_channels]} == {404, 405}
    assert (AuditEntry.objects.count(), AlertChannel.objects.count()) == (before, 3)
    assert fake_opentrain.calls == []


def test_outsider_does_not_see_another_install_in_the_list(acme: Install, outsider: User, client: Client) -> None:
    client.force_login(outsider)
    for name in ("home", "inbox-live", "install-list", "install-list-live"):
        page = client.get(reverse(name)).content.decode()
        assert "Other Data" in page
        assert "Acme Labs" not in page


def test_partner_admin_sees_the_install_that_was_granted(
    endpoint: Endpoint, partner_admin: User, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    client.force_login(partner_admin)
    assert "Acme Labs" in client.get(reverse("install-list")).content.decode()
    assert endpoint.url in client.get(reverse("endpoint-detail", args=[endpoint.pk])).content.decode()


def test_viewer_pressing_a_button_is_told_who_may_and_nothing_is_done(
    endpoint: Endpoint, viewer: User, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    client.force_login(viewer)
    response = client.post(reverse("endpoint-enable", args=[endpoint.pk]))
    page = response.content.decode()
    assert response.status_code == 403
    assert "Nothing changed. You are signed in as <strong><bdi>vera</bdi></strong>" in page
    assert "Only a partner admin of the install, support or a support lead can re-enable, redeliver and recover" in page
    assert fake_opentrain.calls == []


def test_viewer_pressing_a_button_by_htmx_is_told_so_in_place(endpoint: Endpoint, viewer: User, client: Client) -> None:
    client.force_login(viewer)
    response = client.post(reverse("endpoint-enable", args=[endpoint.pk]), headers={"HX-Request": "true"})
    part = response.content.decode()
    assert (response.status_code, response["X-Not-Allowed"], response["HX-Reswap"]) == (403, "shown", "innerHTML")
    assert "<strong>Nothing changed: your role does not allow this.</strong>" in part
    assert "<html" not in part


def test_viewer_pressing_a_button_of_another_install_finds_nothing(viewer: User, client: Client) -> None:
    client.force_login(viewer)
    other = make_endpoint()
    addresses = [
        reverse("endpoint-enable", args=[other.pk]),
        reverse("delivery-redeliver", args=[make_delivery(endpoint=other).pk]),
        reverse("run-command", args=[make_run(endpoint=other).pk, "stop"]),
        reverse("alert-channel-delete", args=[make_channel(install=other.install).pk]),
        reverse("endpoint-create", args=[other.install_id]),
        reverse("endpoint-enable", args=[0]),
    ]
    assert [client.post(address).status_code for address in addresses] == [404] * len(addresses)


def test_viewer_is_shown_no_button_that_does_anything(
    endpoint: Endpoint, viewer: User, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed_delivery(endpoint=endpoint)
    make_channel(install=endpoint.install)
    Endpoint.objects.update(status="DISABLED", consecutive_failures=10)
    client.force_login(viewer)
    harmless = {reverse("account_logout"), reverse("endpoint-doctor", args=[endpoint.pk])}
    shown = {}
    for path in [one.path for one in addresses(endpoint=endpoint) if hasattr(one.view, "permission")]:
        response = client.get(path)
        if response.status_code == 200 and not response.streaming:
            shown[path] = set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"#?]*)', response.content.decode()))
            shown[path] |= {
                link for link in re.findall(r'href="(/[^"#?]*)', response.content.decode()) if forbidden(link)
            }
    assert len(shown) > 20
    assert {path: found - harmless for path, found in shown.items() if found - harmless} == {}


def forbidden(link: str) -> bool:
    """Return whether a page links to a URL that a viewer may not open."""
    needed = None if link.startswith("/static/") else getattr(resolve(link).func, "permission", None)
    return needed is not None and Role.VIEWER not in WHO_MAY[needed]


def test_run_whose_starter_is_made_a_viewer_stops(partner_admin: User, endpoint: Endpoint) -> None:
    run = make_run(endpoint=endpoint, actor=partner_admin, state="running", step="probe", ended_at=None)
    User.objects.update(role="viewer")
    steps.advance(run_id=run.pk, clock=timezone.now)
    run.refresh_from_db()
    assert (run.state, run.why) == ("stopped", "ana no longer has permission to act on this endpoint.")


def test_button_without_its_csrf_token_does_nothing_and_says_why(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    response = client.post(reverse("endpoint-enable", args=[endpoint.pk]))
    assert response.status_code == 403
    assert "This page has expired" in response.content.decode()
    assert fake_opentrain.calls == []
