"""Steps for tests of the engine: a run at a chosen time, a claim, a change, an answer."""

from collections.abc import Callable
from datetime import datetime

from asgiref.sync import async_to_sync

from dashboard.partner_api import claims, conf, endpoints, engine, policy, record_outcomes
from dashboard.partner_api.claims import Claim
from dashboard.partner_api.endpoints import Changes
from dashboard.partner_api.engine import Report
from dashboard.partner_api.fair_scheduler import Ask
from dashboard.partner_api.models import Delivery, Endpoint
from tests.partner_api.conftest import THEN, Partner, emit_one


def deliver(*, now: datetime = THEN) -> Report:
    """Run one delivery run at the given time."""
    return async_to_sync(engine.run)(clock=lambda: now)


def claim_all(*, now: datetime = THEN) -> list[Claim]:
    """Claim due deliveries as a run does."""
    asks = [Ask(endpoint_id=found, count=10, held=0) for found in claims.due_endpoints(now=now)]
    return claims.claim(asks=asks, now=now, knobs=conf.knobs())


def emit(partner: Partner, *, count: int = 1) -> None:
    for _ in range(count):
        emit_one(partner)


def states() -> list[str]:
    return sorted(Delivery.objects.values_list("status", flat=True))


def change(endpoint: Endpoint, **changes: object) -> Endpoint:
    return endpoints.change(
        install_id=endpoint.install_id, endpoint_id=endpoint.pk, changes=Changes(**changes), now=THEN
    )


def redeliver(endpoint: Endpoint, *, delivery_id: str | None = None, now: datetime = THEN) -> int:
    done = endpoints.redeliver(
        install_id=endpoint.install_id, endpoint_id=endpoint.pk, delivery_id=delivery_id, now=now
    )
    return done.count


def result_of(claim: Claim, *, status: int, ended_at: datetime = THEN) -> claims.ClaimResult:
    outcome = policy.answered(status=status)
    return claims.ClaimResult(claim=claim, outcome=outcome, started_at=THEN, ended_at=ended_at, duration_ms=7)


def post_during(action: Callable[[], object], *, status: int) -> None:
    """Call `action` while the only delivery is in flight, then record `status`."""
    [claim] = claim_all()
    action()
    record_outcomes.record(results=[result_of(claim, status=status)], knobs=conf.knobs())
