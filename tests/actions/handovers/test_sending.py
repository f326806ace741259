"""Sending what waits: the request, its signature, each check before it, and what came of it."""

import json
import logging
import subprocess
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions.handovers import asking, opting, sending
from dashboard.actions.handovers.asking import Wanted
from dashboard.actions.reconciliation.judge import judge
from dashboard.models import AuditEntry, Contract, Endpoint, Evidence, Finding, Handover, Install, User
from dashboard.queries.handovers import case
from dashboard.rules.causes import describe_cause
from dashboard.rules.reconciliation import Event
from dashboard.rules.schedule import HANDLER_DEADLINE
from dashboard.services.opentrain import Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import SECRET, make_contract, make_evidence, make_finding, make_link
from tests.handing_over import BUDGET, LATE, Scene, make_scene
from tests.services.misbehaving import (
    Request,
    answer,
    closed_port,
    misbehaving,
    reset_after_request,
    silent,
)

pytestmark = pytest.mark.django_db


def at(scene: Scene, url: str) -> Scene:
    """Let the endpoint's handler be at this URL."""
    Endpoint.objects.filter(pk=scene.endpoint.pk).update(handler_url=url)
    return scene


def sent(scene: Scene, actor: User, *behaviours: Any, **given: Any) -> tuple[Handover, list[Request]]:
    with misbehaving(*(behaviours or (answer(200, b"thanks"),))) as server:
        row = at(scene, f"{server.url}/hook").ask(actor, **given)
        return scene.send(row), server.requests


def not_sent(scene: Scene, actor: User, *, before: Any) -> str:
    """Ask, let something happen, send; return why nothing was sent."""
    with misbehaving(answer(200)) as server:
        row = at(scene, f"{server.url}/hook").ask(actor)
        before()
        row = scene.send(row)
        assert server.requests == []
    assert (row.result, row.ok, row.sent_at, row.body) == ("not_sent", False, None, None)
    assert describe_cause(cause=row.cause, status=row.status) in {"not sent", "could not be checked"}
    closing = AuditEntry.objects.get(operation=row.operation, phase="refused")
    assert closing.words == f"contract.ended of contract {row.contract_opentrain_id}. {row.words}"
    return row.words.removeprefix("Not sent. ")


def confirmed_by_openssl(request: Request) -> bool:
    """Return whether openssl makes the same signature of the bytes that arrived."""
    [header] = request.values("X-OpenTrain-Signature")
    stamp, given = (part.split("=", 1)[1] for part in header.split(","))
    command = ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"]
    made = subprocess.run(command, input=stamp.encode() + b"." + request.body, capture_output=True, check=True)
    return stamp == str(int(LATE.timestamp())) and made.stdout.split()[0].decode() == given


# --- What is sent -----------------------------------------------------------------------------------------------------


def test_handler_gets_the_event_signed_as_opentrain_signs_and_marked_as_redelivers(scene: Scene, support: User) -> None:
    row, [request] = sent(scene, support)
    assert (request.method, request.target) == ("POST", "/hook")
    assert confirmed_by_openssl(request)
    told = {name: request.values(name) for name, _ in request.headers if name not in {"Host", "Connection"}}
    signature = told.pop("X-OpenTrain-Signature")
    assert told == {
        "Content-Type": ["application/json"],
        "Content-Length": [str(len(request.body))],
        "User-Agent": ["Redeliver-Handover/1.0"],
        "X-OpenTrain-Event": ["contract.ended"],
        "X-OpenTrain-Delivery": [row.delivery_id],
        "X-Redeliver-Reconstructed": ["1"],
        "Via": ["1.1 redeliver"],
    }
    said = json.loads(request.body)
    assert (said["type"], said["reconstructed"], said["resourceId"]) == (
        "contract.ended", True, scene.contract.opentrain_id
    )  # fmt: skip
    assert said["data"]["freelancer"]["displayName"] == "Maria G."
    assert said["data"]["projectLink"]["id"] == scene.link.opentrain_id
    assert (bytes(row.body), row.handler_url) == (request.body, f"http://localhost:{_port(request)}/hook")
    assert ["X-OpenTrain-Signature", *signature] in row.request_headers


def _port(request: Request) -> str:
    return request.values("Host")[0].partition(":")[2]


