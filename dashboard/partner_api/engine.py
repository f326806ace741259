"""The delivery run: claim → sign → post → record.

Claims of one endpoint are a group, at most `max_per_endpoint`, posted at once; the endpoint is asked for more when all
of them are recorded. A slow receiver so keeps its own slots busy and nobody else's. No transaction is open during a
POST.

The database is spoken to from one thread (Django's connections belong to threads); the POSTs are what takes time.
"""

import asyncio
import itertools
import logging
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from asgiref.sync import sync_to_async
from django.utils import timezone

from dashboard import signatures
from dashboard.partner_api import conf, ledger, transport
from dashboard.partner_api.conf import Knobs
from dashboard.partner_api.ledger import Claim, Posting, Result

logger = logging.getLogger(__name__)

GRACE_S = 8
"""How long posts in flight may go on after the run was told to stop, in seconds."""

_claim = sync_to_async(ledger.claim)
_begin = sync_to_async(ledger.begin)
_release = sync_to_async(ledger.release)
_record = sync_to_async(ledger.record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run did. `unfinished`: its time was up before everything due was claimed; start another."""

    attempted: int
    delivered: int
    unfinished: bool


@dataclass(slots=True, kw_only=True)
class _Run:
    knobs: Knobs
    session: transport.Session
    clock: Callable[[], datetime]
    deadline: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    attempted: int = 0
    delivered: int = 0
    in_flight: int = 0

    @property
    def over(self) -> bool:
        return self.stop.is_set() or time.monotonic() >= self.deadline


async def run(
    *,
    clock: Callable[[], datetime] = timezone.now,
    open_session: Callable[[], transport.Session] = transport.open_session,
) -> Report:
    """Attempt what is due, and what becomes due meanwhile, until nothing is or the run's time is up.

    Cancelled, it claims nothing more, lets what is in flight end and be recorded for up to `GRACE_S` seconds, and then
    drops it: the lease lapses, and the delivery is attempted again.
    """
    knobs = conf.knobs()
    async with open_session() as session:
        state = _Run(
            knobs=knobs,
            session=session,
            clock=clock,
            deadline=time.monotonic() + knobs.run_budget.total_seconds(),
        )
        work = asyncio.create_task(_drain(state))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            state.stop.set()
            await asyncio.wait({work}, timeout=GRACE_S)
            raise
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
    return Report(attempted=state.attempted, delivered=state.delivered, unfinished=state.over)


async def _drain(state: _Run) -> None:
    """Keep the slots filled; a group that ends makes room for the next claim."""
    groups: dict[asyncio.Task[None], str] = {}
    async with asyncio.TaskGroup() as tasks:
        while True:
            for endpoint_id, claims in await _claim_groups(state, busy=list(groups.values())):
                groups[tasks.create_task(_send_group(state, claims))] = endpoint_id
            if not groups:
                return
            done, _ = await asyncio.wait(groups, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                del groups[task]


async def _claim_groups(state: _Run, *, busy: list[str]) -> list[tuple[str, list[Claim]]]:
    free = state.knobs.max_in_flight - state.in_flight
    if state.over or free < 1:
        return []
    claims = await _claim(limit=free, busy=busy, now=state.clock(), knobs=state.knobs)
    state.in_flight += len(claims)
    by_endpoint = operator.attrgetter("endpoint_id")
    grouped = itertools.groupby(sorted(claims, key=by_endpoint), key=by_endpoint)
    return [(endpoint_id, list(group)) for endpoint_id, group in grouped]


async def _send_group(state: _Run, claims: list[Claim]) -> None:
    try:
        await asyncio.gather(*(_send(state, claim) for claim in claims))
    finally:
        state.in_flight -= len(claims)


async def _send(state: _Run, claim: Claim) -> None:
    """Make one attempt. What fails on our side (database, key) is logged; the lease lapses, and it comes again."""
    try:
        if state.stop.is_set():
            await _release(claim=claim)
            return
        posting = await _begin(claim=claim, now=state.clock(), lease=state.knobs.lease)
        if posting is not None:
            result = await _attempt(state, posting)
            await _record(result=result, knobs=state.knobs)
            state.attempted += 1
            state.delivered += result.outcome.ok
    except Exception:
        logger.exception("Delivery %s was not attempted, or its attempt not recorded", claim.delivery_id)


async def _attempt(state: _Run, posting: Posting) -> Result:
    started_at, started = state.clock(), time.monotonic()
    outcome = await transport.post(
        session=state.session,
        url=posting.url,
        headers=_headers(posting, now=started_at),
        body=posting.body,
        within=state.knobs.timeout,
    )
    return Result(
        posting=posting,
        outcome=outcome,
        started_at=started_at,
        ended_at=state.clock(),
        duration_ms=round((time.monotonic() - started) * 1000),
    )


def _headers(posting: Posting, *, now: datetime) -> dict[str, str]:
    """Source: partner-api, "Deliveries". Each attempt is signed afresh."""
    timestamp = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "X-OpenTrain-Event": posting.event_type,
        "X-OpenTrain-Delivery": posting.claim.delivery_id,
        "X-OpenTrain-Signature": signatures.sign(secret=posting.secret, body=posting.body, timestamp=timestamp),
    }
