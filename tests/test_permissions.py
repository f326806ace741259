"""Every page and every button: closed to strangers, to people without a role, and to those of another install."""

import re

import pytest
from django.test import Client
from django.urls import URLPattern, resolve, reverse

from dashboard.actions import run_steps
from dashboard.models import AlertChannel, Endpoint, Install, Role, User
from dashboard.permissions import WHO_MAY
from dashboard.urls import urlpatterns
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_channel,
    make_delivery,
    make_endpoint,
    make_entry,
    make_failed_delivery,
    make_run,
    make_user,
)

OPEN = {"receiver", "observations", "healthz", "readyz", "metrics"}
"""OpenTrain and handlers come in here, and show a signature or a key instead; probes are told nothing of customers."""
LISTS = ["delivery-list", "delivery-list-live", "delivery-list-export", "delivery-list-redeliver"]
LISTS += ["run-list", "run-list-live"]
PAGES = ["home", "inbox-live", "install-list", "install-list-live", "install-connect", *LISTS]
PAGES += ["search", "search-results", "help-keys"]
ALERTS = ["alert-list", "alert-list-live", "alert-channel-list", "alert-channel-create"]
PAGES += ALERTS
PAGES += ["activity", "activity-live", "activity-export"]
OF_ENTRY = ["activity-detail"]
OF_CHANNEL = ["alert-channel-edit", "alert-channel-delete"]
BUTTONS_OF_CHANNEL = ["alert-channel-test"]
LISTS_OF_INSTALL = ["install-deliveries", "install-deliveries-live", "install-deliveries-export"]
LISTS_OF_INSTALL += ["install-deliveries-redeliver"]
OF_INSTALL = ["install-detail", "install-live", "endpoint-create", *LISTS_OF_INSTALL]
LISTS_OF_ENDPOINT = ["endpoint-deliveries", "endpoint-deliveries-live", "endpoint-deliveries-export"]
LISTS_OF_ENDPOINT += ["endpoint-deliveries-redeliver"]
RUNS_OF_ENDPOINT = ["endpoint-recover"]
CHANGES_OF_ENDPOINT = ["endpoint-edit", "endpoint-pause", "endpoint-delete"]
OF_ENDPOINT = [
    "endpoint-detail",
    "endpoint-live",
    "endpoint-doctor",
    *LISTS_OF_ENDPOINT,
    *RUNS_OF_ENDPOINT,
    *CHANGES_OF_ENDPOINT,
    "rotation-detail",
    "rotation-live",
    "endpoint-over-time",
    "observation-key",
]
BUTTONS_OF_ENDPOINT = ["endpoint-enable", "endpoint-redeliver", "demo-handler"]
BUTTONS_OF_ENDPOINT += ["rotation-start", "rotation-continue", "rotation-finish", "rotation-abort"]
BUTTONS_OF_ENDPOINT += ["observation-key-revoke"]
OF_DELIVERY = ["delivery-detail", "delivery-live", "delivery-attempts", "delivery-attempts-live"]
BUTTONS_OF_DELIVERY = ["delivery-redeliver"]
OF_RUN = ["run-detail", "run-live"]
BUTTONS_OF_RUN = ["run-command"]
METHODS = ["get", "post", "put", "patch", "delete", "head", "options"]


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


def addresses(endpoint: Endpoint) -> list[str]:
    """Return every address that shows or changes something of an install."""
    delivery = make_delivery(endpoint=endpoint)
    run = make_run(endpoint=endpoint)
    channel = make_channel(install=endpoint.install)
    return [
        *(reverse(name, args=[channel.pk]) for name in OF_CHANNEL + BUTTONS_OF_CHANNEL),
        *(reverse(name, args=[endpoint.install_id]) for name in OF_INSTALL),
        *(reverse(name, args=[endpoint.pk]) for name in OF_ENDPOINT + BUTTONS_OF_ENDPOINT),
        *(reverse(name, args=[delivery.pk]) for name in OF_DELIVERY + BUTTONS_OF_DELIVERY),
        *(reverse(name, args=[run.pk]) for name in OF_RUN),
        *(reverse(name, args=[run.pk, "stop"]) for name in BUTTONS_OF_RUN),
        *(reverse(name, args=[make_entry(endpoint=endpoint).pk]) for name in OF_ENTRY),
    ]


def test_every_address_of_the_console_is_in_these_tests() -> None:
    named = {pattern.name for pattern in urlpatterns if isinstance(pattern, URLPattern)}
    known = PAGES + OF_INSTALL + OF_ENDPOINT + BUTTONS_OF_ENDPOINT + OF_DELIVERY + BUTTONS_OF_DELIVERY
    known += OF_RUN + BUTTONS_OF_RUN + OF_CHANNEL + BUTTONS_OF_CHANNEL + OF_ENTRY
    assert named - OPEN == {*known, "operation-progress"}


def test_every_view_is_guarded() -> None:
    views = {p.name: p.callback for p in urlpatterns if isinstance(p, URLPattern) and p.name not in OPEN}
    assert [name for name, view in views.items() if getattr(view, "permission", None) not in WHO_MAY] == []


def test_stranger_is_sent_to_sign_in_and_back(endpoint: Endpoint, client: Client) -> None:
    response = client.get(reverse("endpoint-detail", args=[endpoint.pk]))
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next=/endpoints/{endpoint.pk}/")


