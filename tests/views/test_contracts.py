"""A contract's page: what it shows, and to whom."""

import html
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from dashboard.models import Contract, ContractChange, Endpoint, Install, User
from dashboard.views import contracts
from tests.actions.reconciliation.sweeping import make_read
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_contract, make_delivery, make_endpoint, make_evidence, make_link
from tests.views.conftest import Browser, browser_of

HOSTILE = "<b>Label</b>\u202e images"


@pytest.fixture
def hook(acme: Install) -> Endpoint:
    return make_endpoint(
        install=acme,
        created_at=timezone.now() - timedelta(days=9),
        event_types=["contract.started", "contract.ended"],
        handler_url="https://acme.example/hook",
    )


@pytest.fixture
def contract(acme: Install, hook: Endpoint) -> Contract:
    link = make_link(install=acme, external_project_name=HOSTILE)
    return make_contract(install=acme, opentrain_id="con_1001", title=HOSTILE, link_ids=[link.opentrain_id])


def test_texts_from_outside_are_shown_as_text(contract: Contract, hook: Endpoint, ana: Browser) -> None:
    ContractChange.objects.create(
        install=contract.install, contract=contract, what="title", before=HOSTILE, after=HOSTILE,
        not_before=timezone.now(), seen_at=timezone.now(),
    )  # fmt: skip
    make_evidence(contract=contract, endpoint=hook, event_type="contract.started", last_cause=HOSTILE)
    page = ana.read(f"/contracts/{contract.pk}/")
    assert "<b>Label" not in page
    assert "&lt;b&gt;Label&lt;/b&gt;" in page
    assert "<title>&lt;b&gt;Label" in page


def test_times_of_a_change_are_in_the_readers_zone_and_a_title_is_as_opentrain_has_it(
    contract: Contract, ana: Browser, support: User
) -> None:
    support.time_zone = "Europe/Berlin"
    support.save(update_fields=["time_zone"])
    at, title = timezone.now(), "Labels, 14:00 UTC to 2026-06-12 18:00:00 UTC"
    for what, before, after in (("title", title, title), ("end_date", "", "2026-06-12 22:30:00 UTC")):
        ContractChange.objects.create(
            install=contract.install,
            contract=contract,
            what=what,
            before=before,
            after=after,
            not_before=at,
            seen_at=at,
        )
    page = ana.read(f"/contracts/{contract.pk}/")
    assert page.count(f">{title}<") == 2
    assert "2026-06-13 00:30:00 CEST" in page


def test_change_of_a_link_says_of_which(contract: Contract, ana: Browser) -> None:
    link, at = make_link(install=contract.install, opentrain_id="lnk_<i>7", job_id=contract.job_id), timezone.now()
    ContractChange.objects.create(install=contract.install, link=link, what="gone", not_before=at, seen_at=at)
    page = ana.read(f"/contracts/{contract.pk}/")
    assert "Gone" in page
    assert 'of link <code title="lnk_&lt;i&gt;7">' in page


def test_page_says_what_each_endpoint_took_with_the_delivery_and_its_evidence(
    contract: Contract, hook: Endpoint, ana: Browser
) -> None:
    delivery = make_delivery(endpoint=hook, opentrain_id="dlv_1001", resource_id="con_1001")
    make_evidence(contract=contract, endpoint=hook, event_type="contract.started", opentrain_id="dlv_1001")
    page = html.unescape(ana.read(f"/contracts/{contract.pk}/"))
    assert "The handler took contract.started" in page
    assert "No contract.ended is due: OpenTrain lists the contract as active." in page
    assert f'href="/deliveries/{delivery.pk}/"' in page
    assert "Copy summary" in page


def test_evidence_whose_delivery_is_gone_is_shown_with_its_id(contract: Contract, hook: Endpoint, ana: Browser) -> None:
    make_evidence(contract=contract, endpoint=hook, event_type="contract.started", opentrain_id="dlv_gone")
    page = ana.read(f"/contracts/{contract.pk}/")
    assert "dlv_gone" in page
    assert "no longer in the log" in page


def test_partner_admin_reads_of_their_own_handler(contract: Contract, hook: Endpoint, partner_admin: User) -> None:
    make_evidence(contract=contract, endpoint=hook, event_type="contract.started")
    assert "Your handler took contract.started" in browser_of(partner_admin).read(f"/contracts/{contract.pk}/")


def test_contract_of_an_install_without_endpoints_says_so(acme: Install, ana: Browser) -> None:
    page = ana.read(f"/contracts/{make_contract(install=acme).pk}/")
    assert "Redeliver knows of no webhook endpoint of this install." in page


def test_budget_is_read_when_asked_for_and_a_second_press_asks_nothing(
    fake_opentrain: FakeOpenTrain, ana: Browser
) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract_id = fake_opentrain.hire("job_1")
    fake_opentrain.fund(contract_id, hours=10)
    fake_opentrain.work(contract_id, hours=9)
    contract = make_contract(install=install, opentrain_id=contract_id)
    assert "not read" in ana.read(f"/contracts/{contract.pk}/")
    before = len(fake_opentrain.calls)
    for _ in range(2):
        page = ana.submit(f"/contracts/{contract.pk}/budget/")
    assert "LOW" in page
    assert len(fake_opentrain.calls) - before == 1


def test_budget_that_cannot_be_read_says_why(contract: Contract, fake_opentrain: FakeOpenTrain, ana: Browser) -> None:
    page = html.unescape(ana.submit(f"/contracts/{contract.pk}/budget/"))
    assert "Not known, because this token lacks contracts:read." in page


def test_viewer_cannot_read_the_budget(contract: Contract, viewer: User) -> None:
    vera = browser_of(viewer)
    assert "Read now" not in vera.read(f"/contracts/{contract.pk}/")
    assert vera.client.post(f"/contracts/{contract.pk}/budget/").status_code == 403


def test_poll_is_answered_with_304_while_nothing_has_changed(
    contract: Contract, ana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now().replace(second=10)
    clock = SimpleNamespace(now=lambda: now)
    monkeypatch.setattr(contracts, "timezone", clock)
    first = ana.client.get(f"/contracts/{contract.pk}/live/")
    clock.now = lambda: now.replace(second=40)
    again = ana.client.get(f"/contracts/{contract.pk}/live/", headers={"If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)


@pytest.mark.parametrize("what", ["", "live/"])
def test_contract_of_another_install_does_not_exist(what: str, contract: Contract, outsider: User) -> None:
    browser_of(outsider).read(f"/contracts/{contract.pk}/{what}", status=404)