def test_outcome_is_stored_audited_and_kept_as_evidence(scene: Scene, support: User) -> None:
    row, _ = sent(scene, support)
    assert (row.result, row.ok, row.status, row.cause) == ("ok", True, 200, "")
    assert (bytes(row.response_head), row.sent_at, row.ended_at) == (b"thanks", LATE, LATE)
    assert row.words == f"The handler took it (200, {row.latency_ms} ms)."
    entries = AuditEntry.objects.filter(operation=row.operation).order_by("id")
    assert [(one.phase, one.actor_name, one.delivery_id) for one in entries] == [
        ("requested", "ana", row.delivery_id),
        ("done", "ana", row.delivery_id),
    ]
    evidence = Evidence.objects.get()
    assert (evidence.contract_id, evidence.endpoint_id, evidence.event_type) == (
        scene.contract.pk, scene.endpoint.pk, "contract.ended"
    )  # fmt: skip
    assert (evidence.opentrain_id, evidence.link_id, evidence.taken_at) == (
        row.delivery_id, scene.link.opentrain_id, LATE
    )  # fmt: skip


def test_finding_closes_at_once(scene: Scene, support: User) -> None:
    sent(scene, support)
    finding = Finding.objects.get()
    assert finding.closed_at == LATE
    assert finding.closed_words == "Handed over: the handler took it from Redeliver at 2026-06-12 18:00:00 UTC."


def test_finding_stays_closed_when_retention_takes_the_hand_over(scene: Scene, support: User) -> None:
    sent(scene, support)
    Handover.objects.all().delete()
    Contract.objects.update(judged_as="")
    judge(install_id=scene.install.pk, now=LATE + timedelta(days=400))
    assert not Finding.objects.open().exists()


def test_finding_of_what_failed_stays(scene: Scene, support: User) -> None:
    sent(scene, support, answer(503))
    assert Finding.objects.open().get().kind == "missing"


def test_event_that_was_taken_is_not_sent_again(scene: Scene, support: User) -> None:
    sent(scene, support)
    assert scene.case().why_not_built == "The handler took this event. There is nothing to hand over."


def test_logged_person_is_sent_without_a_read(scene: Scene, support: User) -> None:
    scene.log({"opentrainUserId": "usr_jonas", "displayName": "Jonas K."})
    _row, [request] = sent(scene, support)
    assert json.loads(request.body)["data"]["freelancer"]["displayName"] == "Jonas K."
    assert "list_participants" not in {call.operation for call in scene.fake.calls}


def test_started_is_sent_of_a_contract_that_is_active(fake_opentrain: FakeOpenTrain, support: User) -> None:
    scene = make_scene(fake_opentrain, actor=support, event=Event.STARTED)
    row, [request] = sent(scene, support, event=Event.STARTED)
    assert (row.ok, json.loads(request.body)["data"]["contract"]["status"]) == (True, "active")
    assert confirmed_by_openssl(request)


# --- What keeps it from being sent ------------------------------------------------------------------------------------


def test_opt_in_that_was_taken_back_meanwhile_counts(scene: Scene, support: User) -> None:
    def stop() -> None:
        opting.stop(actor=support, endpoint=scene.endpoint, operation=uuid.uuid4())

    assert "Sending is not allowed for this endpoint." in not_sent(scene, support, before=stop)


def test_opt_in_that_was_taken_back_while_opentrain_was_asked_counts(scene: Scene, support: User) -> None:
    scene.fake.before(
        "list_participants",
        lambda: opting.stop(actor=support, endpoint=scene.endpoint, operation=uuid.uuid4()),
    )
    assert "Sending is not allowed for this endpoint." in not_sent(scene, support, before=lambda: None)


def test_event_that_the_handler_took_meanwhile_is_not_sent(scene: Scene, support: User) -> None:
    def take() -> None:
        make_evidence(contract=scene.contract, endpoint=scene.endpoint, link_id=scene.link.opentrain_id)

    assert "The handler took this event." in not_sent(scene, support, before=take)


