"""The work of a run: done in small parts, by any worker, from the database alone.

One worker at a time works on a run (`alone`). If it is killed, another can take over at once: the rows show the
progress, and the next worker continues from there.
"""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.actions.runs import items, one_call
from dashboard.actions.runs.obstacles import deleted_words, obstacle
from dashboard.actions.runs.state import (
    AT_ONCE,
    LOOK_EVERY,
    keep,
    keep_running,
    leave,
    left_active,
    look_again,
    next_step,
    not_requested,
)
from dashboard.config.schedule import schedule
from dashboard.db.advisory_lock import alone
from dashboard.models import Install, Run, RunItem
from dashboard.models.endpoints import ACTIVE
from dashboard.rules.deliveries import overdue_after
from dashboard.rules.preflight import reached_words
from dashboard.rules.runs import (
    UNANSWERED,
    UNSEEN,
    UNSEEN_DIRECT,
    CallFacts,
    LeftOut,
    Reaction,
    Step,
    Tally,
    Then,
    failures_returned,
    may_ask,
    react,
)
from dashboard.rules.schedule import HANDLER_DEADLINE
from dashboard.services import handler

logger = logging.getLogger(__name__)
SLICE_S = 2.0
"""Time slice of a worker before it yields to other jobs, in seconds."""
NOT_IMPLEMENTED = 501
"""Response to HEAD by servers that support only POST: equivalent to 405."""
_NO_CANARY = "No failed delivery is known that could be sent first."
State = RunItem.State
Clock = Callable[[], datetime]
"""Returns the current time. It is called again after each call, because OpenTrain and handlers take a while."""


def advance(*, run_id: int, clock: Clock) -> timedelta | None:
    """Do the work that is due for a run.

    Returns the time until the next check; None if nothing more is due or another worker has the run.
    """
    with alone(name="redeliver.run", number=run_id) as mine:
        run = _load(run_id) if mine else None
        if run is None:
            return None
        items.mark_interrupted(run=run, now=clock())
        items.settle(run=run, now=clock(), schedule=schedule())
        wait = _guarded(run, clock) if run.state == Run.State.RUNNING else None
        tally = items.count(run=run)
        return LOOK_EVERY if wait is None and tally.requested else wait


def _guarded(run: Run, clock: Clock) -> timedelta | None:
    """Advance a run, and pause it after an unexpected error: retries would never end, each with one more request.

    An unavailable database does not pause the run: the job fails, and the run continues when the database is back.
    """
    try:
        return _advance(run, clock)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("Run %s paused", run.pk)
        why = "An error in Redeliver paused this run; its log has details. Check the results below, then resume."
        return leave(run, now=clock(), state=Run.State.PAUSED, why=why)


def _load(run_id: int) -> Run | None:
    """Return the run without its token, which is decrypted where it is used and may be unreadable."""
    rows = Run.objects.select_related("endpoint__install", "actor").defer(
        "endpoint__secret", "endpoint__install__token"
    )
    return rows.filter(pk=run_id).first()


def _advance(run: Run, clock: Clock) -> timedelta | None:
    now = clock()
    if run.not_before is not None and run.not_before > now:
        return run.not_before - now
    if run.not_before is not None:
        keep(run, not_before=None, waiting_for="")
    found = obstacle(run)
    if found is not None:
        state, why = found
        return leave(run, now=clock(), state=state, why=why)
    run.steps.get_or_create(name=run.step, defaults={"began_at": now})
    return _DO[Step(run.step)](run, clock)


# --- The steps: each returns the time until the next check, None once the run has ended or paused ---------------------


def _probe(run: Run, clock: Clock) -> timedelta | None:
    if not run.endpoint.is_received:
        words = "Skipped: OpenTrain does not deliver to this endpoint's handler through Redeliver."
        return next_step(run, now=clock(), words=words)
    if not run.endpoint.handler_url:
        return next_step(run, now=clock(), words="Skipped: Redeliver does not know this endpoint's handler.")
    repair = (
        "Nothing changed. Repair the handler, then start again. If it takes deliveries and fails only this check, "
        "recover without it."
    )
    try:
        answer = handler.probe(url=run.endpoint.handler_url, deadline_s=HANDLER_DEADLINE.total_seconds())
    except handler.HandlerFailed as error:
        return leave(run, now=clock(), state=Run.State.STOPPED, why=f"{error.words} {repair}")
    if answer.status >= 500 and answer.status != NOT_IMPLEMENTED:  # noqa: PLR2004
        return leave(
            run, now=clock(), state=Run.State.STOPPED, why=f"The handler returned {answer.status} to HEAD. {repair}"
        )
    proves = reached_words(status=answer.status, latency_ms=answer.latency_ms)
    return next_step(run, now=clock(), words=f"{proves} The first delivery shows that.")