def test_stranger_polling_is_sent_to_sign_in_as_a_whole_page(endpoint: Endpoint, client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver/endpoints/{endpoint.pk}/"}
    response = client.get(reverse("endpoint-live", args=[endpoint.pk]), headers=headers)
    assert response["HX-Redirect"] == f"/accounts/login/?next=/endpoints/{endpoint.pk}/"
    assert response.content == b""


@pytest.mark.parametrize("name", BUTTONS_OF_ENDPOINT)
def test_stranger_pressing_a_button_changes_nothing(
    name: str, endpoint: Endpoint, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    response = client.post(reverse(name, args=[endpoint.pk]))
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/")
    assert fake_opentrain.calls == []


def test_person_without_a_role_sees_whom_to_ask_and_nothing_else(endpoint: Endpoint, client: Client) -> None:
    client.force_login(make_user(role=""))
    for path in [reverse(name) for name in PAGES] + [reverse(name, args=[endpoint.pk]) for name in OF_ENDPOINT]:
        response = client.get(path)
        page = response.content.decode()
        assert response.status_code == 403
        assert "You have no access yet" in page
        assert "Acme Labs" not in page


@pytest.mark.parametrize("method", METHODS)
def test_outsider_finds_nothing_of_another_install(
    method: str, endpoint: Endpoint, outsider: User, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    client.force_login(outsider)
    for path in addresses(endpoint):
        status = getattr(client, method)(path).status_code
        assert status in {404, 405}, path
    assert fake_opentrain.calls == []


def test_outsider_gets_404_by_every_method_that_a_page_takes(
    endpoint: Endpoint, outsider: User, client: Client, fake_opentrain: FakeOpenTrain
) -> None:
    client.force_login(outsider)
    delivery = make_delivery(endpoint=endpoint)
    for name in OF_INSTALL:
        assert client.get(reverse(name, args=[endpoint.install_id])).status_code == 404
    for name in OF_ENDPOINT:
        assert client.get(reverse(name, args=[endpoint.pk])).status_code == 404
    for name in OF_DELIVERY:
        assert client.get(reverse(name, args=[delivery.pk])).status_code == 404
    run = make_run(endpoint=endpoint)
    for name in OF_RUN:
        assert client.get(reverse(name, args=[run.pk])).status_code == 404
    for name in BUTTONS_OF_RUN:
        assert client.post(reverse(name, args=[run.pk, "stop"])).status_code == 404
    for name in [*BUTTONS_OF_ENDPOINT, *RUNS_OF_ENDPOINT, "observation-key"]:
        assert client.post(reverse(name, args=[endpoint.pk])).status_code == 404
    for name in BUTTONS_OF_DELIVERY:
        assert client.post(reverse(name, args=[delivery.pk])).status_code == 404
    for channel in (make_channel(install=endpoint.install), make_channel(install=None)):
        for name in OF_CHANNEL:
            assert client.get(reverse(name, args=[channel.pk])).status_code == 404
            assert client.post(reverse(name, args=[channel.pk])).status_code == 404
        assert client.post(reverse("alert-channel-test", args=[channel.pk])).status_code == 404
    assert AlertChannel.objects.count() == 2
    form = {"path": "receiver", "event_types": ["contract.started"]}
    assert client.post(reverse("endpoint-create", args=[endpoint.install_id]), form).status_code == 404
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
    assert "Nothing was done. You are signed in as <strong><bdi>vera</bdi></strong>" in page
    assert "To re-enable, redeliver and recover takes a partner admin of the install, support or a support lead" in page
    assert fake_opentrain.calls == []


def test_viewer_pressing_a_button_by_htmx_is_told_so_in_place(endpoint: Endpoint, viewer: User, client: Client) -> None:
    client.force_login(viewer)
    response = client.post(reverse("endpoint-enable", args=[endpoint.pk]), headers={"HX-Request": "true"})
    part = response.content.decode()
    assert (response.status_code, response["X-Not-Allowed"], response["HX-Reswap"]) == (403, "shown", "innerHTML")
    assert "<strong>Nothing was done: your role does not allow this.</strong>" in part
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
    for path in [*(reverse(name) for name in PAGES), *addresses(endpoint)]:
        response = client.get(path)
        if response.status_code == 200 and not response.streaming:
            shown[path] = set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"#?]*)', response.content.decode()))
            shown[path] |= {
                link for link in re.findall(r'href="(/[^"#?]*)', response.content.decode()) if forbidden(link)
            }
    assert len(shown) > 20
    assert {path: found - harmless for path, found in shown.items() if found - harmless} == {}


def forbidden(link: str) -> bool:
    """Tell whether a page leads a viewer to where they may not go."""
    needed = None if link.startswith("/static/") else getattr(resolve(link).func, "permission", None)
    return needed is not None and Role.VIEWER not in WHO_MAY[needed]


def test_run_whose_starter_is_made_a_viewer_stops(partner_admin: User, endpoint: Endpoint) -> None:
    run = make_run(endpoint=endpoint, actor=partner_admin, state="running", step="probe", ended_at=None)
    User.objects.update(role="viewer")
    run_steps.advance(run_id=run.pk)
    run.refresh_from_db()
    assert (run.state, run.why) == ("stopped", "ana may no longer act on this endpoint.")


def test_button_without_its_csrf_token_does_nothing_and_says_why(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    response = client.post(reverse("endpoint-enable", args=[endpoint.pk]))
    assert response.status_code == 403
    assert "This page was open for too long" in response.content.decode()
    assert fake_opentrain.calls == []