def test_event_that_came_into_the_log_meanwhile_is_not_sent(scene: Scene, support: User) -> None:
    def come() -> None:
        scene.log({"opentrainUserId": "usr_1"}, event_type="contract.ended")

    assert "The handler took this event." in not_sent(scene, support, before=come)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": "DISABLED"}, "The endpoint is paused or disabled."),
        ({"deleted_at": LATE}, "OpenTrain no longer has this endpoint."),
        ({"event_types": ["contract.started"]}, "This endpoint does not subscribe to contract.ended."),
        ({"secret": None}, "Redeliver does not have this endpoint's signing secret"),
        ({"handler_url": ""}, "Redeliver does not know the handler's URL."),
        ({"handler_url": "https://acme.example.com/a-long-path…"}, "Redeliver does not know the handler's URL."),
        (
            {"handler_url": "https://redeliver.example.com/hooks/another-key-of-the-receiver-0000000000000000/"},
            "The handler's URL is an address of Redeliver's receiver",
        ),
    ],
)
def test_endpoint_that_changed_meanwhile_is_not_sent_to(
    scene: Scene, support: User, columns: dict[str, Any], words: str, settings: Any
) -> None:
    settings.RECEIVER_URL = "https://redeliver.example.com"

    def change() -> None:
        Endpoint.objects.filter(pk=scene.endpoint.pk).update(**columns)

    assert words in not_sent(scene, support, before=change)


def test_secret_that_cannot_be_decrypted_is_said(scene: Scene, support: User) -> None:
    def lose_key() -> None:
        Endpoint.objects.filter(pk=scene.endpoint.pk).update(secret=b"not encrypted with any key")

    assert "signing secret cannot be read with the keys in FIELD_KEYS" in not_sent(scene, support, before=lose_key)


def test_contract_that_is_gone_or_active_again_is_not_handed_over(scene: Scene, support: User) -> None:
    def restart() -> None:
        Contract.objects.filter(pk=scene.contract.pk).update(status="active", end_date=None)

    assert "The contract has not ended" in not_sent(scene, support, before=restart)


def test_contract_whose_row_was_deleted_meanwhile_is_not_handed_over(scene: Scene, support: User) -> None:
    words = not_sent(scene, support, before=lambda: Contract.objects.filter(pk=scene.contract.pk).delete())
    assert words == "OpenTrain no longer lists this contract."


def test_link_that_is_gone_meanwhile_is_not_handed_over(scene: Scene, support: User) -> None:
    other = make_link(install=scene.install)

    def move() -> None:
        Contract.objects.filter(pk=scene.contract.pk).update(link_ids=[other.opentrain_id])

    assert "or the link is gone" in not_sent(scene, support, before=move)


def test_contract_that_opentrain_lists_as_active_again_is_not_ended(scene: Scene, support: User) -> None:
    contract = scene.fake._hires[scene.contract.opentrain_id]
    contract.contract = type(contract.contract)(
        **{name: getattr(contract.contract, name) for name in contract.contract.__slots__} | {"status": "active"}
    )
    words = not_sent(scene, support, before=lambda: None)
    assert words == "OpenTrain lists this contract as active again."


