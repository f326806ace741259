"""Evidence and findings: each once, kept when the delivery goes, and gone with their contract."""

import pytest
from django.db import IntegrityError, transaction

from dashboard.models import Delivery, Evidence, Finding
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_finding,
    make_grant,
    make_user,
)

pytestmark = pytest.mark.django_db


def test_delivery_is_evidence_once_and_outlives_its_row() -> None:
    contract = make_contract()
    endpoint = make_endpoint(install=contract.install)
    delivery = make_delivery(endpoint=endpoint, opentrain_id="dlv_1")
    make_evidence(contract=contract, endpoint=endpoint, opentrain_id="dlv_1")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_evidence(contract=contract, endpoint=endpoint, opentrain_id="dlv_1")
    delivery.delete()
    assert (Delivery.objects.count(), Evidence.objects.count()) == (0, 1)
    contract.delete()
    assert not Evidence.objects.exists()


def test_event_of_a_contract_has_one_finding_at_an_endpoint() -> None:
    finding = make_finding(contract=make_contract())
    with pytest.raises(IntegrityError), transaction.atomic():
        make_finding(contract=finding.contract, endpoint=finding.endpoint)
    make_finding(contract=finding.contract)  # at another endpoint
    Finding.objects.filter(pk=finding.pk).update(closed_at=NOON)
    assert finding not in Finding.objects.open()
    assert Finding.objects.open().count() == 1


def test_finding_is_visible_to_those_who_see_its_install() -> None:
    finding = make_finding(contract=make_contract())
    admin, other = make_user(role="partner_admin"), make_user(role="partner_admin")
    make_grant(user=admin, install=finding.install)
    assert list(Finding.objects.visible_to(admin)) == [finding]
    assert not Finding.objects.visible_to(other).exists()
