"""Endpoints that were moved or created anew outside Redeliver: what the pages say, and the repairs that they offer."""

import uuid
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.alerts import watch
from dashboard.actions.installs import sync
from dashboard.models import Alert, AuditEntry, Delivery, Endpoint, EndpointWrite, RefusedAttempt, User
from dashboard.services.opentrain import OutcomeUnknown
from dashboard.vault import Secret
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint
from tests.receiver.delivering import delivered
from tests.views.conftest import Browser, browser_of
from tests.views.test_endpoints import words_of as escaped_words_of

ELSEWHERE = "https://acme.example.com/elsewhere"


def page_of(endpoint: Endpoint, name: str = "endpoint-detail") -> str:
    return reverse(name, args=[endpoint.pk])


def words_of(page: str) -> str:
    return unescape(escaped_words_of(page))


def refresh(endpoint: Endpoint) -> None:
    assert sync.refresh(install=endpoint.install, now=timezone.now()) is None


def deliver(key: str, secret: Secret, delivery: str = "dlv_1") -> int:
    """POST one delivery to the receiver, as OpenTrain does; return the status."""
    return delivered(key, secret=secret.reveal(), X_OpenTrain_Delivery=delivery).status_code


@pytest.fixture
def moved(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> Endpoint:
    """The endpoint after someone changed its URL at OpenTrain."""
    token, opentrain_id = endpoint.install.token, endpoint.opentrain_id
    fake_opentrain.update_endpoint(token=token, endpoint_id=opentrain_id, url=ELSEWHERE)
    refresh(endpoint)
    endpoint.refresh_from_db()
    return endpoint


@pytest.fixture
def remade(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> tuple[Endpoint, Endpoint, Secret]:
    """The endpoint that someone deleted at OpenTrain, the one created there with its URL, and the new one's secret."""
    Endpoint.objects.filter(pk=endpoint.pk).update(handler_url="")
    token = endpoint.install.token
    fake_opentrain.delete_endpoint(token=token, endpoint_id=endpoint.opentrain_id)
    made = fake_opentrain.create_endpoint(token=token, url=endpoint.url, event_types=["contract.started"])
    EndpointWrite.objects.all().delete()  # it was registered long ago
    refresh(endpoint)
    endpoint.refresh_from_db()
    return endpoint, Endpoint.objects.get(opentrain_id=made.endpoint.id), made.secret


# --- Moved to another URL ---------------------------------------------------------------------------------------------


def test_moved_endpoint_is_no_longer_called_received(ana: Browser, moved: Endpoint) -> None:
    text = words_of(ana.read(page_of(moved)))
    assert "This endpoint's URL was changed outside Redeliver." in text
    assert f"OpenTrain delivers to {ELSEWHERE}, and Redeliver does not see these deliveries." in text
    assert "https://acme.example.com/hook gets nothing through Redeliver." in text
    assert "ended: OpenTrain delivers to another URL" in text
    assert "Redeliver's receiver: https" not in text
    assert "Forwards to the handler" not in text
    listed = words_of(ana.read(page_of(moved.install, "install-detail")))
    assert moved.title in listed.replace("/ ", "/")
    assert "moved outside Redeliver: directly to its own URL" in listed
    assert "received through Redeliver" not in listed


def test_moved_endpoint_is_edited_at_opentrain_and_rotated_where_it_is(
    ana: Browser, moved: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    assert f'value="{ELSEWHERE}"' in ana.read(page_of(moved, "endpoint-edit"))
    ana.client.post(page_of(moved, "rotation-start"), {"operation": str(uuid.uuid4())})
    assert fake_opentrain.calls[-1].arguments["url"] == ELSEWHERE


def test_moved_endpoint_is_delivered_through_redeliver_again(
    ana: Browser, moved: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    door = f"https://redeliver.example.com/hooks/{moved.receiver_key}/"
    assert "Deliver through Redeliver again?" in ana.read(page_of(moved, "endpoint-point-back"))
    form = {"operation": str(uuid.uuid4())}
    text = words_of(ana.submit(page_of(moved, "endpoint-point-back"), **form))
    assert "OpenTrain delivers to Redeliver's receiver again, which forwards to https://acme.example.com/hook." in text
    assert "changed outside" not in text
    assert fake_opentrain.calls[-1].arguments == {"endpoint_id": moved.opentrain_id, "url": door}
    calls = len(fake_opentrain.calls)
    text = words_of(ana.submit(page_of(moved, "endpoint-point-back"), operation=str(uuid.uuid4())))
    assert "Nothing changed: OpenTrain delivers to Redeliver's receiver." in text
    assert len(fake_opentrain.calls) == calls
    Endpoint.objects.filter(pk=moved.pk).update(handler_url="")
    secret = Endpoint.objects.get(pk=moved.pk).secret
    assert secret is not None
    assert deliver(str(moved.receiver_key), secret) == 200  # the secret stayed the same


def test_list_that_still_shows_the_address_from_before_is_not_believed(
    ana: Browser, moved: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """The list lags behind the change for some seconds."""
    ana.submit(page_of(moved, "endpoint-point-back"), operation=str(uuid.uuid4()))
    token = moved.install.token
    fake_opentrain.update_endpoint(token=token, endpoint_id=moved.opentrain_id, url=ELSEWHERE)
    refresh(moved)
    moved.refresh_from_db()
    assert not moved.is_moved


def test_point_back_without_an_answer_says_so(ana: Browser, moved: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s. Check the endpoint."))
    page = ana.client.post(page_of(moved, "endpoint-point-back"), {"operation": str(uuid.uuid4())}).content.decode()
    assert "OpenTrain did not answer within 15 s." in words_of(page)
    moved.refresh_from_db()
    assert moved.url == ELSEWHERE


def test_endpoint_that_was_not_moved_is_not_pointed_anywhere(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    assert ana.client.get(page_of(endpoint, "endpoint-point-back"))["Location"] == page_of(endpoint)
    calls = len(fake_opentrain.calls)
    ana.submit(page_of(endpoint, "endpoint-point-back"), operation=str(uuid.uuid4()))
    direct = make_endpoint(install=endpoint.install, receiver_key=None, secret=None, url=ELSEWHERE)
    assert ana.client.post(page_of(direct, "endpoint-point-back"), {"operation": ""}).status_code == 404
    assert len(fake_opentrain.calls) == calls


# --- Created anew at the receiver's address ---------------------------------------------------------------------------


def test_remade_endpoint_is_explained_where_its_deliveries_are_refused(
    ana: Browser, remade: tuple[Endpoint, Endpoint, Secret]
) -> None:
    old, new, secret = remade
    for number in range(3):
        assert deliver(str(old.receiver_key), secret, f"dlv_{number}") == 401
    assert set(RefusedAttempt.objects.values_list("endpoint_id", "reason")) == {(new.pk, "mismatch")}
    text = words_of(ana.read(page_of(new)))
    assert (
        "This endpoint was created outside Redeliver at the receiver address of an endpoint that was deleted." in text
    )
    assert "so it refuses the deliveries (401). Enter the secret that OpenTrain showed" in text
    assert "unavailable: Redeliver refuses this endpoint's deliveries" in text
    assert "directly to" not in text
    assert (
        "Redeliver does not know its signing secret. Enter the secret on the endpoint's page." in text
    )  # each refusal
    watch.watch(now=timezone.now())
    assert Alert.objects.get().endpoint_id == new.pk  # not the deleted one, which no alert is about
    assert "which refuses its deliveries (401)" in words_of(ana.read(reverse("home")))
    listed = words_of(ana.read(page_of(new.install, "install-detail")))
    assert "set up outside Redeliver at an address of the receiver, which refuses its deliveries" in listed


def test_entered_secret_lets_the_deliveries_in(ana: Browser, remade: tuple[Endpoint, Endpoint, Secret]) -> None:
    old, new, secret = remade
    key = str(old.receiver_key)
    path = page_of(new, "endpoint-secret")
    assert 'type="password" name="secret"' in ana.read(path)
    text = words_of(ana.submit(path, operation=str(uuid.uuid4()), secret=secret.reveal()))
    assert "A signing secret was entered. Redeliver verifies this endpoint's deliveries with it." in text
    assert "created outside" not in text
    assert secret.reveal() not in text
    assert deliver(key, secret) == 200
    assert Delivery.objects.get().endpoint_id == new.pk
    assert "Redeliver's receiver:" in words_of(ana.read(page_of(new)))
    assert words_of(ana.read(page_of(old)))  # the deleted one keeps its page and its log


def test_wrong_secret_is_said_and_can_be_entered_again(ana: Browser, remade: tuple[Endpoint, Endpoint, Secret]) -> None:
    old, new, secret = remade
    key, path = str(old.receiver_key), page_of(new, "endpoint-secret")
    ana.submit(path, operation=str(uuid.uuid4()), secret="whsec_" + "wrong" * 8)
    assert deliver(key, secret) == 401
    text = words_of(ana.read(page_of(new)))
    assert "Requests arrived, and none has passed the signature check yet." in text
    assert "Enter signing secret…" in text
    ana.submit(path, operation=str(uuid.uuid4()), secret=secret.reveal())
    assert deliver(key, secret) == 200
    assert "none has passed" not in words_of(ana.read(page_of(new)))
    refused = words_of(ana.client.post(path, {"secret": secret.reveal()}).content.decode())
    assert "Redeliver verifies this endpoint's deliveries already. Nothing changed." in refused


@pytest.mark.parametrize("pasted", ["", "ot_ptk_" + "a" * 40, "whsec_", "whsec_a b", "whsec_ünlesbar"])
def test_what_is_no_signing_secret_is_refused_and_never_shown(
    ana: Browser, remade: tuple[Endpoint, Endpoint, Secret], pasted: str
) -> None:
    _old, new, _secret = remade
    response = ana.client.post(page_of(new, "endpoint-secret"), {"secret": pasted})
    assert response.status_code == 422
    assert not pasted or f'value="{pasted}"' not in response.content.decode()
    assert not AuditEntry.objects.filter(action="enter signing secret").exists()


def test_viewer_reads_what_is_wrong_and_enters_nothing(remade: tuple[Endpoint, Endpoint, Secret], viewer: User) -> None:
    _old, new, secret = remade
    Endpoint.objects.filter(pk=new.pk).update(install=viewer.grants.get().install)
    browser = browser_of(viewer)
    text = words_of(browser.read(page_of(new)))
    assert "Enter signing secret…" not in text
    assert browser.client.post(page_of(new, "endpoint-secret"), {"secret": secret.reveal()}).status_code == 403


def test_rotation_of_a_remade_endpoint_gets_an_address_of_its_own(
    ana: Browser, remade: tuple[Endpoint, Endpoint, Secret], fake_opentrain: FakeOpenTrain
) -> None:
    old, new, _secret = remade
    Endpoint.objects.filter(pk=old.pk).update(handler_url="https://acme.example.com/hook")
    ana.client.post(page_of(new, "rotation-start"), {"operation": str(uuid.uuid4())})
    made = Endpoint.objects.order_by("-pk")[0]
    assert made.receiver_key not in {None, old.receiver_key}
    assert (made.handler_url, made.is_received) == ("https://acme.example.com/hook", True)
    assert fake_opentrain.calls[-1].arguments["url"] == made.url


def test_request_to_the_address_of_a_deleted_endpoint_alone_is_its_own(endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=timezone.now())
    assert deliver(str(endpoint.receiver_key), Secret("whsec_" + "x" * 32)) == 401
    assert RefusedAttempt.objects.get().endpoint_id == endpoint.pk


def test_second_endpoint_at_an_address_that_is_in_use_is_told_of_it(ana: Browser, endpoint: Endpoint) -> None:
    other = make_endpoint(install=endpoint.install, url=endpoint.url, receiver_key=None, secret=None)
    text = words_of(ana.read(page_of(other)))
    assert "to the receiver address of another endpoint, acme.example.com/hook." in text
    assert deliver(str(endpoint.receiver_key), Secret("whsec_" + "x" * 32)) == 401
    assert RefusedAttempt.objects.get().endpoint_id == endpoint.pk  # whose it was cannot be known


# --- The answer with the secret was lost ------------------------------------------------------------------------------


def test_endpoint_whose_secret_was_lost_says_so_and_records_what_it_refuses(ana: Browser, endpoint: Endpoint) -> None:
    since = timezone.now() - timedelta(minutes=2)
    Endpoint.objects.filter(pk=endpoint.pk).update(secret=None, registering_since=since)
    assert deliver(str(endpoint.receiver_key), Secret("whsec_" + "x" * 32)) == 503
    assert RefusedAttempt.objects.get().reason == "no_secret"
    text = words_of(ana.read(page_of(endpoint)))
    assert "its answer with the signing secret did not arrive" in text
    assert "Redeliver does not know the signing secret of this endpoint. Rotate it on the endpoint's page." in text


def test_secrets_of_both_urls_of_a_moved_endpoint_are_shown_nowhere(
    ana: Browser, endpoint: Endpoint, moved: Endpoint
) -> None:
    Endpoint.objects.filter(pk=moved.pk).update(
        url=f"{ELSEWHERE}?token=s3cr3t", handler_url="https://h.example.com/in?api_key=s3cr3t"
    )
    own = [
        page_of(moved, name) for name in ("endpoint-detail", "endpoint-point-back", "endpoint-edit", "endpoint-pause")
    ]
    for path in own:
        page = ana.read(path)
        assert ("s3cr3t" in page, "[redacted]" in page) == (False, True), path
    assert "s3cr3t" not in ana.read(reverse("install-detail", args=[moved.install_id]))
