"""Steps of a recovery: from the probe to the end, and each reason to stop early."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.actions.runs import steps as run_steps
from dashboard.models import AuditEntry, Delivery, Endpoint, Run, RunItem, User
from dashboard.rules.causes import Cause
from dashboard.services import handler
from dashboard.services.opentrain import OutcomeUnknown
from dashboard.views import receiver
from tests.actions.runs.by_bits import REPAIR, attempt, go, recover, redeliveries, states, steps
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery

pytestmark = pytest.mark.django_db


def test_recovery_waits_for_the_probed_handler_as_long_as_for_a_delivery(
    broken: Callable[..., Endpoint], support: User, probe: SimpleNamespace
) -> None:
    go(recover(broken(failed=1, unseen=0), support))
    assert probe.waited_s == receiver.DEADLINE_S == 9.5


def test_recovery_goes_from_probe_to_done(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=12, unseen=0)
    run = go(recover(endpoint, support))
    newest = endpoint.deliveries.order_by("-first_received_at").first()
    assert (run.step, states(run)) == ("canary", {"requested": 1, "waiting": 11})
    assert redeliveries(fake_opentrain) == [newest.opentrain_id]
    assert (
        fake_opentrain.get_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id).status == "ACTIVE"
    )

    attempt(endpoint)
    run = go(run)
    assert (run.step, states(run)) == ("rest", {"delivered": 1, "requested": 4, "waiting": 7})
    attempt(endpoint)
    run = go(run)
    assert (run.step, states(run)) == ("watch", {"delivered": 5, "requested": 7})
    assert run.counts["requested"] == 7
    attempt(endpoint)
    run = go(run)
    assert (run.state, run.why[:22]) == ("done", "12 of 12 delivered in ")
    assert [name for name, _, _ in steps(run)] == ["probe", "enable", "canary", "rest", "others", "watch"]
    assert steps(run)[0] == ("probe", True, "The handler responds (405 in 31 ms).")
    assert steps(run)[2] == ("canary", True, f"contract.started …{newest.opentrain_id[-8:]}: delivered.")
    assert steps(run)[3] == ("rest", True, "All 11 requested again.")  # without the canary
    assert steps(run)[4] == ("others", True, "OpenTrain has no other failed deliveries.")
    assert run.quoted.startswith("Requeued deliveries will be attempted")
    assert len(redeliveries(fake_opentrain)) == len(set(redeliveries(fake_opentrain))) == 13
    assert AuditEntry.objects.filter(action=endpoints.IN_A_RUN, phase="done").count() == 12


def test_recovery_brings_back_what_an_auto_disable_gave_up_before_it_came(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=1, unseen=2)
    run = go(recover(endpoint, support))
    attempt(endpoint)
    run = go(run)
    assert (run.step, run.others) == ("watch", 2)
    before = timezone.now() - timedelta(hours=1)
    for _ in range(2):
        make_delivery(
            endpoint=endpoint, event_created_at=before, first_received_at=timezone.now(), last_attempt_at=timezone.now()
        )
    make_delivery(
        endpoint=endpoint,
        event_created_at=timezone.now(),
        first_received_at=timezone.now(),
        last_attempt_at=timezone.now(),
    )
    run = go(run)
    assert (run.state, run.why[:20]) == ("done", "3 of 3 delivered in ")
    assert states(run) == {"delivered": 3}


def test_recovery_of_an_endpoint_without_known_deliveries_asks_for_all_failed(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    run = go(recover(broken(failed=0, unseen=2), support))
    assert redeliveries(fake_opentrain) == [None]
    assert (run.step, steps(run)[2][2]) == ("watch", "No failed delivery is known that could be sent first.")
    Run.objects.update(others_asked_at=timezone.now() - timedelta(minutes=7))
    run = go(run)
    assert run.state == "done"
    assert run.why.endswith("2 more that OpenTrain requeued did not reach Redeliver in time.")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 503}, "The handler returned 503."),
        (
            {"error": handler.HandlerFailed(cause=Cause.REFUSED, words="The handler: the connection was refused.")},
            "The handler: the connection was refused.",
        ),
    ],
)
def test_recovery_changes_nothing_while_the_handler_does_not_answer(
    broken: Callable[..., Endpoint],
    support: User,
    fake_opentrain: FakeOpenTrain,
    probe: SimpleNamespace,
    answer: dict[str, Any],
    words: str,
) -> None:
    vars(probe).update(answer)
    run = go(recover(broken(failed=2), support))
    assert (run.state, run.why) == (
        "stopped",
        f"{words} Nothing changed. Repair the handler, then start again.",
    )
    assert steps(run) == [("probe", False, run.why)]
    assert "update_endpoint" not in [call.operation for call in fake_opentrain.calls]


def test_recovery_stops_when_the_first_delivery_fails_again(broken: Callable[..., Endpoint], support: User) -> None:
    endpoint = broken(failed=412)
    run = go(recover(endpoint, support))
    attempt(endpoint, ok=False)
    run = go(run)
    assert (run.state, run.why) == (
        "stopped",
        f"The first delivery failed again: handler returned 503. Endpoint left active, 411 not requested. {REPAIR}",
    )


def test_recovery_stops_when_three_of_the_first_five_fail_again(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=412)
    run = go(recover(endpoint, support))
    attempt(endpoint)
    run = go(run)
    attempt(endpoint, ok=False)
    run = go(run)
    assert (run.state, run.why) == (
        "stopped",
        f"4 of the first 5 failed again (handler returned 503). Endpoint left active, 407 not requested. {REPAIR}",
    )
    assert len(redeliveries(fake_opentrain)) == 5


def test_recovery_stops_when_the_first_delivery_is_not_seen(broken: Callable[..., Endpoint], support: User) -> None:
    run = go(recover(broken(failed=2), support))
    RunItem.objects.filter(state="requested").update(asked_at=timezone.now() - timedelta(minutes=7))
    run = go(run)
    assert run.state == "stopped"
    assert "did not reach Redeliver in time. Endpoint left active, 1 not requested." in run.why


def test_recovery_stops_when_opentrain_disables_the_endpoint_again(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=2)
    run = go(recover(endpoint, support))
    fake_opentrain.disable(endpoint.opentrain_id, "503")
    sync.refresh(install=endpoint.install, now=timezone.now())
    run = go(run)
    assert (run.state, run.why) == (
        "stopped",
        "OpenTrain disabled the endpoint again. OpenTrain gives the reason: 503",
    )


def test_recovery_whose_re_enabling_had_no_answer_looks_before_it_asks_again(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=1)
    run = recover(endpoint, support)
    run_steps.advance(run_id=run.pk, clock=timezone.now)
    real, tries = fake_opentrain.update_endpoint, []

    def taken_but_unanswered(**arguments: Any) -> None:
        tries.append(1)
        real(**arguments)
        raise OutcomeUnknown("No answer.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync.opentrain, "update_endpoint", taken_but_unanswered)
        assert run_steps.advance(run_id=run.pk, clock=timezone.now) == timedelta(seconds=5)
        Run.objects.update(not_before=timezone.now())
        run = go(run)
    assert (run.step, tries) == ("canary", [1])


def test_recovery_whose_first_delivery_is_of_unknown_outcome_goes_on_when_it_arrives(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=2)
    run = recover(endpoint, support)
    for _ in range(2):
        run_steps.advance(run_id=run.pk, clock=timezone.now)
    fake_opentrain.fail_next(OutcomeUnknown("No answer."))
    assert run_steps.advance(run_id=run.pk, clock=timezone.now) == timedelta(seconds=5)
    Run.objects.update(not_before=timezone.now())
    run = go(run)
    assert (run.step, states(run)) == ("canary", {"unknown": 1, "waiting": 1})
    canary = run.items.get(position=0)
    Delivery.objects.filter(pk=canary.delivery_id).update(last_ok=True, last_cause="", last_attempt_at=timezone.now())
    run = go(run)
    assert (run.step, states(run)) == ("watch", {"delivered": 1, "requested": 1})


def test_recovery_does_not_ask_for_all_when_something_failed_again(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=6, unseen=3)
    run = go(recover(endpoint, support))
    attempt(endpoint)
    run = go(run)
    attempt(endpoint, ok=False, most=1)
    attempt(endpoint)
    run = go(run)
    assert (run.step, None in redeliveries(fake_opentrain)) == ("watch", False)
    assert steps(run)[4][2].startswith("OpenTrain may have others that never reached Redeliver. Not requested")
