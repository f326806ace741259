"""An install whose log is whole, with a contract, a link and an endpoint: what tests of reconciliation begin with."""

from datetime import datetime, timedelta
from typing import Any

from dashboard.actions.reconciliation.judge import judge
from dashboard.config.schedule import schedule
from dashboard.models import Contract, Endpoint, EndpointSnapshot, Evidence, Finding, Install
from dashboard.queries.verdicts import verdicts
from dashboard.rules.reconciliation import Event, Verdict
from dashboard.rules.reconstruction import DELIVERY_PREFIX
from tests.factories import (
    NOON,
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_handover,
    make_link,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SPAN = schedule().retry_span + 5 * MINUTE
"""How long after a read showed it an event may still come."""
BOTH = ["contract.started", "contract.ended"]


def make_received(*, install: Install | None = None, **columns: Any) -> Endpoint:
    """An endpoint that has subscribed to both events and been behind the receiver for 60 days before noon."""
    endpoint = make_endpoint(install=install, **{"event_types": BOTH, "created_at": NOON - 60 * DAY} | columns)
    tell_history(endpoint, at=NOON - 60 * DAY)
    return endpoint


def tell_history(endpoint: Endpoint, *, at: datetime, **columns: Any) -> None:
    known = {"status": "ACTIVE", "event_types": BOTH, "is_received": True}
    EndpointSnapshot.objects.create(endpoint=endpoint, at=at, **known | columns)


def make_running(*, install: Install, **columns: Any) -> Contract:
    """A contract that started 10 days before noon, on job_1, which a link references since before."""
    if not install.project_links.exists():
        make_link(install=install, opentrain_id="lnk_1", created_at=NOON - 50 * DAY, first_seen_at=NOON - 50 * DAY)
    began = NOON - 10 * DAY
    seen = {"created_at": began, "start_date": began, "first_seen_at": began + MINUTE, "active_seen_at": NOON}
    return make_contract(install=install, **seen | columns)


def end(contract: Contract, *, read_at: datetime = NOON + 10 * MINUTE) -> None:
    """Let a read show that the contract has ended a minute before."""
    contract.status, contract.end_date, contract.ended_seen_at = "ended", read_at - MINUTE, read_at
    contract.last_seen_at = read_at
    contract.save()


def deliver(contract: Contract, endpoint: Endpoint, *, event: Event = Event.STARTED, **columns: Any):
    """Let the handler take the event, as soon as it happened if nothing else is said."""
    at = columns.pop("at", contract.created_at if event is Event.STARTED else contract.end_date)
    row = make_delivery(
        endpoint=endpoint,
        **{
            "event_type": event.value,
            "resource_id": contract.opentrain_id,
            "body": body(contract, event),
            "first_received_at": at,
            "last_attempt_at": at,
        }
        | columns,
    )
    make_attempt(delivery=row, number=row.attempt_count, received_at=row.last_attempt_at, ok=row.last_ok)
    return row


def body(contract: Contract, event: Event, *, link: str = "lnk_1") -> bytes:
    said = f'"contract":{{"id":"{contract.opentrain_id}"}},"projectLink":{{"id":"{link}"}}'
    return f'{{"id":"evt_1","type":"{event.value}","data":{{{said}}}}}'.encode()


def hand_over(contract: Contract, endpoint: Endpoint, *, event: Event, at: datetime, ok: bool = True) -> None:
    """Let Redeliver send the event; if the handler took it, there is evidence of it."""
    name = f"{DELIVERY_PREFIX}{contract.pk}"
    make_handover(contract=contract, endpoint=endpoint, event_type=event.value, ended_at=at, ok=ok, delivery_id=name)
    if ok:
        make_evidence(
            contract=contract,
            endpoint=endpoint,
            event_type=event.value,
            opentrain_id=name,
            first_received_at=at,
            last_attempt_at=at,
            taken_at=at,
        )


def judged(install: Install, *, now: datetime) -> dict[tuple[int, str], Finding]:
    """Judge, and return the open findings by endpoint and event."""
    judge(install_id=install.pk, now=now)
    return {(row.endpoint_id, row.event_type): row for row in Finding.objects.open()}


def only(found: dict[tuple[int, str], Finding]) -> Finding:
    [row] = found.values()
    return row


def verdict_of(contract: Contract, endpoint: Endpoint, event: Event, *, now: datetime) -> Verdict:
    contract.refresh_from_db()
    return verdicts(contracts=[contract], now=now)[contract.pk, endpoint.pk, event]


def evidence_of(contract: Contract) -> Evidence:
    return Evidence.objects.get(contract=contract)
