"""A failed delivery that a later event has overtaken: its page says so, and a redelivery asks first."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Delivery, Endpoint
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_failed_delivery
from tests.views.conftest import Browser
from tests.views.test_deliveries import redeliver_of
from tests.views.test_endpoints import OPERATION


@pytest.fixture
def overtaken(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> Delivery:
    """A failed contract.started whose contract.ended was taken 3 minutes ago."""
    now = timezone.now()
    (opentrain_id,) = fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=1)
    make_delivery(
        endpoint=endpoint,
        event_type="contract.ended",
        resource_id="con_7",
        event_created_at=now,
        last_attempt_at=now - timedelta(minutes=3, seconds=1),
    )
    return make_failed_delivery(
        endpoint=endpoint,
        opentrain_id=opentrain_id,
        resource_id="con_7",
        event_created_at=now - timedelta(hours=1),
    )


WHY = "contract.ended of this contract was taken 3 min ago; redelivering contract.started may give access back."


def anyway_of(delivery: Delivery) -> str:
    return reverse("delivery-redeliver-anyway", args=[delivery.pk])


def redelivered(fake: FakeOpenTrain) -> int:
    return [call.operation for call in fake.calls].count("redeliver")


def test_overtaken_delivery_says_so_and_leads_to_a_question(ana: Browser, overtaken: Delivery) -> None:
    page = ana.read(reverse("delivery-detail", args=[overtaken.pk]))
    assert WHY in page
    assert f'href="{anyway_of(overtaken)}"' in page
    assert f'action="{redeliver_of(overtaken)}"' not in page


def test_overtaken_delivery_is_redelivered_only_after_a_question(
    ana: Browser, overtaken: Delivery, fake_opentrain: FakeOpenTrain
) -> None:
    """The button was drawn before the later event arrived. The question needs no JavaScript."""
    page = ana.submit(redeliver_of(overtaken), operation=OPERATION)
    assert "Redeliver this delivery?" in page
    assert WHY in page
    assert redelivered(fake_opentrain) == 0
    assert 'name="anyway" value="1"' in page
    assert "1 requeued." in ana.submit(redeliver_of(overtaken), operation=OPERATION, anyway="1")
    assert redelivered(fake_opentrain) == 1


def test_overtaken_delivery_by_htmx_leads_to_the_question_too(
    ana: Browser, overtaken: Delivery, fake_opentrain: FakeOpenTrain
) -> None:
    response = ana.client.post(redeliver_of(overtaken), {"operation": OPERATION}, headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Redirect"]) == (200, anyway_of(overtaken))
    assert redelivered(fake_opentrain) == 0


def test_question_about_a_delivery_that_is_not_overtaken_leads_back(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_failed_delivery(endpoint=endpoint)
    response = ana.client.get(anyway_of(delivery))
    assert (response.status_code, response["Location"]) == (302, reverse("delivery-detail", args=[delivery.pk]))
