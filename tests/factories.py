"""Factories for rows: each gives every column a plain default, and a test passes only the columns it is about."""

import itertools
from datetime import UTC, datetime
from typing import Any

from dashboard.actions.installs.snapshots import tally
from dashboard.actions.installs.titles import tell_apart
from dashboard.config.schedule import schedule
from dashboard.models import (
    Alert,
    AlertChannel,
    Attempt,
    AuditEntry,
    Contract,
    Delivery,
    Endpoint,
    Evidence,
    Finding,
    Grant,
    Handover,
    Install,
    ProjectLink,
    Reconciliation,
    RefusedAttempt,
    Run,
    User,
    WindowCheck,
)
from dashboard.models.endpoints import new_receiver_key
from dashboard.models.installs import MANAGE_SCOPE
from dashboard.rules.alerts import KINDS
from dashboard.rules.deliveries import Standing
from dashboard.rules.reconciliation import Event, Kind
from dashboard.vault import Secret

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
SECRET = "whsec_" + "a" * 32
BODY = (
    b'{"id":"evt_1","type":"contract.started","apiVersion":"v1","createdAt":"2026-06-12T12:00:00.000Z",'
    b'"resourceId":"con_1","jobId":null,"data":{}}'
)

_numbers = itertools.count(1)


def make_user(*, role: str = "support", **columns: Any) -> User:
    return User.objects.create_user(
        **{"username": f"person-{next(_numbers)}", "password": "a-long-password", "role": role} | columns
    )


def make_grant(*, user: User, install: Install) -> Grant:
    return Grant.objects.create(user=user, install=install)


def make_install(**columns: Any) -> Install:
    number = next(_numbers)
    defaults = {
        "opentrain_id": f"ins_{number}",
        "name": f"Customer {number}",
        "organization_id": f"org_{number}",
        "app_id": "app_1",
        "app_name": "Annotator",
        "status": "ACTIVE",
        "scopes": [MANAGE_SCOPE],
        "created_at": NOON,
        "token": Secret(f"ot_ptk_{number}"),
        "token_id": f"tok_{number}",
        "token_name": "main",
        "token_scopes": [MANAGE_SCOPE],
        "checked_at": NOON,
    }
    return Install.objects.create(**defaults | columns)


def make_endpoint(*, install: Install | None = None, **columns: Any) -> Endpoint:
    """A registered, active endpoint that receives through Redeliver, without a handler.

    With a `receiver_key` of None, OpenTrain delivers to a URL of its own.
    """
    number, key = next(_numbers), columns.get("receiver_key", new_receiver_key())
    defaults = {
        "opentrain_id": f"whe_{number}",
        "url": f"https://redeliver.example.com/hooks/{key}/" if key else f"https://acme.example.com/hook-{number}",
        "event_types": ["contract.started"],
        "status": "ACTIVE",
        "created_at": NOON,
        "snapshot_at": NOON,
        "receiver_key": key,
        "secret": Secret(SECRET),
    }
    endpoint = Endpoint.objects.create(install=install or make_install(), **defaults | columns)
    tally(install_id=endpoint.install_id)
    tell_apart(install_id=endpoint.install_id)
    endpoint.refresh_from_db(fields=["told_apart_by"])
    return endpoint


def make_endpoints(*, install: Install, count: int, **columns: Any) -> list[Endpoint]:
    """Many active endpoints that deliver directly to their own URLs, in one statement."""
    defaults = {"event_types": ["contract.started"], "status": "ACTIVE", "created_at": NOON, "snapshot_at": NOON}
    numbers = [next(_numbers) for _ in range(count)]
    made = Endpoint.objects.bulk_create(
        Endpoint(
            install=install,
            **{"opentrain_id": f"whe_{number}", "url": f"https://example.com/hooks/{number}"} | defaults | columns,
        )
        for number in numbers
    )
    tally(install_id=install.pk)
    tell_apart(install_id=install.pk)
    return made


def make_delivery(*, endpoint: Endpoint | None = None, **columns: Any) -> Delivery:
    """A delivery that succeeded at its first attempt at noon, without attempt rows."""
    number = next(_numbers)
    defaults = {
        "opentrain_id": f"dlv_{number}",
        "event_id": f"evt_{number}",
        "event_type": "contract.started",
        "resource_id": f"con_{number}",
        "body": BODY,
        "first_received_at": NOON,
        "last_attempt_at": NOON,
        "attempt_count": 1,
        "attempts_in_round": 1,
        "last_ok": True,
        "last_status": 200,
        "last_latency_ms": 12,
    }
    delivery = Delivery(endpoint=endpoint or make_endpoint(), **defaults | columns)
    delivery.settle(schedule=schedule())
    delivery.save()
    return delivery


