"""Runs, a bit at a time as a worker does them, against the fake OpenTrain; the log is written as the receiver would."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions import endpoints, installs, run_items, run_steps, runs
from dashboard.health import Cause
from dashboard.models import AuditEntry, Delivery, Endpoint, Install, Run, RunItem, User
from dashboard.services import handler
from dashboard.services.opentrain import BadResponse, OutcomeUnknown, RateLimited, Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_failed_delivery

pytestmark = pytest.mark.django_db
HANDLER = "https://acme.example.com/hook"
REPAIR = "Repair the handler, then start again."


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch, settings: Any) -> SimpleNamespace:
    """What the handler answers to a probe; no pause between two calls."""
    settings.RUN_PACE_MS = 0
    answer = SimpleNamespace(status=405, latency_ms=31, error=None)

    def probed(**_: object) -> SimpleNamespace:
        if answer.error:
            raise answer.error
        return answer

    monkeypatch.setattr(handler, "probe", probed)
    return answer


@pytest.fixture
def install(fake_opentrain: FakeOpenTrain, support: User) -> Install:
    _, install = installs.connect(
        actor=support, token=fake_opentrain.add_install(), name="Acme Labs", now=timezone.now(), operation=uuid.uuid4()
    )
    return install


@pytest.fixture
def endpoint(install: Install, support: User) -> Endpoint:
    _, endpoint, _ = endpoints.register(
        actor=support,
        install=install,
        url="",
        handler_url=HANDLER,
        through_redeliver=True,
        event_types=["contract.started"],
        now=timezone.now(),
        operation=uuid.uuid4(),
    )
    return endpoint


@pytest.fixture
def broken(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> Callable[..., Endpoint]:
    """Disable the endpoint with so many failed deliveries that reached us, and so many that never did."""

    def disable(*, failed: int, unseen: int = 0) -> Endpoint:
        make_failed(endpoint, fake_opentrain, failed)
        fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=unseen)
        fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
        installs.refresh(install=endpoint.install, now=timezone.now())
        return endpoint

    return disable


def make_failed(endpoint: Endpoint, fake: FakeOpenTrain, count: int) -> None:
    for number, opentrain_id in enumerate(fake.add_deliveries(endpoint.opentrain_id, failed=count)):
        at = timezone.now() - timedelta(hours=2) + timedelta(seconds=number)
        make_failed_delivery(endpoint=endpoint, opentrain_id=opentrain_id, first_received_at=at, last_attempt_at=at)


def recover(endpoint: Endpoint, actor: User) -> Run:
    return runs.start_recovery(
        actor=actor, endpoint=endpoint, note="ticket 7", now=timezone.now(), operation=uuid.uuid4()
    )


def redeliver(endpoint: Endpoint, actor: User, **changes: Any) -> Run:
    given = {"deliveries": endpoint.deliveries.all(), "filter_text": "all of them", "note": "", **changes}
    return runs.start_bulk(actor=actor, endpoint=endpoint, now=timezone.now(), operation=uuid.uuid4(), **given)


def go(run: Run, *, bits: int = 30) -> Run:
    """Let the worker have its bits, until there is only something to wait for."""
    for _ in range(bits):
        if run_steps.advance(run_id=run.pk) != timedelta():
            break
    return Run.objects.get(pk=run.pk)


def attempt(endpoint: Endpoint, *, ok: bool = True, most: int = 1000) -> int:
    """Let a delivery run come: what is requested is attempted, and ends so."""
    now = timezone.now()
    asked = Delivery.objects.filter(endpoint=endpoint, requested_at__isnull=False).order_by("pk").values("pk")[:most]
    facts = {"last_ok": True, "last_status": 200, "last_cause": ""}
    facts = facts if ok else {"last_ok": False, "last_status": 503, "last_cause": "status"}
    return Delivery.objects.filter(pk__in=asked).update(
        requested_at=None, abandoned_at=None, last_attempt_at=now, attempts_in_round=1, **facts
    )


def states(run: Run) -> dict[str, int]:
    found: dict[str, int] = {}
    for state in run.items.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def redeliveries(fake: FakeOpenTrain) -> list[str | None]:
    return [call.arguments.get("delivery_id") for call in fake.calls if call.operation == "redeliver"]


def steps(run: Run) -> list[tuple[str, bool, str]]:
    return [(step.name, step.ok, step.words) for step in run.steps.all()]


# --- Recovery -------------------------------------------------------------------------------------------------------


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
    assert steps(run)[0] == ("probe", True, "Your handler answers (405 in 31 ms).")
    assert steps(run)[2] == ("canary", True, f"contract.started …{newest.opentrain_id[-8:]}: delivered.")
    assert steps(run)[4] == ("others", True, "OpenTrain has no other failed delivery.")
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
    assert (run.step, steps(run)[2][2]) == ("watch", "No failed delivery is known that could go first.")
    Run.objects.update(others_asked_at=timezone.now() - timedelta(minutes=7))
    run = go(run)
    assert run.state == "done"
    assert run.why.endswith("2 more that OpenTrain requeued were not seen.")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 503}, "Your handler answered 503."),
        (
            {"error": handler.HandlerFailed(cause=Cause.REFUSED, words="Your handler: the connection was refused.")},
            "Your handler: the connection was refused.",
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
        f"{words} Nothing was changed. Repair the handler, then start again.",
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
        f"The first delivery failed again: 503 from your handler. Endpoint left active, 411 not requested. {REPAIR}",
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
        f"4 of the first 5 failed again (503 from your handler). Endpoint left active, 407 not requested. {REPAIR}",
    )
    assert len(redeliveries(fake_opentrain)) == 5


def test_recovery_stops_when_the_first_delivery_is_not_seen(broken: Callable[..., Endpoint], support: User) -> None:
    run = go(recover(broken(failed=2), support))
    RunItem.objects.filter(state="requested").update(asked_at=timezone.now() - timedelta(minutes=7))
    run = go(run)
    assert run.state == "stopped"
    assert "was not seen in time. Endpoint left active, 1 not requested." in run.why


def test_recovery_stops_when_opentrain_disables_the_endpoint_again(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=2)
    run = go(recover(endpoint, support))
    fake_opentrain.disable(endpoint.opentrain_id, "503")
    installs.refresh(install=endpoint.install, now=timezone.now())
    run = go(run)
    assert (run.state, run.why) == (
        "stopped",
        "OpenTrain has disabled the endpoint again. It gives the reason: 503",
    )


def test_recovery_whose_re_enabling_had_no_answer_looks_before_it_asks_again(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=1)
    run = recover(endpoint, support)
    run_steps.advance(run_id=run.pk)
    real, tries = fake_opentrain.update_endpoint, []

    def taken_but_unanswered(**arguments: Any) -> None:
        tries.append(1)
        real(**arguments)
        raise OutcomeUnknown("No answer.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installs.opentrain, "update_endpoint", taken_but_unanswered)
        assert run_steps.advance(run_id=run.pk) == timedelta(seconds=5)
        Run.objects.update(not_before=timezone.now())
        run = go(run)
    assert (run.step, tries) == ("canary", [1])


def test_recovery_whose_first_delivery_is_of_unknown_outcome_goes_on_when_it_arrives(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=2)
    run = recover(endpoint, support)
    for _ in range(2):
        run_steps.advance(run_id=run.pk)
    fake_opentrain.fail_next(OutcomeUnknown("No answer."))
    assert run_steps.advance(run_id=run.pk) == timedelta(seconds=5)
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
    assert steps(run)[4][2].startswith("OpenTrain may have others that never reached us; not asked for")


# --- Bulk -----------------------------------------------------------------------------------------------------------


def test_bulk_asks_for_each_and_leaves_out_what_is_delivered(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    make_delivery(endpoint=endpoint, opentrain_id="dlv_done")
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_asked", requested_at=timezone.now())
    make_failed_delivery(opentrain_id="dlv_of_another_endpoint")
    run = go(redeliver(endpoint, support))
    assert states(run) == {"requested": 3, "left_out": 2}
    assert run.items.get(opentrain_id="dlv_done").words == runs.ALREADY_DELIVERED
    attempt(endpoint, most=2)
    attempt(endpoint, ok=False)
    run = go(run)
    assert run.state == "done"
    assert run.why.startswith("2 of 3 delivered, 1 failed again, in ")


def test_bulk_with_delivered_ones_sends_them_again(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    [opentrain_id] = fake_opentrain.add_deliveries(endpoint.opentrain_id, delivered=1)
    make_delivery(endpoint=endpoint, opentrain_id=opentrain_id)
    run = go(redeliver(endpoint, support, include_delivered=True))
    assert states(run) == {"requested": 1}


def test_bulk_of_all_failed_is_one_call(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    make_failed(endpoint, fake_opentrain, 40)
    run = go(redeliver(endpoint, support, one_call=True))
    assert redeliveries(fake_opentrain) == [None]
    assert (states(run), run.others) == ({"requested": 40}, 40)
    attempt(endpoint)
    run = go(run)
    assert (run.state, run.why[:22]) == ("done", "40 of 40 delivered in ")


def test_paused_run_asks_for_nothing_until_it_is_resumed(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    assert runs.pause(actor=support, run=run) is True
    assert go(run).why == "Paused by ana."
    assert redeliveries(fake_opentrain) == []
    assert runs.resume(run=run) is True
    assert states(go(run)) == {"requested": 3}
    assert runs.resume(run=run) is False


def test_cancelled_run_still_follows_what_it_asked_for_and_can_be_continued(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    with pytest.MonkeyPatch.context() as patch:
        original = run_steps._ask

        def ask_then_cancel(run: Run, item: RunItem) -> timedelta | None:
            wait = original(run, item)
            runs.stop(actor=support, run=run, now=timezone.now())
            return wait

        patch.setattr(run_steps, "_ask", ask_then_cancel)
        go(run)
    run.refresh_from_db()
    assert (run.state, run.why, states(run)) == ("cancelled", "Cancelled by ana.", {"requested": 1, "waiting": 2})
    assert list(Run.objects.to_advance()) == [run]
    attempt(endpoint)
    assert run_steps.advance(run_id=run.pk) is None
    assert states(run) == {"delivered": 1, "waiting": 2}
    assert list(Run.objects.to_advance()) == []
    again = runs.continue_run(actor=support, run=run, now=timezone.now(), operation=uuid.uuid4())
    assert states(go(again)) == {"requested": 2}
    assert again.chosen == f"what run {run.pk} has not requested (all of them)"


def test_endpoint_has_one_active_run_and_a_form_sent_twice_is_one(endpoint: Endpoint, support: User) -> None:
    make_failed_delivery(endpoint=endpoint)
    operation = uuid.uuid4()
    one, same = (
        runs.start_recovery(actor=support, endpoint=endpoint, note="", now=timezone.now(), operation=operation)
        for _ in range(2)
    )
    assert one == same
    with pytest.raises(runs.AlreadyRunning) as raised:
        redeliver(endpoint, support)
    assert raised.value.run == one
    runs.stop(actor=support, run=one, now=timezone.now())
    assert redeliver(endpoint, support).pk != one.pk


# --- Faults ---------------------------------------------------------------------------------------------------------


def test_rate_limited_run_waits_as_long_as_it_is_told_and_slows_down(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support)
    Run.objects.update(pace_ms=10)
    fake_opentrain.fail_next(RateLimited("Too many.", retry_after_s=30))
    assert run_steps.advance(run_id=run.pk) == timedelta(seconds=30)
    run.refresh_from_db()
    assert (run.state, run.pace_ms, states(run)) == ("running", 20, {"waiting": 2})
    assert run.waiting_for.endswith("asked to wait 30 s.")
    assert timedelta(seconds=28) < run_steps.advance(run_id=run.pk) <= timedelta(seconds=30)
    assert len(redeliveries(fake_opentrain)) == 1
    Run.objects.update(not_before=timezone.now())
    assert states(go(run)) == {"requested": 2}


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (OutcomeUnknown("OpenTrain failed while it worked on this (500)."), {"unknown": 3, "waiting": 2}),
        (OutcomeUnknown("OpenTrain did not answer within 15 s."), {"unknown": 3, "waiting": 2}),
        (Unavailable("OpenTrain cannot be reached.", reason=Reason.DNS), {"waiting": 5}),
        (BadResponse("OpenTrain's answer cannot be used: it is not JSON.", status=404), {"waiting": 5}),
    ],
)
def test_run_pauses_itself_after_three_calls_without_an_answer_and_repeats_none_of_unknown_outcome(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, error: Exception, left: dict[str, int]
) -> None:
    make_failed(endpoint, fake_opentrain, 5)
    run = redeliver(endpoint, support)
    for _ in range(3):
        fake_opentrain.fail_next(error)
    for _ in range(3):
        run = go(run)
        Run.objects.update(not_before=timezone.now())
    assert (run.state, states(run)) == ("paused", left)
    assert run.why == f"3 calls in a row brought no usable answer. The last: {error}"
    asked = len(redeliveries(fake_opentrain))
    assert asked == 3
    runs.resume(run=run)
    run = go(run)
    assert len(redeliveries(fake_opentrain)) == asked + left["waiting"]


def test_revoked_token_stops_the_run_and_shows_on_the_install(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support)
    fake_opentrain.revoke(endpoint.install.token)
    run = go(run)
    assert (run.state, states(run)) == ("stopped", {"waiting": 2})
    assert run.why.startswith("OpenTrain refused: “The token is not valid")
    assert run.why.endswith("2 not requested.")
    assert "The token is not valid" in Install.objects.get(pk=endpoint.install_id).last_error


def test_endpoint_deleted_elsewhere_is_said_plainly(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support)
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    run = go(run)
    assert (run.state, run.why) == ("stopped", f"{run_steps.DELETED} 2 not requested.")


def test_delivery_that_opentrain_does_not_know_is_refused_and_the_run_goes_on(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_forgotten")
    make_failed(endpoint, fake_opentrain, 1)
    assert states(go(redeliver(endpoint, support))) == {"refused": 1, "requested": 1}


def test_item_that_was_in_flight_when_the_worker_died_is_marked_and_not_repeated(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    run.items.filter(position=0).update(state="asking", asked_at=timezone.now())
    run = go(run)
    assert states(run) == {"unknown": 1, "requested": 2}
    item = run.items.get(position=0)
    assert item.words == "was being asked for when Redeliver stopped: look before repeating it"
    assert item.opentrain_id not in redeliveries(fake_opentrain)


def test_one_call_that_was_in_flight_when_the_worker_died_is_not_repeated(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support, one_call=True)
    Run.objects.update(others_asked_at=timezone.now())
    run = go(run)
    assert (run.state, states(run), redeliveries(fake_opentrain)) == ("done", {"unknown": 3}, [])


def test_unknown_one_that_arrives_after_all_is_delivered(endpoint: Endpoint, support: User) -> None:
    delivery = make_failed_delivery(endpoint=endpoint)
    run = redeliver(endpoint, support)
    run.items.update(state="unknown", asked_at=timezone.now())
    Delivery.objects.filter(pk=delivery.pk).update(last_ok=True, last_attempt_at=timezone.now(), last_cause="")
    assert (go(run).state, states(run)) == ("done", {"delivered": 1})


def test_disabled_endpoint_pauses_a_bulk_run(broken: Callable[..., Endpoint], support: User) -> None:
    run = go(redeliver(broken(failed=2), support))
    assert (run.state, run.why) == (
        "paused",
        "The endpoint is disabled, so nothing would be attempted. Re-enable it, then resume.",
    )


def test_fault_of_our_own_pauses_the_run_and_asks_for_no_more(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_items, "_write", lambda *_: 1 / 0)
        run = go(run)
    assert (run.state, run.why[:24]) == ("paused", "Redeliver itself failed ")
    assert len(redeliveries(fake_opentrain)) == 1
    assert go(run).state == "paused"
    assert states(run) == {"unknown": 1, "waiting": 2}


def test_person_who_may_no_longer_act_stops_the_run(endpoint: Endpoint, support: User) -> None:
    make_failed_delivery(endpoint=endpoint)
    run = redeliver(endpoint, support)
    User.objects.filter(pk=support.pk).update(role="")
    run = go(run)
    assert (run.state, run.why) == ("stopped", "ana may no longer act on this endpoint.")