def _enable(run: Run, clock: Clock) -> timedelta | None:
    """Re-enable the endpoint. Check first, because an earlier try may have succeeded without a response."""
    missed = sync.refresh(install=run.endpoint.install, now=clock())
    if missed is not None:
        return _react(run, missed, clock)
    run.endpoint.refresh_from_db()
    if run.endpoint.deleted_at is not None:
        return AT_ONCE
    if run.endpoint.status == ACTIVE:
        return next_step(run, now=clock(), words="The endpoint is active.")
    if not _runs(run):  # a person paused or stopped it while OpenTrain was asked
        return None
    outcome = endpoints.enable(
        actor=run.actor,  # type: ignore[arg-type]
        endpoint=run.endpoint,
        clock=clock,
        operation=uuid.uuid4(),
        redelivers=True,
    )
    if not outcome.ok:
        return _react(run, outcome, clock)
    return next_step(run, now=clock(), words=outcome.words)


def _canary(run: Run, clock: Clock) -> timedelta | None:
    canary = run.items.exclude(state__in=(State.REFUSED, State.LEFT_OUT)).select_related("delivery").first()
    if canary is None:
        refused = run.items.filter(state=State.REFUSED).exists()
        words = "OpenTrain requeued none of the deliveries that failed here." if refused else _NO_CANARY
        return next_step(run, now=clock(), words=words, ok=not refused)
    if canary.state == State.WAITING:
        return _ask_first(run, clock)
    name = f"{canary.event_type} …{canary.opentrain_id[-8:]}"
    if canary.state == State.DELIVERED:
        return next_step(run, now=clock(), words=f"{name}: delivered.")
    if canary.state == State.FAILED_AGAIN:
        why = f"The first delivery failed again: {canary.words}"
        return leave(run, now=clock(), state=Run.State.STOPPED, why=f"{why}. {left_active(run)}")
    if canary.asked_at is not None and clock() <= overdue_after(due=canary.asked_at, schedule=schedule()):
        return look_again()
    lost = "has an unknown outcome" if canary.state == State.UNKNOWN else "did not reach Redeliver in time"
    return leave(
        run, now=clock(), state=Run.State.STOPPED, why=f"The first delivery ({name}) {lost}. {left_active(run)}"
    )


def _ask_first(run: Run, clock: Clock) -> timedelta | None:
    claimed = items.claim_next(run=run, now=clock())
    if claimed is None:  # every one was left out, or a person stopped the run
        return AT_ONCE if _runs(run) else None
    return _ask(run, claimed, clock)


def _rest(run: Run, clock: Clock) -> timedelta | None:
    """Request one delivery after the other for a time slice, unless too many have failed again."""
    until = time.monotonic() + SLICE_S
    while time.monotonic() < until:
        tally, began = items.count(run=run), time.monotonic()
        if run.kind == Run.Kind.RECOVERY:
            why = _failures(run)
            if why:
                return leave(run, now=clock(), state=Run.State.STOPPED, why=why)
            if tally.waiting and not may_ask(tally=tally):
                return look_again()
        item = items.claim_next(run=run, now=clock())
        if item is None:
            return _none_to_claim(run, tally, clock)
        wait = _ask(run, item, clock)
        if wait != AT_ONCE or run.endpoint.status != ACTIVE:  # the answer may say that it is stopped
            return wait
        time.sleep(max(0.0, run.pace_ms / 1000 - (time.monotonic() - began)))
    items.settle(run=run, now=clock(), schedule=schedule())
    return AT_ONCE


def _none_to_claim(run: Run, tally: Tally, clock: Clock) -> timedelta | None:
    """Go on to the next step, unless some still wait for earlier events of their resources."""
    if not _runs(run):
        return None
    if items.has_waiting(run=run):
        items.settle(run=run, now=clock(), schedule=schedule())
        return look_again()
    has_canary = run.kind == Run.Kind.RECOVERY and tally.requeued > 0
    return next_step(run, now=clock(), words=tally.requests(has_canary=has_canary))


def _runs(run: Run) -> bool:
    return Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).exists()


