"""Steps of a recovery: from the probe to the end, and each reason to stop early."""

from collections.abc import Callable
from dataclasses import replace
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
from dashboard.rules.schedule import HANDLER_DEADLINE
from dashboard.rules.snapshots import LAG
from dashboard.services import handler
from dashboard.services.opentrain import OutcomeUnknown
from tests.actions.runs.by_bits import REPAIR, attempt, go, recover, redeliveries, requeues, states, steps
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_failed_delivery

pytestmark = pytest.mark.django_db


def test_recovery_waits_for_the_probed_handler_as_long_as_for_a_delivery(
    broken: Callable[..., Endpoint], support: User, probe: SimpleNamespace
) -> None:
    go(recover(broken(failed=1, unseen=0), support))
    assert probe.waited_s == HANDLER_DEADLINE.total_seconds() == 9.85


def test_recovery_goes_from_probe_to_done(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=12, unseen=0)
    run = go(recover(endpoint, support))
    oldest = endpoint.deliveries.order_by("first_received_at").first()
    assert (run.step, states(run)) == ("canary", {"requested": 1, "waiting": 11})
    assert redeliveries(fake_opentrain) == [oldest.opentrain_id]
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
    assert steps(run)[0] == (
        "probe",
        True,
        (
            "The handler is reachable: it answered 405 in 31 ms to a request that is no delivery. "
            "That proves the address, not that it takes events. The first delivery shows that."
        ),
    )
    assert steps(run)[2] == ("canary", True, f"contract.started …{oldest.opentrain_id[-8:]}: delivered.")
    assert steps(run)[3] == ("rest", True, "All 11 requested again.")  # without the canary
    assert steps(run)[4] == ("others", True, "OpenTrain has no other failed deliveries.")
    assert run.quoted.startswith("Requeued deliveries will be attempted")
    assert len(redeliveries(fake_opentrain)) == len(set(redeliveries(fake_opentrain))) == 13
    assert AuditEntry.objects.filter(action=endpoints.IN_A_RUN, phase="done").count() == 12


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(minutes=5), -timedelta(minutes=5), timedelta(hours=1)])
def test_recovery_brings_back_what_an_auto_disable_gave_up_before_it_came(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain, ahead: timedelta
) -> None:
    """OpenTrain's clock may differ from ours: it is the only one that tells whether an event is a new one."""
    fake_opentrain.set_clock(timezone.now())
    endpoint = broken(failed=1, unseen=2)
    run = go(recover(endpoint, support))
    attempt(endpoint)
    run = go(run)
    assert (run.step, run.others) == ("watch", 2)
    disabled_at = Endpoint.objects.get().auto_disabled_at + ahead
    Endpoint.objects.update(auto_disabled_at=disabled_at)
    for after in (timedelta(), -timedelta(minutes=20), timedelta(seconds=1)):  # the last one is a new event
        make_delivery(
            endpoint=endpoint,
            event_created_at=disabled_at + after,
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


def test_recovery_whose_call_for_all_failed_was_not_answered_is_not_all_done(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("No answer."), operation="redeliver")
    run = go(recover(broken(failed=0, unseen=2), support))
    assert (run.state, run.others) == ("done", 0)
    assert run.why == (
        "No failed deliveries were known. Whether OpenTrain requested its other failed deliveries again is not known."
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 503}, "The handler returned 503 to HEAD."),
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
    repair = f"Nothing changed. {REPAIR} If it takes deliveries and fails only this check, recover without it."
    assert (run.state, run.why) == ("stopped", f"{words} {repair}")
    assert steps(run) == [("probe", False, run.why)]
    assert "update_endpoint" not in [call.operation for call in fake_opentrain.calls]


def test_recovery_without_the_check_does_not_ask_the_handler_and_says_so(
    broken: Callable[..., Endpoint], support: User, probe: SimpleNamespace
) -> None:
    probe.status = 500
    endpoint = broken(failed=2)
    run = go(recover(endpoint, support, checks_handler=False))
    assert probe.url is None
    assert steps(run)[:2] == [
        ("probe", True, "Started without the check of the handler."),
        ("enable", True, steps(run)[1][2]),
    ]
    assert (run.state, run.step) == ("running", "canary")
    entry = AuditEntry.objects.get(action="start run")
    assert "Started without the check of the handler." in entry.words


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


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        (
            {"status": "DISABLED", "consecutive_failures": 10},
            (
                "Not re-enabled: OpenTrain answered that the endpoint is DISABLED, with 10 consecutive failures. "
                "Deliveries stay stopped. Try again. If the answer stays the same, ask OpenTrain's support. "
                "2 not requested."
            ),
        ),
        (
            {"status": "HIBERNATING"},
            (
                "Not known whether it is re-enabled: OpenTrain gives its status as HIBERNATING, which Redeliver does "
                "not know. It may not attempt any deliveries. Ask OpenTrain's support what it means. 2 not requested."
            ),
        ),
    ],
)
def test_recovery_does_not_go_on_unless_the_answer_says_active(
    broken: Callable[..., Endpoint],
    support: User,
    fake_opentrain: FakeOpenTrain,
    answered: dict[str, Any],
    why: str,
) -> None:
    endpoint = broken(failed=2)
    fake_opentrain.change_answer(lambda answer: replace(answer, **answered), operation="update_endpoint")
    run = go(recover(endpoint, support))
    assert (run.state, run.why, run.step) == ("stopped", why, "enable")
    assert steps(run)[1] == ("enable", False, why)
    assert redeliveries(fake_opentrain) == []


