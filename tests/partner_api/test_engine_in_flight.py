"""Changes of an endpoint or a delivery while its POST is in flight."""

import pytest

from dashboard.partner_api import auth, endpoints
from dashboard.partner_api.endpoints import Registered
from dashboard.partner_api.models import App, Attempt, Delivery, Endpoint, Install, Token
from tests.partner_api.conftest import THEN, Partner
from tests.partner_api.deeds import change, claim_all, deliver, emit, post_during, redeliver, states
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


def revoke(what: str) -> None:
    if what == "token":
        auth.revoke(token_id=Token.objects.get().pk, now=THEN)
    elif what == "install":
        Install.objects.update(status="REVOKED")
    else:
        App.objects.update(status="SUSPENDED")


@pytest.mark.parametrize("what", ["token", "install", "app"])
def test_what_is_revoked_between_claim_and_answer_changes_nothing_about_the_delivery(
    partner: Partner, hooked: Registered, receiver: Sink, what: str
) -> None:
    emit(partner)
    post_during(lambda: revoke(what), status=200)
    assert (states(), Attempt.objects.count()) == (["DELIVERED"], 1)


@pytest.mark.parametrize("what", ["token", "install", "app"])
def test_what_is_revoked_before_the_run_is_delivered_to_nevertheless(
    partner: Partner, hooked: Registered, receiver: Sink, what: str
) -> None:
    emit(partner)
    revoke(what)
    assert deliver().delivered == 1


def test_a_change_of_url_and_types_during_the_attempt_counts_from_the_next_one_on(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    """The attempt in flight counts as usual; the next one goes to the new URL, even if its type is dropped."""
    emit(partner)
    post_during(
        lambda: change(hooked.endpoint, url="https://new.example.com/", event_types=["milestone.funded"]), status=500
    )
    later = Delivery.objects.get().next_attempt_at
    assert later is not None
    assert [claim.url for claim in claim_all(now=later)] == ["https://new.example.com/"]


def test_an_answer_to_what_was_delivered_and_is_sent_again_leaves_it_delivered(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    """A redelivered delivery is PENDING until it is answered; a pause meanwhile changes nothing."""
    emit(partner)
    deliver()
    redeliver(hooked.endpoint, delivery_id=Delivery.objects.get().pk)
    assert states() == ["PENDING"]
    post_during(lambda: change(hooked.endpoint, status="DISABLED"), status=200)
    assert (states(), Attempt.objects.count()) == (["DELIVERED"], 2)