def _others(run: Run, clock: Clock) -> timedelta | None:
    """Request all failed deliveries with one call. A recovery does so last, for those that never reached Redeliver.

    They are not in our log, because an auto-disable also fails deliveries that were never attempted. The call is left
    out if it could give back what a later event took away.
    """
    tally = items.count(run=run)
    if run.others_asked_at is not None:  # the worker died before the response arrived
        items.doubt_waiting(run=run, at=run.others_asked_at, words=items.INTERRUPTED)
        return next_step(
            run,
            now=clock(),
            words="Requested once; the outcome is unknown. Redeliver does not repeat it automatically.",
            ok=False,
        )
    if run.kind == Run.Kind.RECOVERY and (tally.unknown or tally.failed_again):
        words = "OpenTrain may have others that never reached Redeliver. Not requested, because not all succeeded."
        return next_step(run, now=clock(), words=words)
    why = one_call.why_withheld(run=run, now=clock())
    if why and run.one_call:
        words = f"Nothing was requested: {why}. Continue with what is left to request the others one by one."
        return leave(run, now=clock(), state=Run.State.STOPPED, why=words)
    if why:
        words = (
            f"OpenTrain may have others that never reached Redeliver. Not requested: {why}. "
            "Redeliver all failed on the endpoint's page requests them."
        )
        return next_step(run, now=clock(), words=words)
    return _ask_for_all(run, clock)


def _ask_for_all(run: Run, clock: Clock) -> timedelta | None:
    now = clock()
    if not keep_running(run, others_asked_at=now):
        return None
    outcome = endpoints.redeliver_failed(
        actor=run.actor,  # type: ignore[arg-type]
        endpoint=run.endpoint,
        asked_at=now,
        clock=clock,
        operation=uuid.uuid4(),
        run=run,
    )
    if outcome.requeued is not None:
        return _note_requeued(run, outcome, at=now, clock=clock)
    if outcome.kind is OutcomeKind.UNKNOWN:
        items.doubt_waiting(run=run, at=now, words=outcome.words)
        return next_step(run, now=clock(), words=outcome.words, ok=False)
    keep(run, others_asked_at=None)
    return _react(run, outcome, clock)


def _note_requeued(run: Run, outcome: Outcome, *, at: datetime, clock: Clock) -> timedelta:
    """Record OpenTrain's answer to a call at `at`: the number that it requeued, and what that means for each item."""
    requeued = outcome.requeued or 0
    if outcome.ok:
        items.request_waiting(run=run, at=at, now=clock())
    elif requeued:
        items.doubt_waiting(
            run=run, at=at, words=f"OpenTrain requeued {requeued} with one call, and does not say which"
        )
    else:
        items.refuse_waiting(run=run, at=at, now=clock())
    keep(run, others=requeued, quoted=outcome.quoted)
    return next_step(run, now=clock(), words=_others_words(run, outcome), ok=outcome.ok)


def _others_words(run: Run, outcome: Outcome) -> str:
    if run.one_call or not outcome.ok:
        return outcome.words
    if not run.others:
        return "OpenTrain has no other failed deliveries."
    return f"{run.others} more requested again that OpenTrain lists as failed."


def _watch(run: Run, clock: Clock) -> timedelta | None:
    """Follow the requested deliveries until each has an outcome."""
    now = clock()
    if run.others_asked_at is not None and run.others:
        items.adopt(run=run, since=run.others_asked_at, most=run.others, schedule=schedule())
        items.settle(run=run, now=now, schedule=schedule())
    if run.kind == Run.Kind.RECOVERY:
        why = _failures(run)
        if why:
            return leave(run, now=clock(), state=Run.State.STOPPED, why=why)
    tally = items.count(run=run)
    if tally.requested or _others_outstanding(run, now=now):
        return look_again()
    return leave(
        run,
        now=clock(),
        state=Run.State.DONE,
        why=f"{tally.outcome(took=now - run.created_at)}{_missing_words(run, tally)}{_left_out_words(run)}",
    )


def _others_outstanding(run: Run, *, now: datetime) -> bool:
    if run.others_asked_at is None or now > overdue_after(due=run.others_asked_at, schedule=schedule()):
        return False
    return run.endpoint.is_logged and _missing(run) > 0


def _missing(run: Run) -> int:
    """Return how many deliveries of the call for all failed ones have neither arrived nor are awaited by an item."""
    if run.others_asked_at is None:
        return 0
    return max(run.others - items.of_one_call(run=run).count(), 0)


def _missing_words(run: Run, tally: Tally) -> str:
    missing = _missing(run)
    if not missing:
        return f" {UNANSWERED}" if _is_unanswered(run) else ""
    if not run.endpoint.is_logged:
        return f" {missing} requested. {UNSEEN_DIRECT}"
    more = "" if tally.unknown else " more"
    return f" {missing}{more} that OpenTrain requeued {UNSEEN}"


def _is_unanswered(run: Run) -> bool:
    """Return whether OpenTrain did not say whether it requested all failed deliveries again."""
    return run.others_asked_at is not None and not run.others and run.steps.filter(name=Step.OTHERS, ok=False).exists()