def test_recovery_says_what_opentrain_still_counts(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=2)
    fake_opentrain.change_answer(lambda answer: replace(answer, consecutive_failures=9), operation="update_endpoint")
    run = go(recover(endpoint, support))
    assert steps(run)[1] == (
        "enable",
        True,
        (
            "Re-enabled. OpenTrain sends to this endpoint again, but still counts 9 consecutive failures. "
            "It disables an endpoint at 10."
        ),
    )


def test_recovery_stops_when_the_status_is_one_that_redeliver_does_not_know(
    broken: Callable[..., Endpoint], support: User
) -> None:
    run = go(recover(broken(failed=2), support))
    Endpoint.objects.update(status="HIBERNATING")
    run = go(run)
    assert (run.state, run.why) == (
        "stopped",
        (
            "OpenTrain gives its status as HIBERNATING, which Redeliver does not know. It may not attempt any "
            "deliveries. 1 not requested."
        ),
    )


def test_recovery_takes_the_next_delivery_first_if_opentrain_did_not_requeue_the_newest(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=3)
    requeues(fake_opentrain, 0)
    run = go(recover(endpoint, support))
    assert (run.step, states(run)) == ("canary", {"refused": 1, "requested": 1, "waiting": 1})
    attempt(endpoint)
    requeues(fake_opentrain, 1, 1)
    run = go(run)
    # The call for all others requeues the refused one after all, because it covers all that are failed here.
    assert (run.step, run.others, states(run)) == ("watch", 1, {"delivered": 1, "requested": 2})
    attempt(endpoint)
    run = go(run)
    assert (run.state, states(run)) == ("done", {"delivered": 3})


def test_recovery_of_deliveries_that_opentrain_does_not_requeue_says_so(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=2)
    requeues(fake_opentrain, 0, 0, 0)
    run = go(recover(endpoint, support))
    assert (run.state, states(run)) == ("done", {"refused": 2})
    assert [(ok, words) for _name, ok, words in steps(run)[2:5]] == [
        (False, "OpenTrain requeued none of the deliveries that failed here."),
        (True, "0 requested again, 2 refused."),
        (
            False,
            (
                "OpenTrain requeued nothing; 2 are failed here, and stay failed. To redeliver one anyway, open it: "
                "OpenTrain redelivers a single delivery in any state."
            ),
        ),
    ]
    assert run.why.startswith("0 of 2 delivered, 2 refused, in ")
    assert endpoint.deliveries.failed().count() == 2


def test_refused_deliveries_are_none_of_the_first_five(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=20)
    run = go(recover(endpoint, support))
    attempt(endpoint)
    requeues(fake_opentrain, 0, 0, 0, 0)
    run = go(run)
    assert states(run) == {"delivered": 1, "refused": 4, "requested": 4, "waiting": 11}


def test_recovery_counts_one_that_opentrain_requeued_without_naming_it(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    """Two fail during the recovery; of these OpenTrain requeues one, which is known when it arrives."""
    endpoint = broken(failed=1)
    run = go(recover(endpoint, support))
    attempt(endpoint)
    earlier = timezone.now() - timedelta(hours=1)
    late = [
        make_failed_delivery(endpoint=endpoint, first_received_at=earlier, last_attempt_at=earlier) for _ in range(2)
    ]
    requeues(fake_opentrain, 1)
    run = go(run)
    assert steps(run)[4][2].startswith("OpenTrain requeued 1; 2 are failed here, and it does not say which.")
    assert (run.step, run.others, states(run)) == ("watch", 1, {"delivered": 1})
    Delivery.objects.filter(pk=late[1].pk).update(
        last_ok=True, last_cause="", last_attempt_at=timezone.now(), attempts_in_round=1
    )
    run = go(run)
    assert (run.state, states(run)) == ("done", {"delivered": 2})
    assert "did not reach" not in run.why


def test_recovery_goes_on_while_the_list_lags_behind_its_re_enabling(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=3)
    fake_opentrain.fall_behind()
    run = go(recover(endpoint, support))
    for _ in range(3):
        sync.refresh(install=endpoint.install, now=timezone.now())  # by the poller, or a page
        attempt(endpoint)
        run = go(run)
    assert (run.state, states(run)) == ("done", {"delivered": 3})
    assert Endpoint.objects.get().status == "ACTIVE"


def test_recovery_whose_worker_died_after_re_enabling_goes_on_while_the_list_lags(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=1)
    fake_opentrain.fall_behind()
    run = go(recover(endpoint, support))
    Run.objects.update(step="enable")
    calls = [call.operation for call in fake_opentrain.calls].count("update_endpoint")
    assert go(run).step == "canary"
    assert [call.operation for call in fake_opentrain.calls].count("update_endpoint") == calls


def test_recovery_stops_when_the_list_that_lags_catches_up_with_another_disable(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=3)
    fake_opentrain.fall_behind()
    run = go(recover(endpoint, support))
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    sync.refresh(install=endpoint.install, now=timezone.now())
    assert go(run).state == "running"
    fake_opentrain.catch_up()
    sync.refresh(install=endpoint.install, now=timezone.now())
    run = go(run)
    assert run.state == "stopped"
    assert run.why == "OpenTrain disabled the endpoint again. OpenTrain gives the reason: 10 consecutive failures"


def test_recovery_does_not_say_again_of_the_disable_that_it_was_there_to_end(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=3)
    fake_opentrain.fall_behind()
    run = go(recover(endpoint, support))
    sync.refresh(install=endpoint.install, now=timezone.now() + LAG)
    run = go(run)
    assert run.state == "stopped"
    assert run.why.startswith(
        "OpenTrain still shows the endpoint as disabled, although it confirmed that it is re-enabled."
    )
