"""Texts and controls of the run pages."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.models import Run, User
from dashboard.presenters import controls
from dashboard.presenters.controls import MAIN, Button, Control
from dashboard.presenters.rows import EndpointRow
from dashboard.presenters.runs import RunRow, StepRow
from dashboard.rules.run_reports import headline
from dashboard.rules.runs import TRIAL, Step, Tally

_TONES = {"done": "ok", "current": "info"}
_DOTS = {"done": "check", "failed": "x", "current": "refresh"}
_STATES = {
    Run.State.RUNNING: ("running", "refresh"),
    Run.State.STOPPED: ("refused", "ban"),
    Run.State.PAUSED: ("unavailable", "player-pause"),
    Run.State.CANCELLED: ("unknown", "x"),
}


BAR_WIDTH, BAR_GAP, BAR_LEAST = 1000, 4, 12
"""Of the bar, in its own units: its width, the gap between two parts, and what each part has at least."""


@dataclass(frozen=True, slots=True)
class Steering:
    """The buttons that control a run, and a hint below them."""

    controls: tuple[Control, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Look:
    """How the reason of a run's state is drawn: an outcome's kind and an icon."""

    kind: str
    icon: str


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """A step with its colour, the icon of its dot, its progress in words, and when it began and ended."""

    title: str
    kind: str
    words: str
    tone: str
    dot: str
    how_far: str
    began_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the run in one sentence, and why, if the sentence does not say it."""

    headline: str
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bar: of which kind, its name, its number of deliveries, and where it is drawn."""

    kind: str
    label: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """All chosen deliveries as one bar, BAR_WIDTH wide. Each part is visible, however few deliveries it has."""

    parts: tuple[Part, ...]
    width: int

    @property
    def words(self) -> str:
        return ", ".join(f"{part.label.lower()}: {part.count}" for part in self.parts)


@dataclass(frozen=True, slots=True)
class ListWords:
    """Heading of the list of runs, and its text while it is empty."""

    heading: str
    about: str
    nothing: str


def steering(row: RunRow, *, operation: uuid.UUID, user: User) -> Steering:
    """Decide what this user can do with the run now; `operation` is the ID of the buttons' operation."""
    found = _steering(row, user)
    return replace(found, controls=tuple(_named(one, operation) for one in found.controls))


def _named(control: Control, operation: uuid.UUID) -> Control:
    return replace(control, operation=operation) if isinstance(control, Button) else control


def _steering(row: RunRow, user: User) -> Steering:
    run, operates = row.run, may(user, Permission.OPERATE)
    if run.state == Run.State.RUNNING:
        found = _running(run) if operates else ()
        return Steering(found, "You can leave this page. The run continues and is listed under Runs.")
    if run.state == Run.State.PAUSED:
        words = "Nothing more is requested until the run is resumed."
        if not operates:
            return Steering((), f"{words} A partner admin of the install or support can resume it.")
        resume = _command(run, "resume", label="Resume", icon="player-play", look=MAIN)
        return Steering((resume, _stop(run)), words)
    if not operates or run.state == Run.State.DONE or run.endpoint.deleted_at:
        return Steering((), "")
    return Steering(_left(row), "")


def result(row: RunRow, *, now: datetime, lost: str = "") -> Result:
    """Return what came of the run, or how far it is. `lost` says of which time events may be missing."""
    run = row.run
    if run.state == Run.State.DONE and run.why:
        missing = row.ending.words if row.ending is not None and row.is_missing else ""
        return Result(row.why, f"{missing} {lost}".strip())
    said = headline(state=run.state, tally=row.tally, took=(run.ended_at or now) - run.created_at)
    return Result(said, run.why)


def bar(tally: Tally) -> Bar:
    """Return the bar of a run, or of several together."""
    parts = tally.parts
    counts = [count for _kind, _label, count in parts]
    room = BAR_WIDTH - BAR_GAP * max(len(parts) - 1, 0) - BAR_LEAST * len(parts)
    drawn, x = [], 0.0
    for kind, label, count in parts:
        width = round(BAR_LEAST + room * count / sum(counts), 1)
        drawn.append(Part(kind, label, count, round(x, 1), width))
        x += width + BAR_GAP
    return Bar(tuple(drawn), BAR_WIDTH)


def reason_look(row: RunRow, *, lost: str = "") -> Look:
    """Return how the reason is drawn: a person's decision is not an error, and what may be missing is not well.

    `lost` says of which time events may be missing.
    """
    state = Run.State(row.run.state)
    if state is Run.State.DONE:
        is_fine = row.kind == state and not row.is_missing
        kind, icon = ("done", "circle-check") if is_fine else ("unavailable", "alert-triangle")
        if is_fine and lost:
            return Look("idle", "help-circle")
    else:
        kind, icon = _STATES.get(state, ("unknown", "alert-triangle"))
    return Look("idle" if row.by_person else kind, icon)


