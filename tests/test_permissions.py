"""Every page and every button: closed to strangers, to people without a role, and to those of another install."""

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from dashboard.models import AlertChannel, Endpoint, Install, User
from dashboard.permissions import member_required
from dashboard.urls import urlpatterns
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_channel, make_delivery, make_endpoint, make_run, make_user

OPEN = {"receiver", "observations", "healthz", "readyz", "metrics"}
"""OpenTrain and handlers come in here, and show a signature or a key instead; probes are told nothing of customers."""
LISTS = ["delivery-list", "delivery-list-live", "delivery-list-export", "delivery-list-redeliver"]
LISTS += ["run-list", "run-list-live"]
PAGES = ["home", "inbox-live", "install-list", "install-list-live", "install-connect", *LISTS]
PAGES += ["search", "search-results", "help-keys"]
ALERTS = ["alert-list", "alert-list-live", "alert-channel-list", "alert-channel-create"]
PAGES += ALERTS
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
    ]


def test_every_address_of_the_console_is_in_these_tests() -> None:
    named = {pattern.name for pattern in urlpatterns if isinstance(pattern, URLPattern)}
    known = PAGES + OF_INSTALL + OF_ENDPOINT + BUTTONS_OF_ENDPOINT + OF_DELIVERY + BUTTONS_OF_DELIVERY
    known += OF_RUN + BUTTONS_OF_RUN + OF_CHANNEL + BUTTONS_OF_CHANNEL
    assert named - OPEN == {*known, "operation-progress"}


def test_every_view_is_guarded() -> None:
    guard = member_required(lambda _request: None).__code__
    views = {p.name: p.callback for p in urlpatterns if isinstance(p, URLPattern) and p.name not in OPEN}
    assert [name for name, view in views.items() if not wears(view, guard)] == []


def wears(view: object, guard: object) -> bool:
    while view is not None:
        if getattr(view, "__code__", None) is guard:
            return True
        view = getattr(view, "__wrapped__", None)
    return False


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


def test_button_without_its_csrf_token_does_nothing_and_says_why(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    response = client.post(reverse("endpoint-enable", args=[endpoint.pk]))
    assert response.status_code == 403
    assert "This page was open for too long" in response.content.decode()
    assert fake_opentrain.calls == []
