"""Announcements: who gets which event, with which payload, and events that are lost."""

import random

import pytest
from django.db import OperationalError

from dashboard.partner_api import announcements, events, installs
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.models import Delivery, Event, Install
from tests.partner_api.conftest import (
    THEN,
    Partner,
    bodies_of,
    hire,
    make_endpoint,
    make_job,
    make_link,
    make_partner,
)
from tests.partner_api.test_links import wire


def test_a_contract_is_announced_once_for_each_link_with_that_link(partner: Partner) -> None:
    job = make_job(partner)
    one, other = (make_link(partner, job=job, project=project) for project in ("1", "2"))
    make_link(partner, job=make_job(partner), project="3")
    make_endpoint(partner)
    announcer = Announcer()
    contract = hire(job, announcer=announcer)
    found = bodies_of("contract.started")
    assert [body["data"]["projectLink"] for body in found] == sorted(
        [wire(one), wire(other)], key=lambda link: link["id"]
    )
    assert found[0]["data"]["contract"] == {
        "id": contract.pk,
        "status": "active",
        "title": "Traffic signs - annotation",
        "startDate": "2026-06-12T10:00:00.000Z",
        "endDate": None,
    }
    assert found[0]["data"]["freelancer"] == {
        "opentrainUserId": "usr_maria",
        "displayName": "Maria G.",
        "country": "Spain",
        "profileUrl": "https://app.opentrain.ai/profile/maria-g",
        "workEmail": "maria.g@opentrain.work",
    }
    assert {(body["resourceId"], body["jobId"]) for body in found} == {(contract.pk, job.pk)}
    assert [each.deliveries for each in announcer.emitted] == [1, 1]
    assert Delivery.objects.count() == 2


def test_a_contract_without_a_link_is_announced_to_nobody_and_not_later(partner: Partner) -> None:
    job = make_job(partner)
    hire(job)
    make_link(partner, job=job)
    assert bodies_of("contract.started") == []


def test_every_active_install_of_the_employer_hears_of_its_own_links(partner: Partner) -> None:
    job = make_job(partner)
    granted = installs.create(organization="Acme Labs", app_name="Other", scopes=["contracts:read"], now=THEN)
    gone = installs.create(organization="Acme Labs", app_name="Third", scopes=["contracts:read"], now=THEN)
    for install_id in (partner.install_id, granted.install_id, gone.install_id):
        make_link(Partner(install_id=install_id, token=""), job=job)
    Install.objects.filter(pk=gone.install_id).update(status="REVOKED")
    hire(job)
    heard = dict(Event.objects.filter(type="contract.started").values_list("install_id", "body"))
    assert set(heard) == {partner.install_id, granted.install_id}
    assert b"workEmail" in bytes(heard[partner.install_id])
    assert b"workEmail" not in bytes(heard[granted.install_id])


def test_a_contract_without_a_trainer_has_no_freelancer(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    hire(job, trainers=())
    assert [body["data"]["freelancer"] for body in bodies_of("contract.started")] == [None]


def test_a_budget_is_announced_once_to_an_install_with_two_links(partner: Partner) -> None:
    from tests.partner_api.test_contracts import fund  # noqa: PLC0415 - its fixtures are not for here

    job = make_job(partner)
    for project in ("1", "2"):
        make_link(partner, job=job, project=project)
    fund(hire(job))
    assert len(bodies_of("milestone.funded")) == 1


def test_a_revocation_carries_the_install(partner: Partner) -> None:
    Announcer().announce(announcements.of_revocation(partner.install), now=THEN)
    [body] = bodies_of("install.revoked")
    assert (body["resourceId"], body["jobId"]) == (partner.install_id, None)
    assert body["data"] == {"install": {"id": partner.install_id}}


@pytest.mark.parametrize(("lose", "kept"), [(0.0, 40), (0.5, 15), (1.0, 0)])
def test_events_are_lost_with_the_given_probability(db: None, lose: float, kept: int) -> None:
    partner = make_partner()
    job = make_job(partner)
    make_link(partner, job=job)
    announcer = Announcer(lose=lose, chance=random.Random(7))  # noqa: S311 - no secret
    for _ in range(40):
        hire(job, announcer=announcer)
    assert (len(announcer.emitted), announcer.lost) == (kept, ["contract.started"] * (40 - kept))
    assert len(bodies_of("contract.started")) == kept


def test_a_failure_of_the_database_costs_the_event_and_not_the_change(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(partner)
    make_link(partner, job=job)

    def fail(**_: object) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr(events, "emit", fail)
    announcer = Announcer()
    contract = hire(job, announcer=announcer)
    contract.refresh_from_db()
    assert (contract.status, announcer.emitted, announcer.lost) == ("active", [], ["contract.started"])
    assert f"contract.started of {contract.pk} is lost" in caplog.text


def test_a_failure_while_reading_whom_to_tell_costs_the_events_and_not_the_change(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(partner)
    make_link(partner, job=job)

    def fail(_contract: object) -> None:
        raise OperationalError("the connection is gone")

    monkeypatch.setattr(announcements, "_links_to", fail)
    contract = hire(job)
    contract.refresh_from_db()
    assert (contract.status, bodies_of("contract.started")) == ("active", [])
    assert "Events are lost" in caplog.text
