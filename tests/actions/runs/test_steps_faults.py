"""Faults during a run: in OpenTrain, the worker or the endpoint, or by a user."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from dashboard.actions.runs import commands, items, steps
from dashboard.models import Endpoint, Install, Run, User
from dashboard.rules.installs import UnreadEntry
from dashboard.services import opentrain
from dashboard.services.opentrain import BadResponse, OutcomeUnknown, RateLimited, Reason, Unauthorized, Unavailable
from dashboard.services.opentrain.errors import Refusal
from dashboard.vault import Secret
from tests.actions.runs.by_bits import go, make_failed, recover, redeliver, redeliveries, states
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_entry, make_failed_delivery

pytestmark = pytest.mark.django_db


def test_rate_limited_run_waits_as_long_as_it_is_told_and_slows_down(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support)
    Run.objects.update(pace_ms=10)
    fake_opentrain.fail_next(RateLimited("Too many.", retry_after_s=30))
    assert steps.advance(run_id=run.pk, clock=timezone.now) == timedelta(seconds=30)
    run.refresh_from_db()
    assert (run.state, run.pace_ms, states(run)) == ("running", 20, {"waiting": 2})
    assert run.waiting_for.endswith("asked to wait 30 s.")
    assert timedelta(seconds=10) < steps.advance(run_id=run.pk, clock=timezone.now) <= timedelta(seconds=30)
    assert len(redeliveries(fake_opentrain)) == 1
    Run.objects.update(not_before=timezone.now())
    assert states(go(run)) == {"requested": 2}


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (OutcomeUnknown("OpenTrain failed to complete the request (500)."), {"unknown": 3, "waiting": 2}),
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
    assert run.why == f"3 consecutive calls got no usable response. The last: {error}"
    asked = len(redeliveries(fake_opentrain))
    assert asked == 3
    commands.resume(actor=support, run=run)
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


def replace_token(install: Install, fake: FakeOpenTrain) -> None:
    """Connect the install anew, as after the customer has reconnected: the old token stops working."""
    new = Secret("ot_ptk_" + "n" * 43)
    fake.replace_token(install.token, new)
    row = Install.objects.get(pk=install.pk)
    row.token, row.token_id = new, "tok_new"
    row.save(update_fields=["token", "token_id"])


def test_token_replaced_between_two_calls_is_used_for_the_next(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    fake_opentrain.before("redeliver", lambda: replace_token(endpoint.install, fake_opentrain), at=2)
    run = go(run)
    assert (run.state, run.why) == ("running", "")  # the call in between was refused, and is made again
    Run.objects.update(not_before=timezone.now())
    assert states(go(run)) == {"requested": 3}
    assert Install.objects.get(pk=endpoint.install_id).last_error == ""


def test_token_that_is_replaced_by_one_that_is_refused_ends_the_run(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    """The list can be read with it, and redeliveries are refused: the run does not go on for ever."""
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support)
    refusal = Refusal(401, "UNAUTHORIZED", "No.", None)
    for _ in range(3):
        fake_opentrain.fail_next(Unauthorized("OpenTrain refused: “No.”", refusal=refusal), operation="redeliver")
        run = go(run)
        Run.objects.update(not_before=timezone.now())
    assert (run.state, states(run)) == ("paused", {"waiting": 2})
    assert run.why == "3 consecutive calls got no usable response. The last: OpenTrain refused: “No.”"


def test_handler_that_is_edited_before_the_probe_is_the_one_that_is_probed(
    broken: Callable[..., Endpoint], support: User, probe: SimpleNamespace
) -> None:
    run = recover(broken(failed=1), support)
    Endpoint.objects.update(handler_url="https://new.example.com/hook")
    go(run)
    assert probe.url == "https://new.example.com/hook"


def test_recovery_of_a_moved_endpoint_does_not_probe_the_handler_it_has_left(
    broken: Callable[..., Endpoint], support: User, probe: SimpleNamespace
) -> None:
    endpoint = broken(failed=1)
    Endpoint.objects.update(url="https://acme.example.com/elsewhere")
    run = recover(endpoint, support)
    steps.advance(run_id=run.pk, clock=timezone.now)
    assert probe.url is None
    assert run.steps.get(name="probe").words.startswith(
        "Skipped: OpenTrain does not deliver to this endpoint's handler"
    )


def test_worker_killed_while_re_enabling_leaves_no_request_that_holds_up_the_next(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=1)
    run = recover(endpoint, support)
    make_entry(endpoint=endpoint, action="re-enable endpoint", phase="requested", at=timezone.now())
    go(run)
    assert [call.operation for call in fake_opentrain.calls].count("update_endpoint") == 1
    assert run.steps.get(name="enable").words.startswith("Re-enabled.")


def test_fault_of_our_own_pauses_the_run_and_asks_for_no_more(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items, "_write", lambda *_: 1 / 0)
        run = go(run)
    assert (run.state, run.why[:24]) == ("paused", "An error in Redeliver pa")
    assert len(redeliveries(fake_opentrain)) == 1
    assert go(run).state == "paused"
    assert states(run) == {"unknown": 1, "waiting": 2}


@pytest.mark.parametrize(
    "unread",
    [
        [UnreadEntry(1, None, "it is not an object")],  # it may be another endpoint
        [UnreadEntry(1, "whe_other", "it lacks the field url")],
        [],
    ],
)
def test_refusal_blames_the_delivery_only_if_the_endpoint_is_listed(
    endpoint: Endpoint,
    support: User,
    fake_opentrain: FakeOpenTrain,
    monkeypatch: pytest.MonkeyPatch,
    unread: list[UnreadEntry],
) -> None:
    for number in range(2):
        make_failed_delivery(endpoint=endpoint, opentrain_id=f"dlv_forgotten_{number}")
    run = redeliver(endpoint, support)
    monkeypatch.setattr(opentrain, "list_endpoints", lambda **_: tuple(unread))
    run = go(run)
    assert (run.state, states(run)) == ("stopped", {"waiting": 2})


def test_refusal_blames_the_delivery_if_the_endpoints_own_entry_cannot_be_read(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        make_failed_delivery(endpoint=endpoint, opentrain_id=f"dlv_forgotten_{number}")
    run = redeliver(endpoint, support)
    own = UnreadEntry(1, endpoint.opentrain_id, "it lacks the field url")
    monkeypatch.setattr(opentrain, "list_endpoints", lambda **_: (own,))
    assert states(go(run)) == {"refused": 2}
