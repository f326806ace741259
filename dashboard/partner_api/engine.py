"""The delivery run: claim → sign → post → record, in turns.

A turn records all ended attempts in one transaction, and claims as many deliveries as there are free slots in one
statement. Claimed deliveries are posted at once: there is no queue between the claim, which checks everything, and the
POST. POSTs continue during a turn, and no transaction is open during a POST. `Rota` selects the endpoints to claim for.

One thread uses the database, because Django's connections belong to threads; batches make one thread sufficient.
"""

import asyncio
import contextlib
import functools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError

from dashboard import signatures
from dashboard.partner_api import claims as ledger
from dashboard.partner_api import conf, record_outcomes, transport, vault
from dashboard.partner_api.claims import Claim, ClaimResult
from dashboard.partner_api.clock import SharedClock
from dashboard.partner_api.conf import Knobs
from dashboard.partner_api.fair_scheduler import Rota
from dashboard.partner_api.policy import Cause

logger = logging.getLogger(__name__)

GRACE_S = 8
"""How long POSTs in flight may continue after the run is cancelled, in seconds."""

LINGER_S = 0.02
"""How long a turn waits for more POSTs to end after the first, in seconds: larger batches cost less per delivery."""

LOOK_S = 1.0
"""Interval between searches for endpoints with due deliveries, in seconds; longer if a search is slow."""

DATABASE_AWAY = (OperationalError, InterfaceError)