def _left_out_words(run: Run) -> str:
    """Say how many were left out because of later events; empty if none."""
    count = run.items.filter(state=State.LEFT_OUT, is_overtaken=True).count()
    return f" {count} left out: {LeftOut.OVERTAKEN.words}." if count else ""


# --- What follows a call --------------------------------------------------------------------------------------------


def _ask(run: Run, item: RunItem, clock: Clock) -> timedelta | None:
    _forget_token(run)
    outcome = items.ask(run=run, item=item, clock=clock)
    if outcome is None:
        return AT_ONCE
    if outcome.code == "NOT_FOUND" and _is_still_there(run, clock):
        items.refuse(item=item, now=clock(), words=items.NOT_THERE)
        return AT_ONCE
    return _react(run, outcome, clock)


def _is_still_there(run: Run, clock: Clock) -> bool:
    """Return whether OpenTrain lists the endpoint now, so that a 404 means that it does not know the delivery.

    A list may lack an endpoint that was just registered. After a 404 it is believed.
    """
    install, now = run.endpoint.install, clock()
    run.endpoint.writes.filter(existed=False).delete()
    missed = sync.refresh(install=install, now=now)
    run.endpoint.refresh_from_db()
    is_confirmed = run.endpoint.snapshot_at is not None and run.endpoint.snapshot_at >= now
    # Otherwise the list shows it as it was before a change, or its entry or another one is unread.
    is_listed = is_confirmed or bool(run.endpoint.unread_why) or (missed is None and not install.unread_entries)
    return run.endpoint.deleted_at is None and is_listed


def _forget_token(run: Run) -> None:
    """Have the next call read the install's token: it may have been replaced since the run was loaded."""
    run.endpoint.install.__dict__.pop("token", None)


def _was_token_replaced(run: Run, outcome: Outcome, clock: Clock) -> bool:
    """Return whether the call was refused for a token that has been replaced since, and whose successor works.

    Otherwise this records the refusal, so that the install's pages show it before the next poll.
    """
    if outcome.code != "UNAUTHORIZED":
        return False
    install = Install.objects.defer("token").get(pk=run.endpoint.install_id)
    run.endpoint.install = install
    return sync.refresh(install=install, now=clock()) is None


def _react(run: Run, outcome: Outcome, clock: Clock) -> timedelta | None:
    call = _facts(outcome)
    if _was_token_replaced(run, outcome, clock):
        call = replace(call, refused=False)  # it counts as unanswered, so a token that changes nothing ends in a pause
    reaction = react(call=call, failed_calls=run.failed_calls, pace_ms=run.pace_ms)
    quoted = {"quoted": outcome.quoted} if outcome.quoted else {}
    keep(run, failed_calls=reaction.failed_calls, pace_ms=reaction.pace_ms, request_id=outcome.request_id, **quoted)
    return _follow(run, reaction, clock)


def _follow(run: Run, reaction: Reaction, clock: Clock) -> timedelta | None:
    if reaction.then is Then.GO_ON:
        return AT_ONCE
    if reaction.then is Then.WAIT:
        keep(run, not_before=clock() + reaction.wait, waiting_for=reaction.why)
        return reaction.wait
    if reaction.then is Then.PAUSE:
        return leave(run, now=clock(), state=Run.State.PAUSED, why=reaction.why)
    why = deleted_words(run.endpoint) if run.endpoint.deleted_at is not None else reaction.why
    return leave(run, now=clock(), state=Run.State.STOPPED, why=f"{why} {not_requested(run)}".strip())


def _facts(outcome: Outcome) -> CallFacts:
    """Return what a run reacts to. A number of requeued deliveries is a usable answer, whatever the number is.

    Another answer that does not say what was requested stops the run as a refusal does: a person decides.
    """
    ok = outcome.ok or outcome.requeued is not None
    refused = outcome.kind is OutcomeKind.REFUSED or outcome.unconfirmed
    return CallFacts(ok=ok, words=outcome.words, refused=refused, slow_down_s=outcome.slow_down_s)


def _failures(run: Run) -> str | None:
    """Say that too many deliveries failed again, with the newest cause; None if not."""
    first, last = items.first_and_last(run=run)
    said = failures_returned(first=first, last=last)
    if said is None:
        return None
    newest = run.items.filter(state=State.FAILED_AGAIN).order_by("-settled_at").first()
    return f"{said} ({newest.words if newest else ''}). {left_active(run)}"


_DO: dict[Step, Callable[[Run, Clock], timedelta | None]] = {
    Step.PROBE: _probe,
    Step.ENABLE: _enable,
    Step.CANARY: _canary,
    Step.REST: _rest,
    Step.OTHERS: _others,
    Step.WATCH: _watch,
}
