"""What happens to an endpoint or a delivery while its POST is under way."""

import pytest

from dashboard.partner_api import endpoints
from dashboard.partner_api.endpoints import Registered
from dashboard.partner_api.models import Attempt, Delivery, Endpoint
from tests.partner_api.conftest import THEN, Partner
from tests.partner_api.deeds import claim_all, deliver, emit, post_during, redeliver
from tests.partner_api.sink import Sink


@pytest.mark.parametrize("status", [200, 500])
def test_a_requeue_during_the_attempt_is_honoured_after_it(
    partner: Partner, hooked: Registered, receiver: Sink, status: int
) -> None:
    emit(partner)
    delivery = Delivery.objects.get()

    def requeue() -> None:
        redeliver(hooked.endpoint, delivery_id=delivery.pk)
        assert claim_all() == []

    post_during(requeue, status=status)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries, delivery.attempts) == ("PENDING", 0, 1)
    assert deliver().delivered == 1


@pytest.mark.parametrize(("status", "expected"), [(200, "DELIVERED"), (500, "FAILED")])
def test_an_answer_after_the_automatic_disabling_settles_only_its_delivery(
    partner: Partner, hooked: Registered, receiver: Sink, status: int, expected: str
) -> None:
    emit(partner)

    def disable() -> None:
        Endpoint.objects.update(
            status="DISABLED", disabled_at=THEN, disabled_reason="Ten failures.", consecutive_failures=10
        )
        Delivery.objects.update(status="FAILED", next_attempt_at=None)

    post_during(disable, status=status)
    endpoint, delivery = Endpoint.objects.get(), Delivery.objects.get()
    assert (delivery.status, delivery.claimed_by) == (expected, None)
    assert (endpoint.consecutive_failures, endpoint.disabled_reason) == (10, "Ten failures.")


def test_an_endpoint_deleted_during_the_attempt_leaves_nothing(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    emit(partner)
    post_during(
        lambda: endpoints.delete(install_id=partner.install_id, endpoint_id=hooked.endpoint.pk),
        status=200,
    )
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)