_due = sync_to_async(ledger.due_endpoints)
_claim = sync_to_async(ledger.claim)
_release = sync_to_async(ledger.release)
_record = sync_to_async(record_outcomes.record)
_disconnect = sync_to_async(ledger.disconnect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a run. `unfinished`: its time budget ended before everything due was claimed; start another run."""

    attempted: int
    delivered: int
    unfinished: bool


@dataclass(slots=True, kw_only=True)
class _Run:
    knobs: Knobs
    session: transport.Session
    clock: Callable[[], datetime]
    set_clock: Callable[[], Awaitable[None]]
    deadline: float
    rota: Rota
    unseal: Callable[[str], str]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    results: list[ClaimResult] = field(default_factory=list)
    unused: list[Claim] = field(default_factory=list)
    in_flight: int = 0
    look_at: float = 0.0
    stopped: bool = False
    unsure: bool = False
    attempted: int = 0
    delivered: int = 0

    @property
    def over(self) -> bool:
        return self.stopped or time.monotonic() >= self.deadline

    @property
    def idle(self) -> bool:
        return not (self.in_flight or self.results or self.unused or self.rota.waiting)


async def run(
    *,
    clock: Callable[[], datetime] | None = None,
    open_session: Callable[[], transport.Session] = transport.open_session,
) -> Report:
    """Attempt all deliveries that are or become due, until none is left or the time budget ends.

    `clock` returns the time for due times and attempts; by default the database's.

    When cancelled, the run claims nothing more and waits up to `GRACE_S` seconds for attempts in flight to end and be
    recorded. It drops the others: their leases lapse, and the deliveries are attempted again.
    """
    knobs = conf.knobs()
    shared = SharedClock()
    async with open_session() as session:
        state = _Run(
            knobs=knobs,
            session=session,
            clock=clock or shared,
            set_clock=sync_to_async(shared.set),
            deadline=time.monotonic() + knobs.run_budget.total_seconds(),
            rota=Rota(slots=knobs.max_in_flight, per_endpoint=knobs.max_per_endpoint),
            unseal=functools.lru_cache(maxsize=4096)(vault.unseal),
        )
        work = asyncio.create_task(_drain(state))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            state.stopped = True
            state.enough.set()
            await asyncio.wait({work}, timeout=GRACE_S)
            raise
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
    return Report(attempted=state.attempted, delivered=state.delivered, unfinished=state.over)


async def _drain(run: _Run) -> None:
    """Repeat turns until there is nothing left to do."""
    async with asyncio.TaskGroup() as posts:
        while True:
            try:
                more = await _turn(run, posts)
            except DATABASE_AWAY:
                more = await _after_a_break(run)
            if not more:
                return
            await _until_worth_a_turn(run)


async def _turn(run: _Run, posts: asyncio.TaskGroup) -> bool:
    await _settle(run)
    if not run.over:
        looked = await _look(run)
        claims = await _claim_more(run)
        run.in_flight += len(claims)
        for claim in claims:
            posts.create_task(_send(run, claim))
        return bool(claims) or not (run.idle and looked)
    return bool(run.in_flight or run.results or run.unused)


async def _after_a_break(run: _Run) -> bool:
    """Keep ended attempts while the database is unavailable, until it is back or the leases lapse."""
    logger.warning("The database does not respond; %d attempts wait to be recorded", len(run.results))
    run.unsure = bool(run.results)
    await _disconnect()
    await asyncio.sleep(0.5)
    return time.monotonic() < run.deadline + run.knobs.lease.total_seconds()


async def _look(run: _Run) -> bool:
    """Search for endpoints with due deliveries if it is time to, or if the run is idle. Return whether it searched."""
    started = time.monotonic()
    if started < run.look_at and not run.idle:
        return False
    await run.set_clock()
    run.rota.add(await _due(now=run.clock()))
    run.look_at = time.monotonic() + max(LOOK_S, 10 * (time.monotonic() - started))
    return True


async def _claim_more(run: _Run) -> list[Claim]:
    asks = run.rota.asks()
    if not asks:
        return []
    try:
        claims = await _claim(asks=asks, now=run.clock(), knobs=run.knobs)
    except BaseException:
        for ask in asks:
            run.rota.took(ask, count=0)
        raise
    counts = Counter(claim.endpoint_id for claim in claims)
    for ask in asks:
        run.rota.took(ask, count=counts[ask.endpoint_id])
    return claims


async def _until_worth_a_turn(run: _Run) -> None:
    """Wait until a POST has ended, and then briefly for others; or until the next search for due endpoints."""
    if run.in_flight and not run.over:
        wait = max(0.0, min(run.look_at, run.deadline) - time.monotonic())
        await _wait_for(run.ended, seconds=wait)
        await _wait_for(run.enough, seconds=LINGER_S if run.ended.is_set() else 0)
    elif run.in_flight:
        await _wait_for(run.ended, seconds=LOOK_S)
    run.ended.clear()
    run.enough.clear()


async def _wait_for(event: asyncio.Event, *, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _send(run: _Run, claim: Claim) -> None:
    """Make one attempt. Our own failures (such as a missing key) are logged; it is retried after the lease lapses."""
    try:
        if run.stopped or time.monotonic() > claim.post_before:
            run.unused.append(claim)
            return
        result = await _attempt(run, claim)
        run.results.append(result)
        run.rota.learned(
            claim.endpoint_id,
            ok=result.outcome.ok,
            timed_out=result.outcome.cause is Cause.TIMEOUT,
            seconds=result.duration_ms / 1000,
        )
    except Exception:
        logger.exception("Delivery %s was not attempted", claim.delivery_id)
        run.rota.freed(claim.endpoint_id)
    finally:
        run.in_flight -= 1
        run.ended.set()
        if len(run.results) >= run.in_flight:
            run.enough.set()


async def _attempt(run: _Run, claim: Claim) -> ClaimResult:
    secret = run.unseal(claim.secret_sealed)
    started_at, started = run.clock(), time.monotonic()
    outcome = await transport.post(
        session=run.session,
        url=claim.url,
        headers=_headers(claim, secret=secret, now=started_at),
        body=claim.body,
        within=run.knobs.timeout,
        allow_localhost=run.knobs.allow_http_localhost,
    )
    return ClaimResult(
        claim=claim,
        outcome=outcome,
        started_at=started_at,
        ended_at=run.clock(),
        duration_ms=round((time.monotonic() - started) * 1000),
    )


def _headers(claim: Claim, *, secret: str, now: datetime) -> dict[str, str]:
    """Return the headers of one attempt, with a new signature. Source: partner-api, "Deliveries"."""
    return {
        "Content-Type": "application/json",
        "X-OpenTrain-Event": claim.event_type,
        "X-OpenTrain-Delivery": claim.delivery_id,
        signatures.HEADER: signatures.sign(secret=secret, body=claim.body, timestamp=int(now.timestamp())),
    }


async def _settle(run: _Run) -> None:
    """Record ended attempts, and free their slots."""
    unused, run.unused = run.unused, []
    for claim in unused:
        run.rota.freed(claim.endpoint_id)
    if unused:
        await _release(claims=unused)
    batch = run.results[:]
    if batch:
        await _record_all(run, batch)
        run.unsure = False
        del run.results[: len(batch)]
        for result in batch:
            run.rota.freed(result.claim.endpoint_id)


async def _record_all(run: _Run, batch: list[ClaimResult]) -> None:
    """Record a batch. If that fails, record each result separately; log and drop one that cannot be recorded."""
    try:
        await _record(results=batch, knobs=run.knobs, unsure=run.unsure)
    except DATABASE_AWAY:
        raise
    except Exception:
        if len(batch) == 1:
            logger.exception("The attempt of delivery %s was not recorded", batch[0].claim.delivery_id)
            return
        for result in batch:
            await _record_all(run, [result])
    else:
        run.attempted += len(batch)
        run.delivered += sum(result.outcome.ok for result in batch)