def make_failed_delivery(*, endpoint: Endpoint | None = None, **columns: Any) -> Delivery:
    """A failed delivery: all five attempts returned 503."""
    defaults = {
        "attempt_count": 5,
        "attempts_in_round": 5,
        "last_ok": False,
        "last_status": 503,
        "last_cause": "status",
    }
    return make_delivery(endpoint=endpoint, **defaults | columns)


def make_attempt(*, delivery: Delivery, **columns: Any) -> Attempt:
    defaults = {
        "number": 1,
        "received_at": NOON,
        "request_headers": [["Content-Type", "application/json"], ["X-OpenTrain-Delivery", delivery.opentrain_id]],
        "answered_status": 200,
        "ok": True,
        "latency_ms": 12,
        "response_headers": [["Content-Type", "application/json"]],
        "response_head": b'{"received": true}',
    }
    return Attempt.objects.create(delivery=delivery, **defaults | columns)


def make_window_check(*, endpoint: Endpoint, since: datetime, until: datetime, **columns: Any) -> WindowCheck:
    """A check of a time in which nothing was sent, by ana at its end, without a note."""
    defaults = {"checked_at": until, "checked_by_name": "ana"}
    return WindowCheck.objects.create(endpoint=endpoint, since=since, until=until, **defaults | columns)


def make_run(*, endpoint: Endpoint | None = None, **columns: Any) -> Run:
    """A completed recovery without steps or deliveries."""
    defaults = {
        "kind": Run.Kind.RECOVERY,
        "actor_name": "ana",
        "chosen": "all failed deliveries of the endpoint",
        "state": Run.State.DONE,
        "step": "watch",
        "pace_ms": 0,
        "created_at": NOON,
        "ended_at": NOON,
    }
    return Run.objects.create(endpoint=endpoint or make_endpoint(), **defaults | columns)


