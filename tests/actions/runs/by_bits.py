"""Runs advanced step by step, as a worker does, against the fake OpenTrain; writes the log as the receiver would."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from dashboard.actions.runs import commands
from dashboard.actions.runs import steps as run_steps
from dashboard.models import Delivery, Endpoint, Run, User
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_failed_delivery

REPAIR = "Repair the handler, then start again."


def make_failed(endpoint: Endpoint, fake: FakeOpenTrain, count: int) -> None:
    for number, opentrain_id in enumerate(fake.add_deliveries(endpoint.opentrain_id, failed=count)):
        at = timezone.now() - timedelta(hours=2) + timedelta(seconds=number)
        make_failed_delivery(endpoint=endpoint, opentrain_id=opentrain_id, first_received_at=at, last_attempt_at=at)


def recover(endpoint: Endpoint, actor: User, **options: Any) -> Run:
    return commands.start_recovery(
        actor=actor, endpoint=endpoint, note="ticket 7", now=timezone.now(), operation=uuid.uuid4(), **options
    )


def redeliver(endpoint: Endpoint, actor: User, **changes: Any) -> Run:
    given = {"deliveries": endpoint.deliveries.all(), "filter_text": "all of them", "note": "", **changes}
    return commands.start_bulk(actor=actor, endpoint=endpoint, now=timezone.now(), operation=uuid.uuid4(), **given)


def go(run: Run, *, bits: int = 30) -> Run:
    """Advance the run as a worker does, up to `bits` times, until it has to wait."""
    for _ in range(bits):
        if run_steps.advance(run_id=run.pk, clock=timezone.now) != timedelta():
            break
    return Run.objects.get(pk=run.pk)


def attempt(endpoint: Endpoint, *, ok: bool = True, most: int = 1000) -> int:
    """Simulate a delivery run: attempt up to `most` requested deliveries, with this outcome; return their number."""
    now = timezone.now()
    asked = Delivery.objects.filter(endpoint=endpoint, requested_at__isnull=False).order_by("pk").values("pk")[:most]
    facts = {"last_ok": True, "last_status": 200, "last_cause": ""}
    facts = facts if ok else {"last_ok": False, "last_status": 503, "last_cause": "status"}
    return Delivery.objects.filter(pk__in=asked).update(
        requested_at=None, abandoned_at=None, last_attempt_at=now, attempts_in_round=1, **facts
    )


def requeues(fake: FakeOpenTrain, *numbers: int) -> None:
    """Let the next redeliveries answer that they requeued these numbers."""
    for number in numbers:
        fake.change_answer(lambda answer, number=number: replace(answer, requeued=number), operation="redeliver")


def states(run: Run) -> dict[str, int]:
    found: dict[str, int] = {}
    for state in run.items.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def redeliveries(fake: FakeOpenTrain) -> list[str | None]:
    return [call.arguments.get("delivery_id") for call in fake.calls if call.operation == "redeliver"]


def steps(run: Run) -> list[tuple[str, bool, str]]:
    return [(step.name, step.ok, step.words) for step in run.steps.all()]
