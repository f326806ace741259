"""What a redelivery shows until all its deliveries have arrived: what it counts, and what it does not."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_attempt, make_delivery, make_failed_delivery
from tests.views.conftest import Browser
from tests.views.test_operations import OPERATION, enable_of, page_of, redeliver_of


def test_redeliver_quotes_opentrain_and_counts_what_arrives(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    ana.press(enable_of(disabled))
    partial = ana.press(redeliver_of(disabled), operation=OPERATION)
    assert "3 requeued: the 2 that were failed here, and 1 that only OpenTrain had as failed." in partial
    assert "<q>Requeued deliveries will be attempted on the next delivery run (within ~5 minutes).</q>" in partial
    assert "Results appear here as they arrive: <strong>0 of 3</strong>." in partial

    again = reverse("operation-progress", args=[OPERATION])
    assert f'hx-get="{again}"' in partial
    one, two = Delivery.objects.order_by("pk")
    arrive(one, ok=True)
    assert "<strong>1 of 3</strong>, 1 delivered." in ana.read(again)
    arrive(two, ok=False)
    assert "<strong>2 of 3</strong>, 1 delivered, 1 failed again." in ana.read(again)


def test_progress_ends_when_all_arrived(ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    ana.press(enable_of(disabled))
    ana.press(redeliver_of(disabled), operation=OPERATION)
    make_failed_delivery(endpoint=disabled)  # the third one that OpenTrain has as failed
    for delivery in Delivery.objects.all():
        arrive(delivery, ok=True)
    partial = ana.read(reverse("operation-progress", args=[OPERATION]))
    assert "All 3 arrived and were delivered." in partial
    assert "hx-get" not in partial


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(minutes=5), timedelta(hours=-1)])
@pytest.mark.parametrize("enabled_first", [True, False])
def test_progress_counts_what_was_failed_before_it_was_ever_attempted(
    enabled_first: bool, ahead: timedelta, ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """By OpenTrain's own clock: its event is from before the auto-disable, whatever ours says."""
    disabled_at = timezone.now() + ahead
    Endpoint.objects.update(disabled_at=disabled_at, auto_disabled_at=disabled_at, disable_learned_at=timezone.now())
    fake_opentrain._change(disabled.opentrain_id, disabled_at=disabled_at)
    if enabled_first:
        ana.press(enable_of(disabled))
    ana.press(redeliver_of(disabled), operation=OPERATION)
    if not enabled_first:
        ana.press(enable_of(disabled))
    later = timezone.now()
    for event_created_at in (disabled_at, disabled_at + timedelta(seconds=1)):  # the second one is a new event
        make_delivery(
            endpoint=disabled, event_created_at=event_created_at, first_received_at=later, last_attempt_at=later
        )
    assert "<strong>1 of 3</strong>, 1 delivered." in ana.read(reverse("operation-progress", args=[OPERATION]))


def test_progress_at_an_active_endpoint_counts_what_is_too_old_to_be_a_first_attempt(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=2)
    assert "2 requeued, none of which is failed here." in ana.press(redeliver_of(endpoint), operation=OPERATION)
    now = timezone.now()
    for age in (schedule().retry_span + timedelta(minutes=1), timedelta(minutes=1)):
        make_delivery(endpoint=endpoint, event_created_at=now - age, first_received_at=now, last_attempt_at=now)
    assert "<strong>1 of 2</strong>, 1 delivered." in ana.read(reverse("operation-progress", args=[OPERATION]))


def arrive(delivery: Delivery, *, ok: bool) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        requested_at=None, last_attempt_at=timezone.now(), last_ok=ok, attempts_in_round=1
    )


def requeues(fake: FakeOpenTrain, number: int) -> None:
    """Let the next redelivery answer that it requeued this number."""
    fake.change_answer(lambda answer: replace(answer, requeued=number), operation="redeliver")


def test_redeliver_that_requeues_fewer_than_failed_here_marks_none_and_says_so(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed_delivery(endpoint=disabled)
    ana.press(enable_of(disabled))
    requeues(fake_opentrain, 1)
    partial = ana.press(redeliver_of(disabled), operation=OPERATION)
    said = "OpenTrain requeued 1; 3 are failed here, and it does not say which. Each changes when its attempt arrives."
    assert said in partial
    assert "outcome-unknown" in partial
    assert "<strong>0 of 1</strong>" in partial
    page = ana.read(f"{page_of(disabled)}?operation={OPERATION}")
    assert said in page
    assert "Redeliver all failed (3)" in page
    assert "requested again" not in page
    arrive(Delivery.objects.order_by("pk")[1], ok=True)
    assert "It arrived and was delivered." in ana.read(reverse("operation-progress", args=[OPERATION]))


def test_redeliver_that_requeues_nothing_follows_nothing(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    requeues(fake_opentrain, 0)
    partial = ana.press(redeliver_of(disabled), operation=OPERATION)
    assert "OpenTrain requeued nothing; 2 are failed here, and stay failed." in partial
    assert "outcome-unavailable" in partial
    assert "arrive" not in partial
    ana.read(reverse("operation-progress", args=[OPERATION]), status=404)


def test_automatic_retry_is_no_requeued_delivery_that_arrived(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """Of two attempts since the request, one continues the round that was under way, and one begins its own."""
    retried = make_delivery(endpoint=disabled, last_ok=False, attempt_count=2, attempts_in_round=2)
    again = Delivery.objects.order_by("pk")[0]
    ana.press(enable_of(disabled))
    ana.press(redeliver_of(disabled), operation=OPERATION)
    for delivery, number, in_round in ((retried, 3, 3), (again, 6, 1), (again, 7, 2)):
        make_attempt(delivery=delivery, number=number, received_at=timezone.now(), ok=False)
        Delivery.objects.filter(pk=delivery.pk).update(
            requested_at=None, last_attempt_at=timezone.now(), attempt_count=number, attempts_in_round=in_round
        )
    words = ana.read(reverse("operation-progress", args=[OPERATION]))
    assert "<strong>1 of 3</strong>, 0 delivered, 1 failed again." in words


def test_progress_is_for_those_who_see_the_endpoint(ana: Browser, disabled: Endpoint, outsider) -> None:
    ana.press(redeliver_of(disabled), operation=OPERATION)
    ana.client.force_login(outsider)
    ana.read(reverse("operation-progress", args=[OPERATION]), status=404)


def test_answer_to_something_else_says_that_the_deliveries_shown_were_requested_before(
    ana: Browser, disabled: Endpoint
) -> None:
    assert "requeued before" not in ana.press(redeliver_of(disabled))
    assert "<p>3 deliveries were requeued before this.</p>" in ana.press(enable_of(disabled))