def make_refused_attempt(*, endpoint: Endpoint | None = None, **columns: Any) -> RefusedAttempt:
    defaults = {
        "received_at": NOON,
        "reason": "mismatch",
        "explanation": "The signature does not match.",
        "answered_status": 401,
        "body_size": 2,
        "body_sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    }
    return RefusedAttempt.objects.create(endpoint=endpoint or make_endpoint(), **defaults | columns)


def make_entry(*, endpoint: Endpoint | None = None, install: Install | None = None, **columns: Any) -> AuditEntry:
    """The "done" entry of an operation on an endpoint, an install, or neither, without its "requested" entry."""
    install = endpoint.install if endpoint is not None else install
    about: dict[str, Any] = {"install": install, "endpoint": endpoint}
    if install is not None:
        about |= {"install_name": install.name, "install_opentrain_id": install.opentrain_id}
    if endpoint is not None:
        about |= {"endpoint_url": endpoint.known_as, "endpoint_name": endpoint.title}
        about |= {"endpoint_opentrain_id": endpoint.opentrain_id}
    defaults = {
        "phase": "done",
        "action": "re-enable endpoint",
        "actor_name": "ana",
        "at": NOON,
        "words": "Re-enabled.",
    }
    return AuditEntry.objects.create(**defaults | about | columns)


def make_channel(*, install: Install | None = None, **columns: Any) -> AlertChannel:
    """An email channel for every kind of alert, without quiet hours; for all installs unless one is given."""
    number = next(_numbers)
    defaults = {
        "name": f"On-call {number}",
        "way": "email",
        "install": install,
        "kinds": [kind.value for kind in KINDS],
        "email": f"oncall-{number}@example.com",
        "shown_as": f"oncall-{number}@example.com",
        "made_by_name": "ana",
        "made_at": NOON,
    }
    return AlertChannel.objects.create(**defaults | columns)


def make_webhook_channel(*, url: str, install: Install | None = None, **columns: Any) -> AlertChannel:
    """The same, as a webhook with signed POSTs."""
    defaults = {"way": "webhook", "email": "", "url": Secret(url), "secret": Secret(SECRET), "shown_as": "https://…"}
    return make_channel(install=install, **defaults | columns)


def make_alert(*, endpoint: Endpoint | None = None, **columns: Any) -> Alert:
    """An open alert for an endpoint that OpenTrain disabled at noon."""
    endpoint = endpoint or make_endpoint()
    defaults = {
        "kind": "disabled",
        "install": endpoint.install,
        "endpoint": endpoint,
        "install_name": endpoint.install.name,
        "endpoint_name": endpoint.title,
        "endpoint_url": endpoint.known_as,
        "words": "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped.",
        "opened_at": NOON,
        "ended_as": "resolved" if columns.get("cleared_at") else "",
    }
    return Alert.objects.create(**defaults | columns)


def make_link(*, install: Install | None = None, **columns: Any) -> ProjectLink:
    """A link of a project to job_1, seen at NOON."""
    number = next(_numbers)
    defaults = {
        "opentrain_id": f"lnk_{number}",
        "job_id": "job_1",
        "external_project_id": f"project-{number}",
        "external_project_name": f"Project {number}",
        "provisioning_mode": "PARTNER_WEBHOOK",
        "created_at": NOON,
        "first_seen_at": NOON,
        "last_seen_at": NOON,
    }
    return ProjectLink.objects.create(install=install or make_install(), **defaults | columns)


def make_contract(*, install: Install | None = None, **columns: Any) -> Contract:
    """A contract on job_1 that is active, seen at NOON, with no link. With the status "ended", it ended at NOON."""
    number, is_ended = next(_numbers), columns.get("status") == "ended"
    defaults = {
        "opentrain_id": f"con_{number}",
        "status": "active",
        "job_id": "job_1",
        "title": f"Contract {number}",
        "start_date": NOON,
        "end_date": NOON if is_ended else None,
        "created_at": NOON,
        "first_seen_at": NOON,
        "last_seen_at": NOON,
        "active_seen_at": None if is_ended else NOON,
        "ended_seen_at": NOON if is_ended else None,
    }
    return Contract.objects.create(install=install or make_install(), **defaults | columns)


def make_evidence(*, contract: Contract, endpoint: Endpoint, **columns: Any) -> Evidence:
    """A delivery of contract.ended that the handler took at NOON."""
    number = next(_numbers)
    defaults = {
        "event_type": Event.ENDED,
        "opentrain_id": f"dlv_{number}",
        "event_id": f"evt_{number}",
        "event_created_at": NOON,
        "first_received_at": NOON,
        "last_attempt_at": NOON,
        "taken_at": NOON,
        "standing": Standing.DELIVERED,
    }
    return Evidence.objects.create(contract=contract, endpoint=endpoint, **defaults | columns)


def make_finding(*, contract: Contract, endpoint: Endpoint | None = None, **columns: Any) -> Finding:
    """An open finding: contract.ended is missing."""
    defaults = {
        "event_type": Event.ENDED,
        "kind": Kind.MISSING,
        "happened_at": NOON,
        "found_at": NOON,
        "changed_at": NOON,
    }
    where = endpoint or make_endpoint(install=contract.install)
    return Finding.objects.create(install=contract.install, contract=contract, endpoint=where, **defaults | columns)


def make_reconciliation(*, install: Install | None = None, **columns: Any) -> Reconciliation:
    """A read of links and contracts at NOON that reached everything, and was judged."""
    defaults = {"due_at": NOON, "links_read_at": NOON, "contracts_read_at": NOON, "judged_at": NOON}
    return Reconciliation.objects.create(install=install or make_install(), **defaults | columns)


def make_handover(*, contract: Contract, endpoint: Endpoint, **columns: Any) -> Handover:
    """A contract.ended that Redeliver sent at NOON, and that the handler took."""
    number = next(_numbers)
    defaults = {
        "contract_opentrain_id": contract.opentrain_id,
        "event_type": Event.ENDED,
        "link_id": "lnk_1",
        "delivery_id": f"redeliver-delivery-{number:032}",
        "body": b'{"id":"redeliver-event-1","reconstructed":true}',
        "request_headers": [["X-Redeliver-Reconstructed", "1"]],
        "handler_url": "https://acme.example.com/hook",
        "actor_name": "paul",
        "asked_at": NOON,
        "sent_at": NOON,
        "ended_at": NOON,
        "ok": True,
        "result": "ok",
        "status": 200,
        "latency_ms": 12,
        "words": "The handler took it (200, 12 ms).",
        "response_headers": [["Content-Type", "text/plain"]],
        "response_head": b"thanks",
    }
    return Handover.objects.create(install=contract.install, contract=contract, endpoint=endpoint, **defaults | columns)
