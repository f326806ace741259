"""Editing, pausing and deleting endpoints: the call to OpenTrain, the stored changes, and the message to the user."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from dashboard.actions import endpoint_changes, endpoints
from dashboard.actions.installs import snapshots, sync
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Endpoint, EndpointWrite, Install, User
from dashboard.rules.snapshots import LAG
from dashboard.services.opentrain import OutcomeUnknown
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_endpoint, make_entry, make_failed_delivery

pytestmark = pytest.mark.django_db

HANDLER = "https://acme.example.com/hook"


def registered(install: Install, actor: User, *, url: str = "") -> Endpoint:
    _, endpoint, _ = endpoints.register(
        actor=actor, install=install, url=url, handler_url="" if url else HANDLER, through_redeliver=not url,
        event_types=["contract.started", "contract.ended"], clock=timezone.now, operation=uuid.uuid4(),
    )  # fmt: skip
    return endpoint


@pytest.fixture
def endpoint(install: Install, support: User) -> Endpoint:
    return registered(install, support)


def change(endpoint: Endpoint, actor: User, **changes: object) -> Outcome:
    given = {"address": endpoint.handler_url or endpoint.url, "event_types": endpoint.event_types}
    return endpoint_changes.change(
        actor=actor, endpoint=endpoint, **{"operation": uuid.uuid4()} | given | changes, clock=timezone.now
    )


def test_change_of_event_types_tells_opentrain_only_those(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = change(endpoint, support, event_types=["contract.ended", "milestone.funded"])
    assert outcome.words == "Changed: added milestone.funded; removed contract.started."
    call = fake_opentrain.calls[-1]
    assert (call.operation, call.arguments) == (
        "update_endpoint",
        {
            "endpoint_id": endpoint.opentrain_id,
            "url": None,
            "event_types": ["contract.ended", "milestone.funded"],
        },
    )
    assert Endpoint.objects.get().event_types == ["contract.ended", "milestone.funded"]


def test_change_of_a_handler_is_ours_alone_and_in_the_audit(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    calls = len(fake_opentrain.calls)
    outcome = change(endpoint, support, address="https://new.example.com/hook")
    assert len(fake_opentrain.calls) == calls
    stored = Endpoint.objects.get()
    assert (stored.handler_url, stored.url) == ("https://new.example.com/hook", endpoint.url)
    entries = AuditEntry.objects.filter(action="edit endpoint").order_by("id").values_list("phase", "words")
    said = f"Changed: the handler is now https://new.example.com/hook (it was {HANDLER})."
    assert list(entries) == [("requested", ""), ("done", said)]
    assert outcome.words == said


def test_change_of_a_direct_endpoint_moves_its_url_at_opentrain(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    direct = registered(install, support, url=HANDLER)
    change(direct, support, address="https://new.example.com/hook")
    assert fake_opentrain.get_endpoint(token=install.token, endpoint_id=direct.opentrain_id).url == (
        "https://new.example.com/hook"
    )
    assert Endpoint.objects.get().url == "https://new.example.com/hook"


def test_change_of_nothing_asks_nothing(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    calls = len(fake_opentrain.calls)
    assert change(endpoint, support).words == "Nothing changed."
    assert len(fake_opentrain.calls) == calls


def test_change_that_is_not_answered_changes_nothing_here(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s.", request_id="9d1f"))
    outcome = change(endpoint, support, address="https://new.example.com/hook", event_types=["contract.ended"])
    assert outcome.kind is OutcomeKind.UNKNOWN
    stored = Endpoint.objects.get()
    assert (stored.handler_url, stored.event_types) == (HANDLER, ["contract.started", "contract.ended"])


def test_change_that_opentrain_refuses_says_its_reason(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = change(endpoint, support, event_types=["nonsense"])
    assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, "BAD_REQUEST")
    assert "eventTypes must name at least one of" in outcome.words


def says(fake: FakeOpenTrain, **columns: Any) -> None:
    """Let the next answer to a change show the endpoint with these columns."""
    fake.change_answer(lambda answer: replace(answer, **columns), operation="update_endpoint")


AGAIN = "Try again. If the answer stays the same, ask OpenTrain's support."


def test_change_that_the_answer_does_not_show_is_said_to_be_not_made(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    direct = registered(install, support, url=HANDLER)
    says(fake_opentrain, url=HANDLER)
    outcome = change(direct, support, address="https://new.example.com/hook")
    assert (outcome.kind, outcome.words) == (
        OutcomeKind.UNAVAILABLE,
        (
            f"OpenTrain did not make the change. OpenTrain answered that the address is {HANDLER} "
            f"(requested: https://new.example.com/hook). {AGAIN}"
        ),
    )
    assert AuditEntry.objects.latest("id").words == outcome.words


def test_change_that_the_answer_shows_in_part_says_what_is_there(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    direct = registered(install, support, url=HANDLER)
    says(fake_opentrain, event_types=("contract.started", "contract.ended", "milestone.funded"))
    outcome = change(direct, support, event_types=["contract.ended", "milestone.funded"])
    assert (outcome.kind, outcome.words) == (
        OutcomeKind.UNKNOWN,
        (
            "OpenTrain did not make exactly the requested change. OpenTrain answered that the event types are "
            "contract.ended, contract.started, milestone.funded (requested: contract.ended, milestone.funded). "
            f"{AGAIN}"
        ),
    )


def test_change_of_the_handler_is_made_and_said_whatever_the_answer_shows(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    says(fake_opentrain, event_types=("contract.started", "contract.ended"))
    outcome = change(endpoint, support, address="https://new.example.com/hook", event_types=["contract.ended"])
    assert outcome.words == (
        f"Changed: the handler is now https://new.example.com/hook (it was {HANDLER}). OpenTrain did not make the "
        "change. OpenTrain answered that the event types are contract.ended, contract.started (requested: "
        f"contract.ended). {AGAIN}"
    )
    assert Endpoint.objects.get().handler_url == "https://new.example.com/hook"


def test_address_that_opentrain_writes_otherwise_is_the_same_address(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    direct = registered(install, support, url=HANDLER)
    says(fake_opentrain, url="https://new.example.com/")
    assert change(direct, support, address="https://New.Example.com").kind is OutcomeKind.DONE


def test_same_form_sent_twice_is_one_change(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    operation = uuid.uuid4()
    first = change(endpoint, support, event_types=["contract.ended"], operation=operation)
    calls = len(fake_opentrain.calls)
    assert change(endpoint, support, event_types=["contract.started"], operation=operation) == first
    assert len(fake_opentrain.calls) == calls


def test_pause_stops_it_and_offers_the_way_back(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = endpoint_changes.pause(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome == Outcome(
        kind=OutcomeKind.DONE,
        words="Paused. OpenTrain attempts no deliveries until the endpoint is re-enabled.",
        offer_enable=True,
    )
    assert Endpoint.objects.get().status == "DISABLED"
    assert endpoints.enable(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4()).ok
    assert Endpoint.objects.get().status == "ACTIVE"


@pytest.mark.parametrize(
    ("answered", "kind", "words"),
    [
        (
            {"status": "ACTIVE"},
            OutcomeKind.UNAVAILABLE,
            f"Not paused: OpenTrain answered that the endpoint is ACTIVE, so it keeps sending. {AGAIN}",
        ),
        (
            {"status": "HIBERNATING"},
            OutcomeKind.UNKNOWN,
            (
                "Not known whether it is paused: OpenTrain gives its status as HIBERNATING, which Redeliver does not "
                "know. It may not attempt any deliveries. Ask OpenTrain's support what it means."
            ),
        ),
        (
            {"consecutive_failures": 10},
            OutcomeKind.DONE,
            (
                "Stopped. OpenTrain attempts no deliveries until the endpoint is re-enabled. It counts 10 consecutive "
                "failures, at which it disables an endpoint automatically."
            ),
        ),
    ],
)
def test_pause_says_what_the_answer_says(
    endpoint: Endpoint,
    support: User,
    fake_opentrain: FakeOpenTrain,
    answered: dict[str, Any],
    kind: OutcomeKind,
    words: str,
) -> None:
    says(fake_opentrain, **answered)
    outcome = endpoint_changes.pause(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.kind, outcome.words) == (kind, words)
    assert Endpoint.objects.get().status == answered.get("status", "DISABLED")


def test_delete_keeps_the_log_and_gives_up_what_was_waiting(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    waiting = make_delivery(endpoint=endpoint, last_ok=False, last_status=503, last_cause="status")
    failed = make_failed_delivery(endpoint=endpoint)
    assert endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4()).ok
    stored = Endpoint.objects.get()
    assert stored.deleted_at is not None
    assert fake_opentrain.list_endpoints(token=endpoint.install.token) == ()
    assert sorted(stored.deliveries.failed().values_list("pk", flat=True)) == [waiting.pk, failed.pk]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_delete_leaves_no_sum_of_the_install_behind(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, elsewhere: bool
) -> None:
    make_endpoint(install=endpoint.install, consecutive_failures=8)
    if elsewhere:
        fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    install = Install.objects.get()
    assert (install.endpoint_count, install.needing_count, install.fine_count) == (1, 1, 0)


def test_deleted_endpoint_is_not_brought_back_by_a_list_from_before(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    listed, at = fake_opentrain.list_endpoints(token=endpoint.install.token), timezone.now()
    endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    snapshots.record_endpoints(install=endpoint.install, remote=listed, at=at)
    assert Endpoint.objects.registered().count() == 0


def test_delete_of_what_was_deleted_elsewhere_is_no_failure(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    outcome = endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.kind, outcome.words) == (
        OutcomeKind.DONE,
        "OpenTrain no longer had this endpoint: it was deleted elsewhere. Its delivery log stays available.",
    )
    assert Endpoint.objects.get().deleted_at is not None


def test_delete_without_an_answer_leaves_the_endpoint_as_it_is(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."))
    outcome = endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert Endpoint.objects.get().deleted_at is None


# --- Confirmed in many tabs -------------------------------------------------------------------------------------------

TABS = 20
Act = Callable[..., Outcome]


def made(fake: FakeOpenTrain, operation: str) -> int:
    return [call.operation for call in fake.calls].count(operation)


def entries_of(endpoint: Endpoint, action: str) -> list[str]:
    found = AuditEntry.objects.filter(endpoint=endpoint, action=action).order_by("id")
    return list(found.values_list("phase", flat=True))


CONFIRMED = pytest.mark.parametrize(
    ("act", "action", "operation", "words"),
    [
        (endpoint_changes.pause, "pause endpoint", "update_endpoint", "ana paused this endpoint at "),
        (endpoint_changes.delete, "delete endpoint", "delete_endpoint", "ana deleted this endpoint at "),
    ],
)


@CONFIRMED
def test_confirmation_in_many_tabs_is_one_call_and_one_entry(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, act: Act, action: str, operation: str, words: str
) -> None:
    def confirm() -> Outcome:
        return act(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())

    assert not confirm().unrequested
    for _tab in range(TABS - 1):
        outcome = confirm()
        assert (outcome.kind, outcome.unrequested) == (OutcomeKind.DONE, True)
        assert outcome.words.startswith(f"Nothing changed: {words}")
    assert made(fake_opentrain, operation) == 1
    assert entries_of(endpoint, action) == ["requested", "done"]


@CONFIRMED
@pytest.mark.django_db(transaction=True)
def test_confirmation_in_many_tabs_at_once_is_one_call_and_one_entry(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, act: Act, action: str, operation: str, words: str
) -> None:
    """The call goes on until every tab has its answer: all but the first are told that it was requested already."""
    answered, answers = threading.Event(), []
    fake_opentrain.hold(operation, until=answered)

    def confirm(_tab: int) -> Outcome:
        try:
            mine = Endpoint.objects.get(pk=endpoint.pk)
            outcome = act(actor=support, endpoint=mine, clock=timezone.now, operation=uuid.uuid4())
        finally:
            connection.close()
        answers.append(outcome)
        if len(answers) == TABS - 1:
            answered.set()
        return outcome

    with ThreadPoolExecutor(TABS) as pool:
        outcomes = list(pool.map(confirm, range(TABS)))
    assert sorted(outcome.unrequested for outcome in outcomes) == [False] + [True] * (TABS - 1)
    told = {outcome.words for outcome in outcomes if outcome.unrequested}
    (words_meanwhile,) = told
    assert words_meanwhile == (
        "ana requested this a moment ago, and OpenTrain has not responded yet. Nothing was requested again. "
        "The activity below shows the result when it arrives."
    )
    assert made(fake_opentrain, operation) == 1
    assert entries_of(endpoint, action) == ["requested", "done"]
    again = act(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert again.words.startswith(f"Nothing changed: {words}")


def test_pause_after_a_re_enable_elsewhere_is_a_new_request(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    def pause() -> Outcome:
        return endpoint_changes.pause(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())

    pause()
    token = endpoint.install.token
    fake_opentrain.update_endpoint(token=token, endpoint_id=endpoint.opentrain_id, status="ACTIVE")
    sync.refresh(install=endpoint.install, now=timezone.now())
    assert pause().unrequested  # the list may lag behind the pause
    EndpointWrite.objects.update(at=timezone.now() - LAG)
    sync.refresh(install=endpoint.install, now=timezone.now())
    assert not pause().unrequested
    assert entries_of(endpoint, "pause endpoint") == ["requested", "done"] * 2


def test_pause_whose_outcome_is_unknown_can_be_requested_again(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."))
    for expected in (OutcomeKind.UNKNOWN, OutcomeKind.DONE):
        outcome = endpoint_changes.pause(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
        assert (outcome.kind, outcome.unrequested) == (expected, False)


@pytest.mark.parametrize(("seconds", "unrequested"), [(55, True), (61, False)])
def test_request_that_was_never_answered_blocks_for_a_minute_only(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, seconds: int, unrequested: bool
) -> None:
    """Its process died during the call."""
    at = timezone.now() - timedelta(seconds=seconds)
    make_entry(endpoint=endpoint, action="pause endpoint", phase="requested", at=at)
    outcome = endpoint_changes.pause(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.unrequested is unrequested


def test_same_edit_in_many_tabs_is_one_entry(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    calls = made(fake_opentrain, "update_endpoint")
    for tab in range(TABS):
        stale = Endpoint.objects.get(pk=endpoint.pk) if tab % 2 else endpoint
        outcome = change(stale, support, event_types=["contract.ended"])
        assert outcome.words == ("Nothing changed." if tab else "Changed: removed contract.started.")
    assert made(fake_opentrain, "update_endpoint") == calls + 1
    assert entries_of(endpoint, "edit endpoint") == ["requested", "done"]
