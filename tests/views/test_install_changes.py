"""The pages behind an install's menu."""

import uuid
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import AuditEntry, Endpoint, Install, User
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint, make_failed_delivery, make_install
from tests.views.conftest import Browser, browser_of
from tests.views.test_endpoints import words_of


def page_of(install: Install, name: str = "detail") -> str:
    return reverse(f"install-{name}", args=[install.pk])


def test_install_is_renamed_and_its_page_says_so(ana: Browser, acme: Install) -> None:
    assert page_of(acme, "rename") in ana.read(page_of(acme))
    assert f'value="{acme.name}"' in ana.read(page_of(acme, "rename"))
    form = {"name": " Acme & Sons ", "operation": str(uuid.uuid4())}
    for _ in range(2):
        page = ana.submit(page_of(acme, "rename"), **form)
        assert "<h1><bdi>Acme &amp; Sons</bdi></h1>" in page
        assert "The install is called “Acme &amp; Sons” now. It was called “Acme Labs” before." in words_of(page)


def test_name_that_nobody_can_read_is_refused_and_kept_in_the_form(ana: Browser, acme: Install) -> None:
    answer = ana.client.post(page_of(acme, "rename"), {"name": "\u00e4\u202eb"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Nothing was saved. Fix the error below." in page
    assert "Remove ⟨U+202E⟩" in page
    acme.refresh_from_db()
    assert acme.name == "Acme Labs"


def test_viewer_is_offered_no_change(acme: Install, viewer: User) -> None:
    vera = browser_of(viewer)
    assert page_of(acme, "rename") not in vera.read(page_of(acme))
    vera.read(page_of(acme, "rename"), status=403)
    vera.read(page_of(make_install(), "rename"), status=404)


@pytest.fixture
def left(acme: Install) -> Endpoint:
    """An endpoint that was disabled when its install was disconnected."""
    endpoint = make_endpoint(
        install=acme, receiver_key=None, url="https://acme.example.com/hook", status="DISABLED",
        consecutive_failures=10, disabled_at=timezone.now(), disabled_reason="10 consecutive failures",
    )  # fmt: skip
    make_failed_delivery(endpoint=endpoint, first_received_at=timezone.now())
    Install.objects.filter(pk=acme.pk).update(
        disconnected_at=timezone.now() - timedelta(hours=2), disconnected_by_name="ana", token_scopes=[]
    )
    return endpoint


def test_page_says_what_disconnecting_does_before_it_is_done(ana: Browser, acme: Install, settings: object) -> None:
    settings.RETENTION_DAYS = 30
    assert page_of(acme, "disconnect") in ana.read(page_of(acme))
    text = words_of(ana.read(page_of(acme, "disconnect")))
    for said in (
        "Redeliver stops reading and changing it at OpenTrain",
        "Redeliver erases its token.",
        "Its endpoints stay at OpenTrain and deliver as before.",
        "Its delivery log stays until retention deletes it, after 30 days, and members of the install keep seeing it.",
        "To reconnect, paste a token of the same install",
    ):
        assert said in text
    form = {"operation": str(uuid.uuid4())}
    for _ in range(2):
        page = words_of(ana.submit(page_of(acme, "disconnect"), **form))
        assert "Disconnected. Redeliver has erased its token" in page
        assert "Disconnected by ana at" in page
    assert AuditEntry.objects.filter(action="disconnect install").count() == 1
    assert ana.client.get(page_of(acme, "disconnect")).status_code == 302


def test_endpoints_behind_the_receiver_are_listed_with_what_to_do(ana: Browser, acme: Install) -> None:
    behind = make_endpoint(install=acme, handler_url="https://acme.example.com/hook")
    page = ana.read(page_of(acme, "disconnect"))
    assert "Disconnect this install" not in page
    assert reverse("endpoint-bypass", args=[behind.pk]) in page
    assert reverse("endpoint-delete", args=[behind.pk]) in page
    answer = ana.client.post(page_of(acme, "disconnect"), {"operation": str(uuid.uuid4())})
    assert answer.status_code == 422
    assert "This install can't be disconnected yet" in words_of(answer.content.decode())
    acme.refresh_from_db()
    assert not acme.is_disconnected


def test_pages_of_a_disconnected_install_say_so_and_offer_nothing_else(ana: Browser, left: Endpoint) -> None:
    for path in (page_of(left.install), reverse("endpoint-detail", args=[left.pk])):
        page = ana.read(path)
        text = words_of(page)
        assert "Disconnected by ana at" in text
        assert "Connect again…" in text
        for wrong in ("Re-enable", "Recover…", "lacks webhooks:manage", "Register an endpoint", "are stopped"):
            assert wrong not in text, (path, wrong)
    delivery = left.deliveries.get()
    page = words_of(ana.read(reverse("delivery-detail", args=[delivery.pk])))
    assert "Redeliver this delivery" not in page
    assert "Disconnected by ana at" in page


def test_lists_and_the_inbox_leave_it_out(ana: Browser, left: Endpoint) -> None:
    make_install(name="Beta")
    inbox = words_of(ana.read(reverse("home")))
    assert "Acme Labs" not in inbox
    assert "All clear" in inbox or "Beta" in inbox
    listed = ana.read(reverse("install-list"))
    assert page_of(left.install) not in listed
    for query in ("?show=disconnected", "?q=Acme"):
        text = words_of(ana.read(reverse("install-list") + query))
        assert "Acme Labs" in text
        assert "Disconnected" in text
        assert "Missing scope" not in text
    found = words_of(ana.read(f"{reverse('search')}?q=acme"))
    assert "Disconnected" in found


def test_last_install_that_was_disconnected_is_not_taken_for_none(left: Endpoint, ana: Browser, viewer: User) -> None:
    for browser in (ana, browser_of(viewer)):
        for path in (reverse("home"), reverse("install-list")):
            page = browser.read(path)
            assert "No installs yet" not in page
            assert "You don't have access to any installs yet" not in words_of(page)
            assert "Your install is disconnected" in words_of(page)
            assert f"{reverse('install-list')}?show=disconnected" in page
        assert page_of(left.install) in browser.read(f"{reverse('install-list')}?show=disconnected")


@pytest.mark.usefixtures("_worker")
def test_inbox_that_is_all_clear_says_of_what_nothing_is_known(left: Endpoint, ana: Browser) -> None:
    make_endpoint(install=make_install(name="Beta"))
    said = words_of(ana.read(reverse("home")))
    assert "1 install is disconnected, so nothing is known of its endpoints." in said


def test_connecting_it_again_is_a_form_that_says_so(ana: Browser, left: Endpoint) -> None:
    page = words_of(ana.read(f"{reverse('install-connect')}?install={left.install_id}"))
    assert "Connect Acme Labs again" in page
    assert "Replace the token" not in page


def test_button_of_a_page_from_before_is_refused_with_the_reason(
    ana: Browser, left: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    said = ana.press(reverse("endpoint-enable", args=[left.pk]), operation=str(uuid.uuid4()))
    assert "Nothing was requested: Acme Labs is disconnected from Redeliver. Connect it again first." in said
    assert fake_opentrain.calls == []


def test_viewer_keeps_seeing_the_log(left: Endpoint, viewer: User) -> None:
    vera = browser_of(viewer)
    assert "Disconnected by ana at" in words_of(vera.read(page_of(left.install)))
    assert vera.read(reverse("delivery-detail", args=[left.deliveries.get().pk]))
    vera.read(page_of(left.install, "disconnect"), status=403)
