"""Changes of a run's state and step by its worker.

The worker saves a run's fields one by one, and its state by compare-and-set, because a user may change it meanwhile.
"""

from datetime import datetime, timedelta

from dashboard.config.schedule import schedule
from dashboard.models import Run, RunItem
from dashboard.rules.runs import BULK_STEPS, ONE_CALL_STEPS, RECOVERY_STEPS, Step

LOOK_EVERY = timedelta(seconds=5)
AT_ONCE = timedelta()


def leave(run: Run, *, now: datetime, state: Run.State, why: str) -> timedelta | None:
    """End or pause the run, unless a user has already done so. Return None, as a step without a next check does."""
    ended_at = None if state == Run.State.PAUSED else now
    running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    left = running.update(state=state, why=why, by_person=False, ended_at=ended_at, waiting_for="", not_before=None)
    if left and ended_at is not None:
        run.steps.filter(ended_at=None).update(ended_at=now, ok=state == Run.State.DONE, words=why)
    return None


def next_step(run: Run, *, now: datetime, words: str, ok: bool = True) -> timedelta:
    """End the step and begin the next one, if there is one."""
    run.steps.filter(name=run.step, ended_at=None).update(ended_at=now, ok=ok, words=words)
    steps = list(steps_of(run))
    after = steps[steps.index(Step(run.step)) + 1 :]
    if after:
        keep(run, step=after[0], failed_calls=0)
    return AT_ONCE


def steps_of(run: Run) -> tuple[Step, ...]:
    """Return the steps of a run, in order."""
    if run.kind == Run.Kind.RECOVERY:
        return RECOVERY_STEPS
    return ONE_CALL_STEPS if run.one_call else BULK_STEPS


def keep(run: Run, **fields: object) -> None:
    """Save these fields. Never pass the state, because a user may change it meanwhile."""
    for name, value in fields.items():
        setattr(run, name, value)
    Run.objects.filter(pk=run.pk).update(**fields)


def keep_running(run: Run, **fields: object) -> bool:
    """Save these fields if the run still runs. Return False, with nothing saved, if a user paused or ended it."""
    kept = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(**fields)
    if kept:
        for name, value in fields.items():
            setattr(run, name, value)
    return bool(kept)


def not_requested(run: Run) -> str:
    """Say how many deliveries were not requested; empty if all were."""
    waiting = run.items.filter(state=RunItem.State.WAITING).count()
    return f"{waiting} not requested." if waiting else ""


def left_active(run: Run) -> str:
    """Describe the situation after a run stops because deliveries failed again."""
    waiting = run.items.filter(state=RunItem.State.WAITING).count()
    rest = f", {waiting} not requested" if waiting else ""
    return f"Endpoint left active{rest}. Repair the handler, then start again."


def look_again() -> timedelta:
    """Return the time until the next check for a delivery run; the demo's runs come every two seconds."""
    return min(LOOK_EVERY, schedule().run_interval / 2)