def test_start_of_a_contract_that_ended_a_moment_ago_is_never_sent(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    scene = make_scene(fake_opentrain, actor=support, event=Event.STARTED)
    with misbehaving(answer(200)) as server:
        row = at(scene, server.url).ask(support, event=Event.STARTED)
        scene.fake.end(scene.contract.opentrain_id)  # the next sweep will see it
        row = scene.send(row)
        assert server.requests == []
    assert (row.result, row.words) == (
        "not_sent",
        "Not sent. OpenTrain does not list this contract as active any more: it may have ended.",
    )


def test_start_is_not_sent_if_its_end_came_into_the_log_meanwhile(fake_opentrain: FakeOpenTrain, support: User) -> None:
    scene = make_scene(fake_opentrain, actor=support, event=Event.STARTED)
    with misbehaving(answer(200)) as server:
        row = at(scene, server.url).ask(support, event=Event.STARTED)
        scene.log({"opentrainUserId": "usr_1"}, event_type="contract.ended", last_ok=False)
        row = scene.send(row)
        assert server.requests == []
    assert "it would give access back" in row.words


@pytest.mark.parametrize("scopes", [["webhooks:manage"], ["webhooks:manage", "contracts:read"]], ids=str)
def test_scope_that_went_away_keeps_everything_back(scene: Scene, support: User, scopes: list[str]) -> None:
    def lack() -> None:
        token = Install.objects.get(pk=scene.install.pk).token
        given = scene.fake._installs[token]
        named = type(given.token)(given.token.id, given.token.name, tuple(scopes))
        scene.fake._installs[token] = type(given)(
            **{name: getattr(given, name) for name in given.__slots__} | {"token": named}
        )
        Install.objects.filter(pk=scene.install.pk).update(token_scopes=scopes)

    words = not_sent(scene, support, before=lack)
    assert ("could not be checked" in words) or ("this token lacks participants:read" in words)


def test_opentrain_that_does_not_answer_keeps_everything_back(scene: Scene, support: User) -> None:
    failure = Unavailable("OpenTrain did not answer.", reason=Reason.TIMEOUT)
    scene.fake.fail_next(failure, operation="list_contracts")
    words = not_sent(scene, support, before=lambda: None)
    assert words == "Whether the contract is still ended could not be checked: OpenTrain did not answer."


def test_two_people_hired_name_nobody_so_nothing_is_sent(scene: Scene, support: User) -> None:
    scene.log({"opentrainUserId": "usr_1"})
    scene.log({"opentrainUserId": "usr_2"})
    assert "name 2 people" in not_sent(scene, support, before=lambda: None)


# --- What comes of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 401, 410, 503])
def test_any_other_status_failed_and_leaves_no_evidence(scene: Scene, support: User, status: int) -> None:
    row, requests = sent(scene, support, answer(status, b"<script>no</script>"))
    assert (row.result, row.ok, row.status, row.cause) == ("failed", False, status, "status")
    assert row.words == f"Handler returned {status}."
    assert len(requests) == 1
    assert not Evidence.objects.exists()
    assert AuditEntry.objects.get(operation=row.operation, phase="unavailable").words.endswith(row.words)


def test_handler_that_is_not_there_failed(scene: Scene, support: User) -> None:
    row = at(scene, f"http://localhost:{closed_port()}/").ask(support)
    row = scene.send(row)
    assert (row.result, row.cause, row.status) == ("failed", "refused", None)
    assert row.words == "The handler: the connection was refused (Connection refused)."


def test_private_address_is_not_called_unless_the_operator_allows_it(
    scene: Scene, support: User, settings: Any
) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = False
    row, requests = sent(scene, support)
    assert (row.result, row.cause, requests) == ("failed", "denied", [])


@pytest.mark.parametrize("behaviour", [silent, reset_after_request])
def test_handler_that_gives_no_answer_may_have_taken_it(
    scene: Scene, support: User, behaviour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "HANDLER_DEADLINE", timedelta(seconds=1))
    row, requests = sent(scene, support, behaviour)
    assert (row.result, row.ok, row.status, len(requests)) == ("unknown", False, None, 1)
    assert row.words.endswith("It may have taken the event or not. Check it before you send the event again.")
    assert not Evidence.objects.exists()
    assert AuditEntry.objects.filter(operation=row.operation, phase="unknown").exists()


def test_long_and_hostile_answer_is_kept_up_to_its_limit(scene: Scene, support: User) -> None:
    headers = [f"X-Long: {'v' * 2000}", *(f"X-{number}: {number}" for number in range(70))]
    row, _ = sent(scene, support, answer(200, b"\x00\xff<script>" * 200_000, headers=headers))
    assert (row.ok, len(bytes(row.response_head)), len(row.response_headers)) == (True, 4096, 60)
    assert max(len(value) for _name, value in row.response_headers) == 1000


def test_worker_that_was_killed_while_it_sent_leaves_an_unknown_outcome(scene: Scene, support: User) -> None:
    with misbehaving(answer(200)) as server:
        row = at(scene, server.url).ask(support)
        Handover.objects.filter(pk=row.pk).update(sent_at=LATE, body=b"{}")
        row = scene.send(row)
        assert server.requests == []
    assert (row.result, row.words) == ("unknown", sending.DIED)


@pytest.mark.parametrize(("what", "result"), [("_check_with_opentrain", "not_sent"), ("cause_of_answer", "unknown")])
def test_error_of_redelivers_ends_the_row_and_is_logged(
    scene: Scene,
    support: User,
    what: str,
    result: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(sending, what, broken)
    row, _ = sent(scene, support)
    assert (row.result, row.words.startswith(sending.BROKE)) == (result, True)
    assert "a mistake" in caplog.text


def test_deadline_is_that_of_a_forwarded_delivery() -> None:
    assert sending.HANDLER_DEADLINE is HANDLER_DEADLINE


# --- Selections -------------------------------------------------------------------------------------------------------


def ask_for(scene: Scene, actor: User, *, number: int) -> list[Handover]:
    """Ask for a selection of contracts that ended, each with one event."""
    contracts = [
        make_contract(install=scene.install, status="ended", link_ids=[scene.link.opentrain_id]) for _ in range(number)
    ]
    wanted = []
    for contract in contracts:
        make_finding(contract=contract, endpoint=scene.endpoint)
        scene.log({"opentrainUserId": "usr_1"}, resource_id=contract.opentrain_id)
        found = case(contract=contract, endpoint=scene.endpoint, event=Event.ENDED, now=LATE)
        wanted.append(Wanted(found, found.links[0]))
    operation = uuid.uuid4()
    return asking.ask(actor=actor, endpoint=scene.endpoint, wanted=wanted, operation=operation, is_batch=True, now=LATE)


@pytest.fixture
def people_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a logged event of any contract name Maria: these tests are about the order and the number."""
    known = sending.people.Hired(sending.people.Person("usr_1"))
    monkeypatch.setattr(sending.people, "from_log", lambda **_contract: known)


@pytest.mark.usefixtures("people_known")
def test_selection_is_sent_in_its_order(scene: Scene, support: User) -> None:
    with misbehaving(answer(200)) as server:
        at(scene, server.url)
        rows = ask_for(scene, support, number=4)
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET) == 4
    assert [request.values("X-OpenTrain-Delivery") for request in server.requests] == [
        [row.delivery_id] for row in rows
    ]
    assert set(Handover.objects.values_list("result", flat=True)) == {"ok"}


@pytest.mark.usefixtures("people_known")
def test_selection_stops_after_three_failures_in_a_row(scene: Scene, support: User) -> None:
    with misbehaving(answer(503), answer(200), answer(503)) as server:
        at(scene, server.url)
        rows = ask_for(scene, support, number=7)
        sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    results = [Handover.objects.get(pk=row.pk).result for row in rows]
    assert results == ["failed", "ok", "failed", "failed", "failed", "not_sent", "not_sent"]
    assert Handover.objects.get(pk=rows[-1].pk).words == "Not sent, because the 3 before it failed."


@pytest.mark.usefixtures("people_known")
def test_selection_stops_when_opentrain_cannot_be_asked(scene: Scene, support: User) -> None:
    rows = ask_for(scene, support, number=5)
    for _ in range(3):
        failure = Unavailable("OpenTrain did not answer.", reason=Reason.TIMEOUT)
        scene.fake.fail_next(failure, operation="list_contracts")
    sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    causes = [Handover.objects.get(pk=row.pk).cause for row in rows]
    assert causes == ["could not be checked"] * 3 + ["not sent"] * 2
    assert sum(call.operation == "list_contracts" for call in scene.fake.calls) == 3


@pytest.mark.usefixtures("people_known")
def test_selection_goes_on_where_single_events_may_not_be_sent_any_more(scene: Scene, support: User) -> None:
    with misbehaving(answer(200)) as server:
        at(scene, server.url)
        rows = ask_for(scene, support, number=5)
        for row in rows[:4]:
            make_evidence(contract=row.contract, endpoint=scene.endpoint, link_id=row.link_id)
        sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    assert [Handover.objects.get(pk=row.pk).result for row in rows] == ["not_sent"] * 4 + ["ok"]


@pytest.mark.usefixtures("people_known")
def test_budget_ends_a_job_and_the_next_goes_on(scene: Scene, support: User) -> None:
    with misbehaving(answer(200)) as server:
        at(scene, server.url)
        ask_for(scene, support, number=2)
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=timedelta()) == 0
        times = iter([LATE, LATE, *[LATE + BUDGET] * 50])
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=lambda: next(times), budget=BUDGET) == 1
        assert sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET) == 1
        assert len(server.requests) == 2


# --- What stays secret ------------------------------------------------------------------------------------------------


def test_nothing_personal_and_no_secret_is_in_logs_or_the_audit(
    scene: Scene, support: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    row, _ = sent(scene, support)
    said = caplog.text + json.dumps([
        str(value) for one in AuditEntry.objects.all() for value in vars(one).values()
    ])  # fmt: skip
    token = Install.objects.get(pk=scene.install.pk).token.reveal()
    for hidden in (SECRET, token, "Maria", "opentrain.work", "thanks"):
        assert hidden not in said
    assert "opentrain.work" in bytes(row.body).decode()