def drawn(step: StepRow, *, row: RunRow) -> DrawnStep:
    tone = _TONES.get(step.kind, "bad" if step.kind == "failed" and not row.by_person else "idle")
    return DrawnStep(
        title=step.title,
        kind=step.kind,
        words=step.words,
        tone=tone,
        dot=_DOTS.get(step.kind, "hourglass"),
        how_far=_how_far(step, row.run),
        began_at=step.began_at,
        ended_at=step.ended_at,
    )


def plan(
    row: EndpointRow, *, interval: str, checks_handler: bool = True, overtaken: int = 0, withheld: str = ""
) -> tuple[str, ...]:
    """Return the steps of a recovery in words; `interval` is the interval of delivery runs, in words.

    `overtaken` is the number of failed deliveries that are left out because later events have overtaken them, and
    `withheld` says why no call for all failed deliveries follows.
    """
    count = row.failed - overtaken
    asked = (
        "Redeliver checks the handler with a HEAD request, which delivers nothing. If the handler does not respond, "
        "nothing changes."
    )
    if not checks_handler:
        asked = "The handler is not checked: the first delivery shows whether it responds."
    enabled = "Redeliver checks that the endpoint is still active."
    if row.stopped:
        enabled = "The endpoint is re-enabled at OpenTrain."
    first = (
        f"One delivery is requested again, {_oldest(count, overtaken=overtaken)}. "
        f"OpenTrain's next delivery run attempts it, within {interval}."
    )
    trial = "four more, and once those have outcomes, " if count > TRIAL else ""
    rest = f"If it is delivered: {trial}the rest, one by one. Events of the same resource go in order."
    others = (
        "Other failed deliveries at OpenTrain are requested: a disabled endpoint's events may never reach Redeliver."
    )
    if withheld:
        others = f"Other failed deliveries at OpenTrain are not requested: {withheld}."
    watched = "Redeliver waits until each is delivered or has failed again."
    steps = [
        (asked, row.endpoint.is_received and bool(row.endpoint.handler_url)),
        (enabled, True),
        (first, count > 0),
        (rest, count > 1),
        (others, True),
        (watched, True),
    ]
    return tuple(words for words, happens in steps if happens)


def _oldest(count: int, *, overtaken: int) -> str:
    if count == 1:
        return "the only safe one" if overtaken else "the one that failed"
    return f"the oldest of the {count} that {'are safe' if overtaken else 'failed'}"


def list_words(*, together: int | None, is_first_page: bool, user: User) -> ListWords:
    """Return the texts of the list of all runs, or of the `together` runs that were started at once."""
    nothing = _no_run(user) if is_first_page else "No older runs."
    if together is not None:
        return ListWords(f"{together} runs, started together", "One for each endpoint.", nothing)
    return ListWords("Runs", "Recoveries and bulk redeliveries, newest first.", nothing)


def _running(run: Run) -> tuple[Control, ...]:
    return (_command(run, "pause", label="Pause", icon="player-pause"), _stop(run))


def _stop(run: Run) -> Button:
    if run.kind == Run.Kind.BULK:
        return _command(run, "stop", label="Cancel", icon="x")
    return _command(run, "stop", label="Stop", icon="ban")


def _left(row: RunRow) -> tuple[Control, ...]:
    """Return the controls that continue an ended run."""
    if row.run.kind == Run.Kind.RECOVERY:
        again = controls.recover(row.run.endpoint_id, label="Recover what is left…")
        was_check = row.run.step == Step.PROBE and not row.by_person
        return (again, controls.recover_unchecked(row.run.endpoint_id)) if was_check else (again,)
    if not row.tally.waiting:
        return ()
    return (_command(row.run, "continue", label="Continue with what is left", icon="player-play", look=MAIN),)


def _command(run: Run, command: str, *, label: str, icon: str, look: str = "") -> Button:
    return Button(label, reverse("run-command", args=[run.pk, command]), icon=icon, look=look)


def _how_far(step: StepRow, run: Run) -> str:
    if step.kind == "done":
        return f"done in {step.took}"
    if step.kind == "failed":
        return f"ended after {step.took}"
    if step.kind == "current":
        return "paused" if run.state == Run.State.PAUSED else "in progress"
    return "to come"


def _no_run(user: User) -> str:
    begin = "There has been no run yet."
    if may(user, Permission.OPERATE):
        return (
            f"{begin} One starts with Recover… on the page of an endpoint that is disabled or failing, or with "
            "Redeliver these… above a list of deliveries."
        )
    return (
        f"{begin} When a partner admin of your installs or support recovers an endpoint or redelivers many deliveries, "
        "you can follow it here."
    )
