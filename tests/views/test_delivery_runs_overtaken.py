"""The preview of a bulk redelivery leaves out what is overtaken, says why, and takes it only with its own box."""

import uuid

import pytest
from django.core import signing
from django.urls import reverse

from dashboard.models import Delivery, Endpoint, Run, User
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_contract,
    make_failed_delivery,
)
from tests.views.conftest import Browser
from tests.views.test_delivery_runs import of_endpoint, words_of
from tests.views.test_delivery_runs_starting import seen_on


@pytest.fixture
def overtaken(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> Delivery:
    """Of two failed deliveries, the one whose contract has ended."""
    ended, _other = (
        make_failed_delivery(endpoint=endpoint, opentrain_id=opentrain_id)
        for opentrain_id in fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=2)
    )
    make_contract(install=endpoint.install, opentrain_id=ended.resource_id, status="ended")
    return ended


@pytest.mark.parametrize("name", ["delivery-list", "install-deliveries", "endpoint-deliveries"])
def test_preview_leaves_overtaken_ones_out_and_says_why(ana: Browser, overtaken: Delivery, name: str) -> None:
    endpoint = overtaken.endpoint
    args = {"install-deliveries": [endpoint.install_id], "endpoint-deliveries": [endpoint.pk]}.get(name, [])
    page = ana.read(f"{reverse(f'{name}-redeliver', args=args)}?state=failed")
    text = words_of(page)
    assert "Redeliver 1 delivery" in text
    assert "1 is left out: a later event of the same resource has overtaken it." in text
    assert "OpenTrain lists this contract as ended; redelivering contract.started may give access back." in text
    assert "Redeliver the overtaken one too: the handler gets it after the later event, and may undo that." in text
    assert f'href="{reverse("delivery-detail", args=[overtaken.pk])}"' in page


@pytest.mark.parametrize(
    ("form", "state", "said"), [({}, "left_out", "left out"), ({"overtaken": "1"}, "waiting", "included")]
)
def test_overtaken_ones_are_redelivered_only_if_their_box_is_checked(
    ana: Browser, overtaken: Delivery, form: dict[str, str], state: str, said: str
) -> None:
    page = of_endpoint(overtaken.endpoint, "state=failed")
    text = words_of(ana.submit(page, seen=seen_on(ana.read(page)), **form))
    run = Run.objects.get()
    item = run.items.get(delivery=overtaken)
    assert (item.state, item.is_overtaken) == (state, True)
    assert run.chosen.endswith(f"; 1 {said}: overtaken by a later event of the same resource")
    assert "since the preview" not in text


def test_delivery_that_is_overtaken_since_the_preview_is_left_out_even_if_the_box_is_checked(
    ana: Browser, overtaken: Delivery
) -> None:
    page = of_endpoint(overtaken.endpoint, "state=failed")
    seen = seen_on(ana.read(page))
    other = Delivery.objects.exclude(pk=overtaken.pk).get()
    make_contract(install=overtaken.endpoint.install, opentrain_id=other.resource_id, status="ended")
    text = words_of(ana.submit(page, seen=seen, overtaken="1"))
    assert dict(Run.objects.get().items.values_list("delivery", "state")) == {
        overtaken.pk: "waiting",
        other.pk: "left_out",
    }
    assert "1 delivery is left out: delivered, requeued, overtaken or removed since the preview." in text


def test_overtaken_ones_alone_need_their_box(ana: Browser, overtaken: Delivery) -> None:
    Delivery.objects.exclude(pk=overtaken.pk).delete()
    page = of_endpoint(overtaken.endpoint, "state=failed")
    seen = seen_on(ana.read(page))
    response = ana.client.post(page, {"seen": seen})
    assert response.status_code == 422
    assert "Nothing is chosen, so nothing was started." in response.content.decode()
    assert not Run.objects.exists()
    ana.submit(page, seen=seen, overtaken="1")
    assert Run.objects.get().items.get().state == "waiting"


def test_one_call_is_offered_only_where_nothing_is_overtaken(ana: Browser, overtaken: Delivery) -> None:
    page = of_endpoint(overtaken.endpoint, "state=failed")
    shown = ana.read(page)
    why = "1 failed delivery is overtaken by later events, and one call requests it too"
    assert f"One by one, because {why}." in words_of(shown)
    assert 'name="how"' not in shown
    ana.submit(page, seen=seen_on(shown), how="one-call")  # the field is not believed
    assert Run.objects.get().one_call is False
    Run.objects.all().delete()
    overtaken.delete()
    assert 'value="one-call"' in ana.read(page)


def test_preview_of_the_release_before_can_be_confirmed(ana: Browser, overtaken: Delivery, support: User) -> None:
    """It was shown while the upgrade went on, and does not name the overtaken ones."""
    page, other = of_endpoint(overtaken.endpoint), Delivery.objects.exclude(pk=overtaken.pk).get()
    seen = {"ids": [overtaken.pk, other.pk], "words": "all", "delivered": False, "all_failed": True}
    signed = signing.dumps(seen | {"operation": uuid.uuid4().hex}, salt=f"redeliver-{support.pk}", compress=True)
    ana.submit(page, seen=signed, how="one-call")
    run = Run.objects.get()
    assert (run.one_call, run.items.get(delivery=overtaken).state) == (False, "left_out")
