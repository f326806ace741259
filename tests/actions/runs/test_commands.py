"""Commands of users on runs: start, pause, stop and continue."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.actions.runs import commands, steps
from dashboard.models import AuditEntry, Endpoint, Run, RunItem, User
from tests.actions.runs.by_bits import attempt, go, make_failed, redeliver, redeliveries, states
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_failed_delivery

pytestmark = pytest.mark.django_db


def test_paused_run_asks_for_nothing_until_it_is_resumed(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    assert commands.pause(actor=support, run=run) is True
    assert go(run).why == "Paused by ana."
    assert redeliveries(fake_opentrain) == []
    assert commands.resume(actor=support, run=run) is True
    assert states(go(run)) == {"requested": 3}
    assert commands.resume(actor=support, run=run) is False


def test_cancelled_run_still_follows_what_it_asked_for_and_can_be_continued(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    with pytest.MonkeyPatch.context() as patch:
        original = steps._ask

        def ask_then_cancel(run: Run, item: RunItem, clock: steps.Clock) -> timedelta | None:
            wait = original(run, item, clock)
            commands.stop(actor=support, run=run, now=timezone.now())
            return wait

        patch.setattr(steps, "_ask", ask_then_cancel)
        go(run)
    run.refresh_from_db()
    assert (run.state, run.why, states(run)) == ("cancelled", "Cancelled by ana.", {"requested": 1, "waiting": 2})
    assert list(Run.objects.to_advance()) == [run]
    attempt(endpoint)
    assert steps.advance(run_id=run.pk, clock=timezone.now) is None
    assert states(run) == {"delivered": 1, "waiting": 2}
    assert list(Run.objects.to_advance()) == []
    again = commands.continue_run(actor=support, run=run, now=timezone.now(), operation=uuid.uuid4())
    assert states(go(again)) == {"requested": 2}
    assert again.chosen == f"deliveries not requested by run {run.pk} (all of them)"


def test_endpoint_has_one_active_run_and_a_form_sent_twice_is_one(endpoint: Endpoint, support: User) -> None:
    make_failed_delivery(endpoint=endpoint)
    operation = uuid.uuid4()
    one, same = (
        commands.start_recovery(actor=support, endpoint=endpoint, note="", now=timezone.now(), operation=operation)
        for _ in range(2)
    )
    assert one == same
    with pytest.raises(commands.AlreadyRunning) as raised:
        redeliver(endpoint, support)
    assert raised.value.run == one
    commands.stop(actor=support, run=one, now=timezone.now())
    assert redeliver(endpoint, support).pk != one.pk


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        ("n" * 301, "n" * 299 + "…"),
        ("n" * 300, "n" * 300),
        ("a whsec_c2VjcmV0", "a whsec_[secret]"),
    ],
)
def test_note_is_kept_as_far_as_its_column_can(endpoint: Endpoint, support: User, note: str, kept: str) -> None:
    operation = uuid.uuid4()
    commands.start_recovery(actor=support, endpoint=endpoint, note=note, now=timezone.now(), operation=operation)
    assert Run.objects.get().note == kept
    assert f" Note: “{kept}”" in AuditEntry.objects.get(action=commands.START).words
