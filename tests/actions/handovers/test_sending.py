"""Sending a hand-over: the request and its signature, what came of it, and what stays secret."""

import json
import logging
import subprocess
from datetime import timedelta
from typing import Any

import pytest

from dashboard.actions.handovers import sending
from dashboard.actions.reconciliation.judge import judge
from dashboard.models import AuditEntry, Contract, Endpoint, Evidence, Finding, Handover, Install, User
from dashboard.rules.causes import describe_cause
from dashboard.rules.reconciliation import Event
from dashboard.rules.schedule import HANDLER_DEADLINE
from tests.contract.fake import FakeOpenTrain
from tests.factories import SECRET
from tests.handing_over import LATE, Scene, make_scene
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
